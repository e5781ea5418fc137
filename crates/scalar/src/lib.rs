//! The scalar language: typed expressions over single numbers, and quasi-affine index maps.

#![forbid(unsafe_code)]

mod eval;
mod expr;
pub mod index;
mod op;
mod special;

pub use expr::{Expr, ExprBuilder, ExprId, ExprNode};
pub use index::{Guard, IndexExpr, IndexTerm, delinearise, linearise};
pub use op::{Op, OpTypeError};
