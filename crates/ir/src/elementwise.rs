//! Shared rules of elementwise operators, all given by one scalar operation.
//!
//! Constraints: (C1) the operands have equal shapes; (C2) their dtypes fit the scalar operation.

use tracelift_scalar::{Expr, Op as ScalarOp};
use tracelift_tensor::{DType, Tensor};

use crate::{Structure, TensorType, TypeError, require};

fn dtypes(operands: &[TensorType]) -> Vec<DType> {
    operands.iter().map(|ty| ty.dtype).collect()
}

/// The result type of an elementwise operator.
pub fn infer(op: ScalarOp, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
    let dtype =
        op.result_dtype(&dtypes(operands)).map_err(|error| TypeError(format!("C2: {error}")))?;
    let shape = &operands[0].shape;
    for ty in operands {
        require!(ty.shape == *shape, "C1: shape {} beside {shape}", ty.shape);
    }
    Ok(vec![TensorType { dtype, shape: shape.clone() }])
}

/// The structure of an elementwise operator.
pub fn structure(op: ScalarOp, operands: &[TensorType]) -> Structure {
    Structure::Map(Expr::of_op(op, &dtypes(operands)).expect("operands passed infer"))
}

/// The value of an elementwise operator.
pub fn eval(op: ScalarOp, operands: &[&Tensor]) -> Vec<Tensor> {
    let dtypes: Vec<DType> = operands.iter().map(|x| x.dtype()).collect();
    let dtype = op.result_dtype(&dtypes).expect("operands passed infer");
    let mut position = 0;
    let mut args = Vec::with_capacity(operands.len());
    vec![Tensor::from_fn(dtype, operands[0].shape(), |_| {
        args.clear();
        args.extend(operands.iter().map(|x| x.get(position)));
        position += 1;
        op.eval(&args)
    })]
}
