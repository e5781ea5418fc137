//! The sign of a number.

use super::term::Term;

/// −1, 0 or 1, exactly; `|x|` is 0 for both zeros and NaN for NaN.
pub(super) fn sign(x: Term<'_>) -> Term<'_> {
    let zero = x.literal(0.0);
    let negative = x.lt(zero).select(x.literal(-1.0), x.abs());
    x.gt(zero).select(x.literal(1.0), negative)
}
