//! `div`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// `x / y`; integers truncate, and division by 0 gives 0.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: ONNX `Div`.
    Div = "div" => ScalarOp::Div
}
