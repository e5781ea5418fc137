//! `ne`.

use tracelift_scalar::Op as ScalarOp;

use crate::elementwise;

elementwise! {
    /// `x ≠ y`; true where either is NaN.
    ///
    /// (C1) The operands have equal shapes.
    /// (C2) Their dtypes fit the scalar operation of the same name.
    ///
    /// Source: IEEE 754.
    Ne = "ne" => ScalarOp::Ne
}
