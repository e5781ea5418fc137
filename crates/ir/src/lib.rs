//! The graph language: graph, operators, builder, text form, verifier, reference interpreter.

#![forbid(unsafe_code)]

mod attribute;
mod builder;
mod dot;
pub mod elementwise;
mod equality;
mod error;
mod graph;
mod interpret;
mod json;
mod operator;
pub mod ops;
mod provenance;
mod structure;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
mod ty;
pub mod verify;

pub use attribute::{Attribute, Literal};
pub use builder::Builder;
pub use dot::to_dot;
pub use error::{EvalError, GradError, TypeError};
pub use graph::{
    Constant, ConstantData, Graph, GraphResult, Node, NodeId, NodeKind, OrderKey, Value,
};
pub use interpret::{Replace, bind_inputs, interpret, rebuild};
pub use json::{JsonError, from_json, to_json};
pub use operator::{
    AttributeError, AttributeTexts, Composite, OpKind, Primitive, Role, Syntax, take_attribute,
};
pub use ops::*;
pub use provenance::{Origin, Provenance};
pub use structure::{
    Access, Coordinate, Fold, FoldKind, Gather, Movement, Piece, Scan, Scatter, ScatterKind, Sort,
    Structure,
};
pub use text::{PrintOptions, parse_graph};
pub use ty::{Shape, TensorType};
pub use verify::{Violation, verify};
