//! `floor`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// The largest integer not above `x`.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: ONNX `Floor`.
    Floor = "floor" => ScalarOp::Floor
}
