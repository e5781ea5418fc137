//! The types of values.

use bytes::Bytes;

use super::StringStringEntryProto;

/// A value's name and type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ValueInfoProto {
    /// The value.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its type, where it is said.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
    /// Text for people; kept as bytes because nothing reads it.
    #[prost(bytes = "bytes", tag = "3")]
    pub doc_string: Bytes,
    /// Free key-value pairs.
    #[prost(message, repeated, tag = "4")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

/// The type of a value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TypeProto {
    /// What the meaning of the value is, such as `IMAGE`.
    #[prost(string, tag = "6")]
    pub denotation: String,
    /// The type proper.
    #[prost(oneof = "TypeValue", tags = "1, 4, 5, 7, 8, 9")]
    pub value: Option<TypeValue>,
}

/// The kinds of types.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum TypeValue {
    /// A dense tensor.
    #[prost(message, tag = "1")]
    Tensor(TensorType),
    /// A list of values of one type.
    #[prost(message, tag = "4")]
    Sequence(Box<SequenceType>),
    /// A dictionary.
    #[prost(message, tag = "5")]
    Map(Box<MapType>),
    /// A type known by its name alone.
    #[prost(message, tag = "7")]
    Opaque(OpaqueType),
    /// A sparse tensor.
    #[prost(message, tag = "8")]
    SparseTensor(SparseTensorType),
    /// A value or nothing.
    #[prost(message, tag = "9")]
    Optional(Box<OptionalType>),
}

/// A dense tensor's type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorType {
    /// The element type, a number of [`DataType`](super::DataType).
    #[prost(enumeration = "super::DataType", tag = "1")]
    pub elem_type: i32,
    /// The extents; absent when even the rank is unknown.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// A sparse tensor's type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SparseTensorType {
    /// The element type, a number of [`DataType`](super::DataType).
    #[prost(enumeration = "super::DataType", tag = "1")]
    pub elem_type: i32,
    /// The extents; absent when even the rank is unknown.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// A list's type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SequenceType {
    /// The type of each element.
    #[prost(message, optional, tag = "1")]
    pub elem_type: Option<TypeProto>,
}

/// A dictionary's type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MapType {
    /// The type of keys: an integer or text, a number of [`DataType`](super::DataType).
    #[prost(enumeration = "super::DataType", tag = "1")]
    pub key_type: i32,
    /// The type of values.
    #[prost(message, optional, tag = "2")]
    pub value_type: Option<TypeProto>,
}

/// The type of a value that may be absent.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OptionalType {
    /// The type of the value when present.
    #[prost(message, optional, tag = "1")]
    pub elem_type: Option<TypeProto>,
}

/// A type known by its name alone.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OpaqueType {
    /// The domain that owns the name.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// The name.
    #[prost(string, tag = "2")]
    pub name: String,
}

/// The extents of a tensor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorShapeProto {
    /// One entry per axis.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

/// One extent.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DimensionProto {
    /// The extent; absent when unknown.
    #[prost(oneof = "DimensionValue", tags = "1, 2")]
    pub value: Option<DimensionValue>,
    /// What the axis means, such as `DATA_BATCH`.
    #[prost(string, tag = "3")]
    pub denotation: String,
}

/// A known or named extent.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum DimensionValue {
    /// A number.
    #[prost(int64, tag = "1")]
    Value(i64),
    /// A symbol: equal names mean equal extents.
    #[prost(string, tag = "2")]
    Param(String),
}
