//! Tensors as a model file stores them.

use bytes::Bytes;

use super::StringStringEntryProto;

/// A tensor: extents, an element type, and the elements in one of several fields.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorProto {
    /// The extents.
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    /// The element type.
    #[prost(enumeration = "DataType", tag = "2")]
    pub data_type: i32,
    /// Which part of a larger tensor this is.
    #[prost(message, optional, tag = "3")]
    pub segment: Option<Segment>,
    /// Elements of `Float`; pairs of them for `Complex64`.
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    /// Elements of signed and unsigned integers up to 16 bits, `Int32` and `Bool`; the bits of
    /// shorter floats.
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    /// Elements of `String`.
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub string_data: Vec<Bytes>,
    /// Elements of `Int64`.
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    /// The tensor's name.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Text for people; kept as bytes because nothing reads it.
    #[prost(bytes = "bytes", tag = "12")]
    pub doc_string: Bytes,
    /// Elements of any type but `String`, row-major and little-endian.
    #[prost(bytes = "bytes", optional, tag = "9")]
    pub raw_data: Option<Bytes>,
    /// Where elements outside of this file are: `location`, `offset`, `length`, `checksum`.
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<StringStringEntryProto>,
    /// Whether the elements are outside of this file.
    #[prost(enumeration = "DataLocation", tag = "14")]
    pub data_location: i32,
    /// Elements of `Double`; pairs of them for `Complex128`.
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    /// Elements of `Uint32` and `Uint64`.
    #[prost(uint64, repeated, tag = "11")]
    pub uint64_data: Vec<u64>,
    /// Free key-value pairs.
    #[prost(message, repeated, tag = "16")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

/// A part of a tensor stored in several messages.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Segment {
    /// The first element.
    #[prost(int64, tag = "1")]
    pub begin: i64,
    /// The element after the last.
    #[prost(int64, tag = "2")]
    pub end: i64,
}

/// A tensor given by its elements that are not zero.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SparseTensorProto {
    /// The elements, of shape `[n]`; its name is the sparse tensor's name.
    #[prost(message, optional, tag = "1")]
    pub values: Option<TensorProto>,
    /// Their places: row-major positions `[n]` or indices `[n, rank]`, ascending.
    #[prost(message, optional, tag = "2")]
    pub indices: Option<TensorProto>,
    /// The extents.
    #[prost(int64, repeated, packed = "false", tag = "3")]
    pub dims: Vec<i64>,
}

/// Where a tensor's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum DataLocation {
    /// In the message.
    Default = 0,
    /// In a file beside the model.
    External = 1,
}

macro_rules! data_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal,)*) => {
        /// The element types of the format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
        #[repr(i32)]
        pub enum DataType { $($(#[$doc])* $name = $number,)* }

        impl DataType {
            /// The format's own name, such as `FLOAT16`.
            pub fn name(self) -> &'static str {
                match self { $(DataType::$name => $text,)* }
            }
        }
    };
}

data_types! {
    /// Not said.
    Undefined = 0 "UNDEFINED",
    /// IEEE 754 binary32.
    Float = 1 "FLOAT",
    /// Unsigned 8-bit integer.
    Uint8 = 2 "UINT8",
    /// Signed 8-bit integer.
    Int8 = 3 "INT8",
    /// Unsigned 16-bit integer.
    Uint16 = 4 "UINT16",
    /// Signed 16-bit integer.
    Int16 = 5 "INT16",
    /// Signed 32-bit integer.
    Int32 = 6 "INT32",
    /// Signed 64-bit integer.
    Int64 = 7 "INT64",
    /// Text.
    String = 8 "STRING",
    /// A truth value.
    Bool = 9 "BOOL",
    /// IEEE 754 binary16.
    Float16 = 10 "FLOAT16",
    /// IEEE 754 binary64.
    Double = 11 "DOUBLE",
    /// Unsigned 32-bit integer.
    Uint32 = 12 "UINT32",
    /// Unsigned 64-bit integer.
    Uint64 = 13 "UINT64",
    /// A complex number of two binary32.
    Complex64 = 14 "COMPLEX64",
    /// A complex number of two binary64.
    Complex128 = 15 "COMPLEX128",
    /// The high half of a binary32.
    Bfloat16 = 16 "BFLOAT16",
    /// 8-bit float, 4 exponent bits, no infinities.
    Float8e4m3fn = 17 "FLOAT8E4M3FN",
    /// 8-bit float, 4 exponent bits, no infinities, no −0.
    Float8e4m3fnuz = 18 "FLOAT8E4M3FNUZ",
    /// 8-bit float, 5 exponent bits.
    Float8e5m2 = 19 "FLOAT8E5M2",
    /// 8-bit float, 5 exponent bits, no infinities, no −0.
    Float8e5m2fnuz = 20 "FLOAT8E5M2FNUZ",
    /// Unsigned 4-bit integer, two per byte.
    Uint4 = 21 "UINT4",
    /// Signed 4-bit integer, two per byte.
    Int4 = 22 "INT4",
    /// 4-bit float, two per byte.
    Float4e2m1 = 23 "FLOAT4E2M1",
    /// 8-bit power of two.
    Float8e8m0 = 24 "FLOAT8E8M0",
    /// Unsigned 2-bit integer, four per byte.
    Uint2 = 25 "UINT2",
    /// Signed 2-bit integer, four per byte.
    Int2 = 26 "INT2",
    /// 6-bit float, 2 exponent bits.
    Float6e2m3 = 27 "FLOAT6E2M3",
    /// 6-bit float, 3 exponent bits.
    Float6e3m2 = 28 "FLOAT6E3M2",
}
