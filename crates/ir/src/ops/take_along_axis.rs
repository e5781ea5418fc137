//! `take_along_axis`.

use tracelift_tensor::Tensor;

use super::{exactly, indexing};
use crate::{Gather, Primitive, Structure, TensorType, TypeError, operator, require};

operator! {
    /// `result[.., i, ..] = data[.., indices[.., i, ..], ..]` along one axis.
    ///
    /// Operands: data, indices.
    ///
    /// (C1) Both have one rank, and `axis` lies below it.
    /// (C2) The indices are `i32` or `i64`.
    /// (C3) Along every other axis the indices' extent is at most the data's; the data's extent
    ///      along `axis` is not 0, unless there are no indices.
    ///
    /// Result: the data's dtype with the indices' shape. A negative index counts from the end;
    /// then one outside is clamped to the nearest inside.
    /// Gradient: the cotangent scattered by addition.
    /// Source: ONNX `GatherElements`, opset 13; `numpy.take_along_axis`.
    TakeAlongAxis = "take_along_axis" {
        /// The axis indexed.
        axis: usize,
    }
}

impl Primitive for TakeAlongAxis {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [x, indices] = exactly(operands)?;
        let fits = x.rank() == indices.rank() && self.axis < x.rank();
        require!(fits, "C1: axis {} of {x} by {indices}", self.axis);
        indexing::require_index_dtype(indices)?;
        for (k, (have, want)) in x.shape.iter().zip(indices.shape.iter()).enumerate() {
            let fits = k == self.axis || (have - want).as_i64().is_none_or(|room| room >= 0);
            require!(fits, "C3: indices {indices} into {x} along axis {k}");
        }
        let empty = *x.dim(self.axis) == 0 && indices.shape.iter().all(|d| *d != 0);
        require!(!empty, "C3: indices {indices} into axis {} of {x}", self.axis);
        Ok(vec![x.with_shape(indices.shape.clone())])
    }

    fn structure(&self, operands: &[TensorType]) -> Structure {
        let coordinates = indexing::along_axis(operands[0].rank(), self.axis);
        Structure::Gather(Gather { coordinates })
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        let [x, indices] = operands else { unreachable!("operands passed infer") };
        vec![Tensor::from_fn(x.dtype(), indices.shape(), |index| {
            let mut at = index.to_vec();
            at[self.axis] = indexing::clamped(indices.at(index), x.shape()[self.axis]);
            x.at(&at)
        })]
    }
}
