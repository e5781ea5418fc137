//! The ONNX file format: its messages, and reading them from hostile files.
//!
//! In: a `.onnx` file.  Out: a decoded [`Model`] that shares the mapped bytes, and tensors of it.
//! Not here: what operators mean.
//!
//! The messages follow `onnx-ml.proto` up to IR version 14 (operator set 28). Left out, and skipped
//! when present: device configurations, which say where a node runs and not what it computes.

mod budget;
mod graph;
mod model;
mod read;
mod tensor;
mod tensor_data;
mod types;

pub use graph::{AttributeProto, AttributeType, GraphProto, NodeProto, TensorAnnotation};
pub use model::{
    FunctionProto, ModelProto, OperatorSetIdProto, StringStringEntryProto, TrainingInfoProto,
};
pub use read::{MAX_IR_VERSION, MAX_OPSET, Model, decode_model, read_model, read_tensor};
pub use tensor::{DataLocation, DataType, Segment, SparseTensorProto, TensorProto};
pub use tensor_data::tensor_of;
pub use types::{
    DimensionProto, DimensionValue, MapType, OpaqueType, OptionalType, SequenceType,
    SparseTensorType, TensorShapeProto, TensorType, TypeProto, TypeValue, ValueInfoProto,
};
