//! `shl`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// `x` shifted left by `y` bits; 0 once every bit is out.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: ONNX `BitShift`.
    Shl = "shl" => ScalarOp::Shl
}
