//! `and`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// Bitwise and.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: ONNX `And`, `BitwiseAnd`.
    And = "and" => ScalarOp::And
}
