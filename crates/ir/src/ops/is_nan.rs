//! `is_nan`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// Whether `x` is NaN.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: ONNX `IsNaN`.
    IsNan = "is_nan" => ScalarOp::IsNan
}
