//! `gt`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// `x > y`.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: ONNX `Greater`.
    Gt = "gt" => ScalarOp::Gt
}
