//! `select`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// The second operand where the first, a bool, is true, else the third.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: ONNX `Where`.
    Select = "select" => ScalarOp::Select
}
