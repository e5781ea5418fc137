//! The scalar language: typed expressions over single numbers, and quasi-affine index maps.

#![forbid(unsafe_code)]

pub mod check;
mod derivative;
mod eval;
mod expand;
mod expr;
pub mod index;
mod lanes;
mod op;
mod simplify;
mod special;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;

pub use derivative::derivative;
pub use expand::{expand, expansion_of};
pub use expr::{Expr, ExprBuilder, ExprId, ExprNode};
pub use index::{Guard, IndexExpr, IndexTerm, IndexTerms, delinearise, linearise};
pub use lanes::Lanes;
pub use op::{Op, OpTypeError};
pub use simplify::simplify;
pub use text::ParseExprError;
