//! The text form of graphs.

mod dim;

pub use dim::parse_dim;
