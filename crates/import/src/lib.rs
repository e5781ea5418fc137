//! Readers of ONNX files and Hugging Face checkpoints.

#![forbid(unsafe_code)]

mod error;
pub mod external;
pub mod wire;

pub use error::{ImportError, Problem, Subject};
