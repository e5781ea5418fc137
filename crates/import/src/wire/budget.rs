//! How much memory decoding takes, found by walking the bytes before anything is allocated.
//!
//! Two bytes of a file can become a message of hundreds, so that a small file could ask for all
//! memory. The walk follows the same fields as the messages and counts what each one allocates.

use std::ops::Range;

/// Messages nested deeper than this are refused; the decoder's own limit is the same.
const MAX_DEPTH: usize = 100;

/// The memory of one message; no message's own size is larger.
const MESSAGE_BYTES: u64 = 384;

/// The memory of one text or byte field beside its contents.
const TEXT_BYTES: u64 = 32;

/// The kinds of messages.
#[derive(Clone, Copy)]
pub(super) enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    ValueInfo,
    Type,
    /// Sequence and optional types.
    Wrapper,
    MapType,
    TensorType,
    Shape,
    Annotation,
    Training,
    Function,
    /// A message that holds no messages.
    Leaf,
}

/// What a length-delimited field holds.
enum Field {
    Message(Message),
    Varints,
    /// Numbers of fixed size, stored as they are.
    Numbers,
    Text,
    /// Bytes that stay in the file.
    Shared,
}

impl Message {
    /// What a field of this message holds when its wire type is length-delimited.
    fn field(self, number: u64) -> Field {
        use Field::{Numbers, Shared, Text, Varints};
        use Message as M;
        let message = match (self, number) {
            (M::Model, 7) | (M::Training, 1 | 2) | (M::Attribute, 6 | 11) => M::Graph,
            (M::Model, 20) => M::Training,
            (M::Model, 25) => M::Function,
            (M::Graph, 1) | (M::Function, 7) => M::Node,
            (M::Graph, 5) | (M::SparseTensor, 1 | 2) | (M::Attribute, 5 | 10) => M::Tensor,
            (M::Graph, 15) | (M::Attribute, 22 | 23) => M::SparseTensor,
            (M::Graph, 11..=13) | (M::Function, 12) => M::ValueInfo,
            (M::Graph, 14) => M::Annotation,
            (M::Node, 5) | (M::Function, 11) => M::Attribute,
            (M::Attribute, 14 | 15) | (M::ValueInfo, 2) => M::Type,
            (M::Wrapper, 1) | (M::MapType, 2) => M::Type,
            (M::Type, 4 | 9) => M::Wrapper,
            (M::Type, 5) => M::MapType,
            (M::Type, 1 | 8) => M::TensorType,
            (M::TensorType, 2) => M::Shape,
            (M::Model, 8 | 14) | (M::Graph, 16) | (M::Node, 9) => M::Leaf,
            (M::Tensor, 3 | 13 | 16) | (M::ValueInfo, 4) | (M::Annotation, 2) => M::Leaf,
            (M::Type, 7) | (M::Shape, 1) | (M::Training, 3 | 4) | (M::Function, 9 | 14) => M::Leaf,
            (M::Tensor, 1 | 5 | 7 | 11) | (M::SparseTensor, 3) | (M::Attribute, 8) => {
                return Varints;
            }
            (M::Tensor, 4 | 10) | (M::Attribute, 7) => return Numbers,
            (M::Tensor, 6 | 9 | 12) | (M::Attribute, 4 | 9 | 13) => return Shared,
            _ => return Text,
        };
        Field::Message(message)
    }
}

/// An estimate, from above, of the memory that decoding `bytes` allocates.
///
/// # Errors
/// When the bytes are not a protobuf message or nest too deep; the text says how.
pub(super) fn decoded_bytes(message: Message, bytes: &[u8]) -> Result<u64, String> {
    walk(message, bytes, 0..bytes.len(), 0)
}

