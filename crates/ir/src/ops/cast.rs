//! `cast`.

use tracelift_scalar::{Expr, Op as ScalarOp};
use tracelift_tensor::{DType, Tensor};

use super::exactly;
use crate::{Primitive, Structure, TensorType, TypeError, operator};

operator! {
    /// Converts every element to another dtype.
    ///
    /// Float to integer truncates and saturates (NaN gives 0), integer to integer wraps, anything
    /// to bool is `x ≠ 0`.
    ///
    /// Result: the operand's shape with dtype `to`.
    /// Source: ONNX `Cast`, opset 13; saturation as Rust's `as`.
    Cast = "cast" {
        /// The dtype of the result.
        to: DType,
    }
}

impl Primitive for Cast {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [x] = exactly(operands)?;
        Ok(vec![x.with_dtype(self.to)])
    }

    fn structure(&self, operands: &[TensorType]) -> Structure {
        let cast = Expr::of_op(ScalarOp::Cast(self.to), &[operands[0].dtype]);
        Structure::Map(cast.expect("a cast takes every dtype"))
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        vec![operands[0].cast(self.to)]
    }
}
