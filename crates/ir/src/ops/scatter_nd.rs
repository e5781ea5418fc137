//! `scatter_nd`.

use tracelift_tensor::{Dim, Tensor};

use super::{ScatterMode, exactly, indexing};
use crate::{Primitive, Scatter, Structure, TensorType, TypeError, operator, require};

operator! {
    /// Copies data, then lets slices of updates meet the slices that index tuples name, in
    /// row-major order.
    ///
    /// Operands: data, indices, updates. The last axis of the indices holds tuples of length `m`,
    /// which index the data's first `m` axes.
    ///
    /// (C1) The indices have at least one axis, `m` is known and at most the data's rank.
    /// (C2) The indices are `i32` or `i64`; the updates have the data's dtype; bools are not added
    ///      or multiplied.
    /// (C3) The updates have the indices' shape without the last axis, then the data's axes that
    ///      remain.
    ///
    /// Result: the data's type. A negative index counts from the end; updates outside are dropped.
    /// Source: ONNX `ScatterND`, opset 18.
    ScatterNd = "scatter_nd" {
        /// What an update does to the element it lands on.
        mode: ScatterMode = ScatterMode::Replace,
    }
}

impl Primitive for ScatterNd {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [x, indices, updates] = exactly(operands)?;
        let tuple = indices.shape.last().and_then(Dim::as_const).filter(|&m| m <= x.rank());
        let Some(tuple) = tuple else {
            return Err(TypeError(format!("C1: indices {indices} into {x}")));
        };
        indexing::check_scatter(self.mode, x, indices, updates)?;
        let leading = indices.shape[..indices.rank() - 1].iter();
        let fits = updates.shape.iter().eq(leading.chain(&x.shape[tuple..]));
        require!(fits, "C3: updates {updates} for indices {indices} into {x}");
        Ok(vec![x.clone()])
    }

    fn structure(&self, operands: &[TensorType]) -> Structure {
        let extents = operands[1].extents();
        let (leading, tuple) = (extents.len() - 1, extents[extents.len() - 1]);
        let coordinates = indexing::by_tuples(operands[0].rank(), 0, leading, tuple);
        Structure::Scatter(Scatter { coordinates, kind: self.mode.kind() })
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        let [x, indices, updates] = operands else { unreachable!("operands passed infer") };
        let (&tuple, leading) = indices.shape().split_last().expect("C1");
        vec![indexing::scattered(self.mode, x, updates, |u| {
            let (from, remaining) = u.split_at(leading.len());
            let mut at = Vec::with_capacity(x.rank());
            for k in 0..tuple {
                let found = indices.at(&[from, &[k]].concat());
                at.push(indexing::inside(found, x.shape()[k])?);
            }
            at.extend_from_slice(remaining);
            Some(at)
        })]
    }
}
