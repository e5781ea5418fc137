//! `pow`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// `xʸ`; integers by wrapping multiplication.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: ONNX `Pow`.
    Pow = "pow" => ScalarOp::Pow
}
