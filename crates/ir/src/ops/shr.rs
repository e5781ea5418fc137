//! `shr`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// `x` shifted right by `y` bits; signed integers keep their sign.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: ONNX `BitShift`.
    Shr = "shr" => ScalarOp::Shr
}
