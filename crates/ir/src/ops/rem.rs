//! `rem`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// The remainder of truncating division, with the sign of `x`; an integer remainder by 0 is 0.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: C99 `fmod`.
    Rem = "rem" => ScalarOp::Rem
}
