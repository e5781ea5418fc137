//! `abs`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// `|x|`; the lowest integer stays itself.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: ONNX `Abs`.
    Abs = "abs" => ScalarOp::Abs
}
