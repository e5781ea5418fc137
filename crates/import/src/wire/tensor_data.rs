//! The elements of a stored tensor, from whichever field or file holds them.

use bytes::Bytes;
use tracelift_tensor::{
    DType, MAX_RANK, Tensor, checked_count,
    half::{bf16_to_f32, f16_to_f32, widen_bytes},
};

use super::{DataLocation, DataType, TensorProto};
use crate::{Problem, external::External};

const SUPPORTED: &str = "supported: BOOL, INT8 to INT64, UINT8 to UINT64, FLOAT, DOUBLE; \
                         FLOAT16 and BFLOAT16 as f32";

impl DataType {
    /// The dtype with the same values, where there is one.
    pub fn dtype(self) -> Option<DType> {
        Some(match self {
            DataType::Bool => DType::Bool,
            DataType::Uint8 => DType::U8,
            DataType::Uint16 => DType::U16,
            DataType::Uint32 => DType::U32,
            DataType::Uint64 => DType::U64,
            DataType::Int8 => DType::I8,
            DataType::Int16 => DType::I16,
            DataType::Int32 => DType::I32,
            DataType::Int64 => DType::I64,
            DataType::Float => DType::F32,
            DataType::Double => DType::F64,
            _ => return None,
        })
    }

    /// How elements lie in raw bytes and become a dtype.
    fn storage(self) -> Option<Storage> {
        Some(match self {
            DataType::Float16 => Storage::Half(f16_to_f32),
            DataType::Bfloat16 => Storage::Half(bf16_to_f32),
            _ => Storage::Exact(self.dtype()?),
        })
    }
}

/// How elements lie in raw bytes.
#[derive(Clone, Copy)]
enum Storage {
    /// As a tensor of this dtype holds them.
    Exact(DType),
    /// As 16-bit floats that widen to `f32`.
    Half(fn(u16) -> f32),
}

impl Storage {
    fn size_bytes(self) -> usize {
        match self {
            Storage::Exact(dtype) => dtype.size_bytes(),
            Storage::Half(_) => size_of::<u16>(),
        }
    }

    fn tensor(self, shape: &[usize], bytes: Bytes) -> Result<Tensor, String> {
        let (dtype, bytes) = match self {
            Storage::Exact(dtype) => (dtype, bytes),
            Storage::Half(widen) => (DType::F32, widen_bytes(&bytes, widen).into()),
        };
        Tensor::from_bytes(dtype, shape, bytes).map_err(|e| e.to_string())
    }
}

/// The tensor that a message describes; raw and external bytes are shared, not copied.
///
/// FLOAT16 and BFLOAT16 widen to f32, which is exact.
///
/// # Errors
/// When the dtype has no counterpart, the extents are negative or too large, the elements are not
/// as many as the extents say, or external data break a rule of [`External`].
pub fn tensor_of(proto: &TensorProto, external: &External) -> Result<Tensor, Problem> {
    let problem = |what: String| Problem::tensor(&proto.name, what);
    let Some(storage) = DataType::try_from(proto.data_type).ok().and_then(DataType::storage) else {
        let what = format!("dtype {} is not supported", data_type_name(proto.data_type));
        return Err(problem(what).with_hint(SUPPORTED));
    };
    if proto.segment.is_some() {
        return Err(problem("a tensor in segments is not supported".into()));
    }
    let shape = extents(&proto.dims).map_err(problem)?;
    let count = checked_count(&shape);
    let Some(n_bytes) = count.and_then(|n| n.checked_mul(storage.size_bytes())) else {
        return Err(problem(format!("shape {shape:?} has more elements than can be counted")));
    };
    let bytes = bytes_of(proto, external, storage, n_bytes).map_err(problem)?;
    if bytes.len() != n_bytes {
        let found = bytes.len();
        return Err(problem(format!(
            "{found} bytes of elements, expected {n_bytes} for {shape:?}"
        )));
    }
    storage.tensor(&shape, bytes).map_err(problem)
}

