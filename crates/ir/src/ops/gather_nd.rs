//! `gather_nd`.

use tracelift_tensor::{Dim, Tensor};

use super::{exactly, indexing};
use crate::{Gather, Primitive, Shape, Structure, TensorType, TypeError, operator, require};

operator! {
    /// Takes the slices of a tensor that index tuples name.
    ///
    /// Operands: data, indices. The last axis of the indices holds tuples of length `m`, which
    /// index the data's axes `batch_axes..batch_axes + m`; the first `batch_axes` axes are shared.
    ///
    /// (C1) The indices have at least `batch_axes + 1` axes, `m` is known, and the data has at
    ///      least `batch_axes + m` axes.
    /// (C2) The indices are `i32` or `i64`.
    /// (C3) The shared axes have equal extents.
    /// (C4) No extent looked up is 0, unless there are no indices.
    ///
    /// Result: the data's dtype; shape the indices' without the last axis, then the data's axes
    /// that remain. A negative index counts from the end; then one outside is clamped.
    /// Gradient: the cotangent scattered by addition.
    /// Source: ONNX `GatherND`, opset 13.
    GatherNd = "gather_nd" {
        /// The number of leading axes that data and indices share.
        batch_axes: usize = 0,
    }
}

impl Primitive for GatherNd {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [x, indices] = exactly(operands)?;
        let tuple = indices.shape.last().and_then(Dim::as_const);
        let n = tuple.map(|m| self.batch_axes.saturating_add(m));
        let fits = indices.rank() > self.batch_axes && n.is_some_and(|n| n <= x.rank());
        let (true, Some(n)) = (fits, n) else {
            return Err(TypeError(format!(
                "C1: indices {indices} into {x} with {} shared axes",
                self.batch_axes
            )));
        };
        indexing::require_index_dtype(indices)?;
        let shared = x.shape[..self.batch_axes] == indices.shape[..self.batch_axes];
        require!(shared, "C3: {x} and {indices} share {} axes", self.batch_axes);
        let leading = &indices.shape[..indices.rank() - 1];
        let empty = x.shape[self.batch_axes..n].iter().any(|d| *d == 0);
        require!(!empty || leading.iter().any(|d| *d == 0), "C4: indices {indices} into {x}");
        let dims = leading.iter().chain(&x.shape[n..]).cloned().collect();
        Ok(vec![x.with_shape(Shape(dims))])
    }

    fn structure(&self, operands: &[TensorType]) -> Structure {
        let [x, indices] = operands else { unreachable!("operands passed infer") };
        let extents = indices.extents();
        let (leading, tuple) = (extents.len() - 1, extents[extents.len() - 1]);
        let coordinates = indexing::by_tuples(x.rank(), self.batch_axes, leading, tuple);
        Structure::Gather(Gather { coordinates })
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        let [x, indices] = operands else { unreachable!("operands passed infer") };
        let (&tuple, leading) = indices.shape().split_last().expect("C1");
        let rest = self.batch_axes + tuple;
        let shape = [leading, &x.shape()[rest..]].concat();
        vec![Tensor::from_fn(x.dtype(), &shape, |index| {
            let (from, remaining) = index.split_at(leading.len());
            let mut at = index[..self.batch_axes].to_vec();
            for k in 0..tuple {
                let found = indices.at(&[from, &[k]].concat());
                at.push(indexing::clamped(found, x.shape()[self.batch_axes + k]));
            }
            at.extend_from_slice(remaining);
            x.at(&at)
        })]
    }
}
