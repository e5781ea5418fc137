//! `ceil`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// The smallest integer not below `x`.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: ONNX `Ceil`.
    Ceil = "ceil" => ScalarOp::Ceil
}
