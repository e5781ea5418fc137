//! `take`.

use tracelift_scalar::IndexExpr;
use tracelift_tensor::Tensor;

use super::{exactly, indexing};
use crate::{
    Coordinate, Gather, Primitive, Shape, Structure, TensorType, TypeError, operator, require,
};

operator! {
    /// Takes slices of a tensor at the positions along one axis that an integer tensor lists.
    ///
    /// Operands: data, indices.
    ///
    /// (C1) `axis < rank` of the data.
    /// (C2) The indices are `i32` or `i64`.
    /// (C3) The extent taken from is not 0, unless there are no indices.
    ///
    /// Result: the data's dtype; its shape with extent `axis` replaced by the indices' shape.
    /// A negative index counts from the end; then one outside is clamped to the nearest inside.
    /// Gradient: the cotangent scattered by addition.
    /// Source: ONNX `Gather`, opset 13.
    Take = "take" {
        /// The axis indexed.
        axis: usize = 0,
    }
}

impl Primitive for Take {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [x, indices] = exactly(operands)?;
        require!(self.axis < x.rank(), "C1: axis {} of {x}", self.axis);
        indexing::require_index_dtype(indices)?;
        let mut dims = x.shape.0.clone();
        dims.splice(self.axis..=self.axis, indices.shape.iter().cloned());
        let empty = *x.dim(self.axis) == 0 && indices.shape.iter().all(|d| *d != 0);
        require!(!empty, "C3: indices {indices} into axis {} of {x}", self.axis);
        Ok(vec![x.with_shape(Shape(dims))])
    }

    fn structure(&self, operands: &[TensorType]) -> Structure {
        let n = operands[1].rank();
        let coordinate = |k: usize| match k.cmp(&self.axis) {
            std::cmp::Ordering::Less => Coordinate::At(IndexExpr::axis(k)),
            std::cmp::Ordering::Equal => {
                Coordinate::Lookup((0..n).map(|j| IndexExpr::axis(self.axis + j)).collect())
            }
            std::cmp::Ordering::Greater => Coordinate::At(IndexExpr::axis(k + n - 1)),
        };
        Structure::Gather(Gather { coordinates: (0..operands[0].rank()).map(coordinate).collect() })
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        let [x, indices] = operands else { unreachable!("operands passed infer") };
        let mut shape = x.shape().to_vec();
        shape.splice(self.axis..=self.axis, indices.shape().iter().copied());
        let after = self.axis + indices.rank();
        vec![Tensor::from_fn(x.dtype(), &shape, |index| {
            let found = indices.at(&index[self.axis..after]);
            let mut at = index[..self.axis].to_vec();
            at.push(indexing::clamped(found, x.shape()[self.axis]));
            at.extend_from_slice(&index[after..]);
            x.at(&at)
        })]
    }
}
