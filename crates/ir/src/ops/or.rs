//! `or`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// Bitwise or.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: ONNX `Or`, `BitwiseOr`.
    Or = "or" => ScalarOp::Or
}
