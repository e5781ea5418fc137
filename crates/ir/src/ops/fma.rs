//! `fma`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// `x · y + z`, rounded once.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: IEEE 754.
    Fma = "fma" => ScalarOp::Fma
}
