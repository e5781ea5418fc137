//! `iota`.

use tracelift_scalar::{ExprBuilder, Op as ScalarOp};
use tracelift_tensor::{DType, Scalar, Tensor};

use super::exactly;
use crate::{Primitive, Shape, Structure, TensorType, TypeError, operator, require};

operator! {
    /// The coordinate along one axis: 0, 1, 2, ….
    ///
    /// (C1) `axis < rank` of `shape`.
    /// (C2) `dtype` is not bool.
    ///
    /// Result: `dtype` with shape `shape`; integers wrap, floats round.
    /// Gradient: none, there is no operand.
    /// Source: StableHLO `iota`.
    Iota = "iota" {
        /// The shape of the result.
        shape: Shape,
        /// The axis counted along.
        axis: usize = 0,
        /// The dtype of the result.
        dtype: DType = DType::I64,
    }
}

impl Primitive for Iota {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [] = exactly(operands)?;
        require!(self.axis < self.shape.rank(), "C1: axis {} of {}", self.axis, self.shape);
        require!(self.dtype != DType::Bool, "C2: dtype bool");
        Ok(vec![TensorType::new(self.dtype, self.shape.clone())])
    }

    fn structure(&self, _operands: &[TensorType]) -> Structure {
        let mut b = ExprBuilder::default();
        let mut root = b.index(self.axis as u32);
        if self.dtype != DType::I64 {
            root = b.apply(ScalarOp::Cast(self.dtype), &[root]);
        }
        Structure::Map(b.finish(root))
    }

    fn eval(&self, _operands: &[&Tensor]) -> Vec<Tensor> {
        let shape = self.shape.as_consts().expect("symbols are bound before evaluation");
        vec![Tensor::from_fn(self.dtype, &shape, |index| {
            Scalar::from_i64(self.dtype, index[self.axis] as i64)
        })]
    }
}
