//! `atanh`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// The inverse hyperbolic tangent.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: ONNX `Atanh`.
    Atanh = "atanh" => ScalarOp::Atanh
}
