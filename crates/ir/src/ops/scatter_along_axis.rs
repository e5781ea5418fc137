//! `scatter_along_axis`.

use tracelift_tensor::Tensor;

use super::{ScatterMode, exactly, indexing};
use crate::{Primitive, Scatter, Structure, TensorType, TypeError, operator, require};

operator! {
    /// Copies data, then lets `updates[.., i, ..]` meet the element
    /// `[.., indices[.., i, ..], ..]` along one axis, in row-major order.
    ///
    /// Operands: data, indices, updates.
    ///
    /// (C1) All have one rank, `axis` lies below it, and indices and updates have one shape.
    /// (C2) The indices are `i32` or `i64`; the updates have the data's dtype; bools are not added
    ///      or multiplied.
    /// (C3) Along every other axis the indices' extent is at most the data's.
    ///
    /// Result: the data's type. A negative index counts from the end; updates outside are dropped.
    /// Source: ONNX `ScatterElements`, opset 18.
    ScatterAlongAxis = "scatter_along_axis" {
        /// The axis indexed.
        axis: usize,
        /// What an update does to the element it lands on.
        mode: ScatterMode = ScatterMode::Replace,
    }
}

impl Primitive for ScatterAlongAxis {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [x, indices, updates] = exactly(operands)?;
        let fits = x.rank() == indices.rank() && self.axis < x.rank();
        require!(
            fits && indices.shape == updates.shape,
            "C1: axis {} of {x} by {indices}, updates {updates}",
            self.axis
        );
        indexing::check_scatter(self.mode, x, indices, updates)?;
        for (k, (have, want)) in x.shape.iter().zip(indices.shape.iter()).enumerate() {
            let fits = k == self.axis || (have - want).as_i64().is_none_or(|room| room >= 0);
            require!(fits, "C3: indices {indices} into {x} along axis {k}");
        }
        Ok(vec![x.clone()])
    }

    fn structure(&self, operands: &[TensorType]) -> Structure {
        let coordinates = indexing::along_axis(operands[0].rank(), self.axis);
        Structure::Scatter(Scatter { coordinates, kind: self.mode.kind() })
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        let [x, indices, updates] = operands else { unreachable!("operands passed infer") };
        vec![indexing::scattered(self.mode, x, updates, |u| {
            let mut at = u.to_vec();
            at[self.axis] = indexing::inside(indices.at(u), x.shape()[self.axis])?;
            Some(at)
        })]
    }
}
