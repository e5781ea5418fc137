//! `max`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// The larger; NaN where either is NaN; `x` where they compare equal.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: ONNX `Max`.
    Max = "max" => ScalarOp::Max
}
