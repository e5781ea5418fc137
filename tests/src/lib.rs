//! Tests that cross crates: filetests, operator conformance, models, random graphs.

#![forbid(unsafe_code)]

pub mod agreement;
pub mod conformance;
pub mod engine;
pub mod noise;
pub mod number_text;
pub mod widths;
