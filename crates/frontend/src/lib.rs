//! Tracing of Rust closures, and neural-network modules with PyTorch's names and defaults.
//!
//! [`trace()`] runs a closure once over symbolic tensors ([`Var`]) and returns the graph of what it
//! did. [`nn`] has the layers; parameters come by name from a state dict.
//!
//! ```
//! use tracelift_frontend::{Var, f32, nn, nn::{Forward as _, Module}, trace};
//!
//! struct Cnn {
//!     features: nn::Sequential,
//!     head: nn::Sequential,
//! }
//!
//! impl Module for Cnn {
//!     fn visit(&self, visitor: &mut nn::Visitor<'_>) {
//!         visitor.child("features", &self.features).child("head", &self.head);
//!     }
//! }
//!
//! impl nn::Forward for Cnn {
//!     fn forward(&self, x: &Var) -> Var {
//!         self.head.forward(&self.features.forward(x))
//!     }
//! }
//!
//! let model = Cnn {
//!     features: nn::sequential![nn::Conv2d::new(1, 8, 3).padding(1), nn::ReLU::new()],
//!     head: nn::sequential![nn::Flatten::new(), nn::Linear::new(8 * 6 * 6, 10)],
//! };
//! assert_eq!(model.named_parameters()[0].0, "features.0.weight");
//!
//! // Any number of images: `B` is a symbolic extent.
//! let graph = trace("cnn", &[("x", f32(("B", 1, 6, 6)))], |[x]| model.call(&x).softmax(-1))?;
//! assert_eq!(graph.ty(graph.results()[0].value).to_string(), "f32[B, 10]");
//!
//! // A mistake is an error at its line, not a panic.
//! let error = trace("cnn", &[("x", f32([1, 1, 8, 8]))], |[x]| model.call(&x)).unwrap_err();
//! assert!(error.to_string().contains("Linear: input has 512 features, expected 288"));
//! # Ok::<(), tracelift_frontend::TraceError>(())
//! ```

#![forbid(unsafe_code)]

mod error;
pub mod nn;
mod scope;
mod spec;
mod trace;
mod var;

pub(crate) use error::Fault;
pub use error::{Mistake, MistakeKind, TraceError};
pub use spec::{Dims, bool, f32, f64, i32, i64, spec, u8};
pub use trace::{ResultItem, Results, trace, trace_list};
pub use var::{Axes, Term, Var};
