//! Compiled kernels: what they compute, and the object files they go into.

mod bounds;
mod common;
mod conditions;
mod differential;
mod gemm;
mod object;
mod random;
mod transpose;
