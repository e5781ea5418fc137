//! The graph language: graph, operators, builder, text form, verifier, reference interpreter.

#![forbid(unsafe_code)]

mod attribute;
mod builder;
pub mod elementwise;
mod error;
mod graph;
mod interpret;
mod operator;
pub mod ops;
mod provenance;
mod structure;
pub mod text;
mod ty;

pub use attribute::{Attribute, Literal};
pub use builder::Builder;
pub use error::{EvalError, GradError, TypeError};
pub use graph::{
    Constant, ConstantData, Graph, GraphResult, Node, NodeId, NodeKind, OrderKey, Value,
};
pub use interpret::{bind_inputs, interpret, rebuild};
pub use operator::{
    AttributeError, AttributeTexts, Composite, OpKind, Primitive, Role, Syntax, take_attribute,
};
pub use ops::*;
pub use provenance::{Origin, Provenance};
pub use structure::{
    Access, Coordinate, Fold, FoldKind, Gather, Movement, Piece, Scan, Scatter, ScatterKind, Sort,
    Structure,
};
pub use ty::{Shape, TensorType};
