//! `sign`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// −1, 0 or 1; both zeros give 0, NaN gives NaN.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: ONNX `Sign`.
    Sign = "sign" => ScalarOp::Sign
}
