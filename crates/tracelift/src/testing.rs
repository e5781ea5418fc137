//! What tests that cross crates need to see of the inside.

pub use tracelift_ir as ir;
pub use tracelift_scalar as scalar;
