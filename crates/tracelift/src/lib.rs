//! Tracelift: a static-graph compiler for neural networks.

#![forbid(unsafe_code)]

pub mod testing;
