//! `trunc`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// The integer part.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: C99 `trunc`.
    Trunc = "trunc" => ScalarOp::Trunc
}
