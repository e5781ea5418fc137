//! Graph-to-graph passes and their manager.
//!
//! A pipeline is a list of pass names ([`pipelines`]); [`PassManager`] runs one over a graph,
//! checks each step and reports what happened.

#![forbid(unsafe_code)]

mod assign_layouts;
mod compute_constants;
mod decompose;
mod elementwise;
mod error;
mod evaluate;
mod fingerprint;
mod fold_batch_norm;
mod fold_constants;
mod manager;
mod matching;
mod merge_common;
mod pass;
pub mod pipelines;
mod recognise;
mod registry;
mod remove_dead;
mod rewrite;
mod simplify;
mod sink_transposes;
mod spell_out;

pub use decompose::decompose_except;
pub use error::PassError;
pub use manager::{Options, PassManager, PassReport, PassRun};
pub use pass::{Changed, Evaluator, Pass, PassCx};
pub use registry::{Entry, all, find};
pub use rewrite::{Law, Rewrite, rewrite_to_fixpoint};
