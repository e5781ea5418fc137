//! The text form of expressions, such as `let t0 = exp(x0); div(t0, add(t0, 1.0))`.
//!
//! `x0` is an input, `i0` an index, a call an operation. What is used twice is bound by `let`, and so
//! is what would nest too deep. A literal stands bare where another operand that is no literal has its
//! dtype, or where it is a bool; anywhere else its dtype goes before it, as in `f32:2.0`.
//! Parsing what is printed gives the same expression.

mod parse;
mod print;
#[cfg(test)]
mod tests;

pub use parse::ParseExprError;

use crate::Op;

/// Whether two operands of an operation always have the same dtype.
fn share_dtype(op: Op, one: usize, other: usize) -> bool {
    match op {
        Op::Select => one > 0 && other > 0,
        _ => true,
    }
}
