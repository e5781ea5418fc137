//! `not`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// Complements every bit; logical negation of a bool.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: ONNX `Not`, `BitwiseNot`.
    Not = "not" => ScalarOp::Not
}