/// The name of an element type's number, for messages.
fn data_type_name(number: i32) -> String {
    DataType::try_from(number).map_or(format!("number {number}"), |known| known.name().into())
}

fn extents(dims: &[i64]) -> Result<Vec<usize>, String> {
    if dims.len() > MAX_RANK {
        return Err(format!("rank {} exceeds the limit of {MAX_RANK}", dims.len()));
    }
    let extent = |&dim: &i64| {
        usize::try_from(dim).map_err(|_| format!("extent {dim}, expected one that is not negative"))
    };
    dims.iter().map(extent).collect()
}

/// The raw bytes of the elements, of any number: the caller compares with the shape.
fn bytes_of(
    proto: &TensorProto,
    external: &External,
    storage: Storage,
    n_bytes: usize,
) -> Result<Bytes, String> {
    let n_typed = [
        proto.float_data.len(),
        proto.int32_data.len(),
        proto.string_data.len(),
        proto.int64_data.len(),
        proto.double_data.len(),
        proto.uint64_data.len(),
    ];
    let n_fields = n_typed.iter().filter(|&&n| n > 0).count();
    let has_raw = proto.raw_data.as_ref().is_some_and(|raw| !raw.is_empty());
    let is_external = match DataLocation::try_from(proto.data_location) {
        Ok(location) => location == DataLocation::External,
        Err(_) => return Err(format!("data location {} is not known", proto.data_location)),
    };
    if n_fields + usize::from(has_raw) + usize::from(is_external) > 1 {
        return Err("elements in several places, expected one".into());
    }
    if is_external {
        external.bytes(&proto.external_data, n_bytes)
    } else if n_fields == 0 {
        Ok(proto.raw_data.clone().unwrap_or_default())
    } else {
        typed_bytes(proto, storage)
    }
}

/// The elements of a typed field as raw bytes.
fn typed_bytes(proto: &TensorProto, storage: Storage) -> Result<Bytes, String> {
    let Storage::Exact(dtype) = storage else {
        return collect(&proto.int32_data, |&x| Some(u16::try_from(x).ok()?.to_le_bytes()));
    };
    match dtype {
        DType::F32 => collect(&proto.float_data, |x| Some(x.to_le_bytes())),
        DType::F64 => collect(&proto.double_data, |x| Some(x.to_le_bytes())),
        DType::I64 => collect(&proto.int64_data, |x| Some(x.to_le_bytes())),
        DType::U64 => collect(&proto.uint64_data, |x| Some(x.to_le_bytes())),
        DType::U32 => collect(&proto.uint64_data, |&x| Some(u32::try_from(x).ok()?.to_le_bytes())),
        DType::I32 => collect(&proto.int32_data, |x| Some(x.to_le_bytes())),
        DType::I16 => collect(&proto.int32_data, |&x| Some(i16::try_from(x).ok()?.to_le_bytes())),
        DType::U16 => collect(&proto.int32_data, |&x| Some(u16::try_from(x).ok()?.to_le_bytes())),
        DType::I8 => collect(&proto.int32_data, |&x| Some(i8::try_from(x).ok()?.to_le_bytes())),
        DType::U8 => collect(&proto.int32_data, |&x| Some(u8::try_from(x).ok()?.to_le_bytes())),
        DType::Bool => collect(&proto.int32_data, |&x| Some([u8::from(x != 0)])),
    }
}

fn collect<T: std::fmt::Display, const N: usize>(
    elements: &[T],
    encode: impl Fn(&T) -> Option<[u8; N]>,
) -> Result<Bytes, String> {
    let mut bytes = Vec::with_capacity(elements.len() * N);
    for x in elements {
        let encoded =
            encode(x).ok_or_else(|| format!("element {x} is out of the dtype's range"))?;
        bytes.extend_from_slice(&encoded);
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests;
