//! `xor`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// Bitwise exclusive or.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: ONNX `Xor`, `BitwiseXor`.
    Xor = "xor" => ScalarOp::Xor
}