fn walk(message: Message, file: &[u8], range: Range<usize>, depth: usize) -> Result<u64, String> {
    if depth >= MAX_DEPTH {
        return Err(format!("messages nested deeper than {MAX_DEPTH} at byte {}", range.start));
    }
    let mut total = MESSAGE_BYTES;
    let mut at = range.start;
    while at < range.end {
        let key = varint(file, &mut at, range.end)?;
        let payload = match key & 7 {
            0 => {
                varint(file, &mut at, range.end)?;
                total += size_of::<u64>() as u64;
                continue;
            }
            1 => 8,
            5 => 4,
            2 => varint(file, &mut at, range.end)?,
            other => return Err(format!("wire type {other} before byte {at}")),
        };
        let inner = slice(at, payload, range.end)?;
        at = inner.end;
        total = total.saturating_add(match (key & 7, message.field(key >> 3)) {
            (2, Field::Message(kind)) => walk(kind, file, inner, depth + 1)?,
            (2, Field::Varints) => 8 * n_varints(&file[inner]),
            (2, Field::Shared) => TEXT_BYTES,
            (2, Field::Text) => TEXT_BYTES + payload,
            _ => payload,
        });
    }
    Ok(total)
}

/// The place of `length` bytes at `at`, which end no later than `end`.
fn slice(at: usize, length: u64, end: usize) -> Result<Range<usize>, String> {
    let stop = usize::try_from(length).ok().and_then(|n| at.checked_add(n));
    match stop {
        Some(stop) if stop <= end => Ok(at..stop),
        _ => Err(format!("a field of {length} bytes at byte {at} where {} are left", end - at)),
    }
}

fn varint(file: &[u8], at: &mut usize, end: usize) -> Result<u64, String> {
    let start = *at;
    let mut value = 0;
    for (k, &byte) in file[start..end].iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * k);
        if byte < 0x80 {
            *at = start + k + 1;
            return Ok(value);
        }
    }
    Err(format!("a number without end at byte {start}"))
}

/// How many varints a run of bytes holds; each ends with a byte below 128.
fn n_varints(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte < 0x80).count() as u64
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::wire::{
        AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto,
        TensorProto, TrainingInfoProto, TypeProto, ValueInfoProto,
    };

    #[test]
    fn no_message_is_larger_than_counted() {
        macro_rules! largest {
            ($($ty:ty)*) => { [$(size_of::<$ty>()),*].into_iter().max().unwrap() as u64 };
        }
        let largest = largest! {
            AttributeProto GraphProto NodeProto TensorProto TypeProto ValueInfoProto
        };
        assert!(largest <= MESSAGE_BYTES, "{largest}");
        // A message inside another one is counted for itself.
        let largest = largest! { ModelProto FunctionProto TrainingInfoProto SparseTensorProto };
        assert!(largest <= 2 * MESSAGE_BYTES, "{largest}");
    }

    #[test]
    fn empty_nodes_cost_their_messages() {
        let graph = GraphProto { node: vec![NodeProto::default(); 1000], ..Default::default() };
        let bytes = graph.encode_to_vec();
        assert_eq!(bytes.len(), 2000);
        assert_eq!(decoded_bytes(Message::Graph, &bytes), Ok(1001 * MESSAGE_BYTES));
    }

    #[test]
    fn raw_data_costs_nothing_and_numbers_their_size() {
        let raw = TensorProto { raw_data: Some(vec![0; 5000].into()), ..Default::default() };
        let cost = |tensor: &TensorProto| decoded_bytes(Message::Tensor, &tensor.encode_to_vec());
        assert_eq!(cost(&raw), Ok(MESSAGE_BYTES + TEXT_BYTES));
        let packed = TensorProto { int64_data: vec![-1, 1, 300], ..Default::default() };
        assert_eq!(cost(&packed), Ok(MESSAGE_BYTES + 24));
    }

    #[test]
    fn hostile_bytes_are_described() {
        for (bytes, text) in [
            (&[0x0b][..], "wire type 3 before byte 1"),
            (&[0x0a, 0x05, 0x00], "a field of 5 bytes at byte 2 where 1 are left"),
            (&[0x80], "a number without end at byte 0"),
            (&[0xff; 20], "a number without end at byte 0"),
        ] {
            assert_eq!(decoded_bytes(Message::Graph, bytes), Err(text.to_string()));
        }
        let mut nested = Vec::new();
        for depth in 0..MAX_DEPTH {
            // A type in a sequence type, and a sequence type in a type.
            let mut outer = vec![if depth % 2 == 1 { 0x0a } else { 0x22 }];
            prost::encoding::encode_varint(nested.len() as u64, &mut outer);
            outer.append(&mut nested);
            nested = outer;
        }
        let error = decoded_bytes(Message::Wrapper, &nested).unwrap_err();
        assert!(error.starts_with("messages nested deeper than 100"), "{error}");
    }
}
