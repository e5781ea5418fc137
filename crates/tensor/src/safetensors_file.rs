//! Reading and writing safetensors files.
//!
//! Format: a header length (u64), a JSON header, then the tensors' bytes, all little-endian.
//! Source: `huggingface/safetensors`, README, section Format.

use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use safetensors::{Dtype, SafeTensors, tensor::TensorInfo};

use crate::{
    DType, FileError, MAX_RANK, Tensor,
    half::{bf16_to_f32, f16_to_f32, widen_bytes},
    map_file,
    replaced_file::replace_file,
};

const SUPPORTED: &str =
    "BOOL, U8, U16, U32, U64, I8, I16, I32, I64, F32, F64; F16 and BF16 widened to f32";

/// The header key that holds no tensor.
const METADATA_KEY: &str = "__metadata__";

/// Reads every tensor in file order; the bytes stay in the mapped file.
///
/// F16 and BF16 tensors are widened to f32, which is exact and copies.
///
/// # Errors
/// When the file cannot be read or is malformed, or a tensor has another dtype than ours.
pub fn read_safetensors(path: &Path) -> Result<Vec<(String, Tensor)>, FileError> {
    parse_safetensors(map_file(path)?, path)
}

/// Reads every tensor from the bytes of a safetensors file, sharing them.
///
/// # Errors
/// As [`read_safetensors`]; `path` serves messages only.
pub fn parse_safetensors(bytes: Bytes, path: &Path) -> Result<Vec<(String, Tensor)>, FileError> {
    let broken = |reason: String| malformed(path, "the header", reason);
    let (header_bytes, metadata) =
        SafeTensors::read_metadata(&bytes).map_err(|e| broken(e.to_string()))?;
    let data = bytes.slice(size_of::<u64>() + header_bytes..);
    let mut tensors: Vec<(String, &TensorInfo)> = metadata.tensors().into_iter().collect();
    // Empty tensors share their offsets, and then the name decides.
    tensors.sort_by(|(a, x), (b, y)| (x.data_offsets, a).cmp(&(y.data_offsets, b)));
    let read = |(name, info): (String, &TensorInfo)| {
        let tensor = tensor_of(&data, &name, info, path)?;
        Ok((name, tensor))
    };
    tensors.into_iter().map(read).collect()
}

fn malformed(path: &Path, what: &str, found: String) -> FileError {
    let expected = "a well-formed safetensors file".to_string();
    FileError::Malformed { path: path.to_path_buf(), what: what.into(), found, expected }
}

fn tensor_of(
    data: &Bytes,
    name: &str,
    info: &TensorInfo,
    path: &Path,
) -> Result<Tensor, FileError> {
    let what = format!("tensor '{}'", name.escape_debug());
    if info.shape.len() > MAX_RANK {
        let (found, limit) = (format!("rank {}", info.shape.len()), format!("rank {MAX_RANK}"));
        return Err(FileError::TooLarge { path: path.to_path_buf(), what, found, limit });
    }
    let (begin, end) = info.data_offsets;
    if begin > end || end > data.len() {
        return Err(malformed(path, &what, format!("offsets {begin}..{end}")));
    }
    let bytes = data.slice(begin..end);
    let (dtype, bytes) = match info.dtype {
        Dtype::BOOL => (DType::Bool, bytes),
        Dtype::U8 => (DType::U8, bytes),
        Dtype::U16 => (DType::U16, bytes),
        Dtype::U32 => (DType::U32, bytes),
        Dtype::U64 => (DType::U64, bytes),
        Dtype::I8 => (DType::I8, bytes),
        Dtype::I16 => (DType::I16, bytes),
        Dtype::I32 => (DType::I32, bytes),
        Dtype::I64 => (DType::I64, bytes),
        Dtype::F32 => (DType::F32, bytes),
        Dtype::F64 => (DType::F64, bytes),
        Dtype::F16 => (DType::F32, widen_bytes(&bytes, f16_to_f32).into()),
        Dtype::BF16 => (DType::F32, widen_bytes(&bytes, bf16_to_f32).into()),
        other => {
            let (path, found) = (path.to_path_buf(), other.to_string());
            return Err(FileError::UnsupportedDType { path, what, found, supported: SUPPORTED });
        }
    };
    let tensor = Tensor::from_bytes(dtype, &info.shape, bytes);
    tensor.map_err(|e| malformed(path, &what, e.to_string()))
}

/// Writes tensors; an existing file is replaced at once, and equal tensors give equal bytes.
///
/// Tensors of larger elements come first, otherwise the given order is kept, so that every tensor
/// is aligned for its elements.
///
/// # Errors
/// When the file cannot be written, two tensors share a name, or one is named `__metadata__`.
pub fn write_safetensors(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), FileError> {
    let mut names = BTreeSet::from([METADATA_KEY]);
    if let Some((name, _)) = tensors.iter().find(|(name, _)| !names.insert(name)) {
        return Err(FileError::DuplicateName { path: PathBuf::from(path), name: name.clone() });
    }
    let mut ordered: Vec<&(String, Tensor)> = tensors.iter().collect();
    ordered.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.dtype().size_bytes()));
    let header = header(&ordered);
    replace_file(path, |file| {
        let write = || {
            let mut out = std::io::BufWriter::new(file);
            out.write_all(&(header.len() as u64).to_le_bytes())?;
            out.write_all(header.as_bytes())?;
            for (_, tensor) in ordered {
                out.write_all(tensor.bytes())?;
            }
            out.flush()
        };
        write().map_err(FileError::io(path, "writing"))
    })
}

/// The JSON header, padded so that the data after it is aligned to 8 bytes.
fn header(tensors: &[&(String, Tensor)]) -> String {
    let mut begin = 0;
    let entry = |(name, tensor): &&(String, Tensor)| {
        let name = serde_json::Value::from(name.as_str());
        let end = begin + tensor.bytes().len();
        let (dtype, shape) = (tensor.dtype().name().to_uppercase(), tensor.shape());
        let text = format!(
            r#"{name}:{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{begin},{end}]}}"#
        );
        begin = end;
        text
    };
    let entries: Vec<String> = tensors.iter().map(entry).collect();
    let mut text = format!("{{{}}}", entries.join(","));
    text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scalar;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    fn parse(bytes: &[u8]) -> Result<Vec<(String, Tensor)>, FileError> {
        parse_safetensors(Bytes::copy_from_slice(bytes), Path::new("x.safetensors"))
    }

    fn one_of_each() -> Vec<(String, Tensor)> {
        let mut tensors: Vec<_> = DType::ALL
            .into_iter()
            .map(|dtype| (format!("a \"{dtype}\""), Tensor::splat(Scalar::one(dtype), &[3])))
            .collect();
        tensors.push(("empty".into(), Tensor::new::<f32>(&[0, 2], &[])));
        tensors
    }

    #[test]
    fn what_is_written_reads_back_aligned() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let tensors = one_of_each();
        write_safetensors(&path, &tensors).unwrap();
        let read = read_safetensors(&path).unwrap();
        assert_eq!(read.len(), tensors.len());
        for (name, tensor) in &read {
            assert!(tensors.contains(&(name.clone(), tensor.clone())), "{name}");
            assert_eq!(tensor.bytes().as_ptr() as usize % tensor.dtype().size_bytes(), 0);
        }
        let bytes = std::fs::read(&path).unwrap();
        write_safetensors(&path, &read).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn tensors_share_the_file() {
        let header = r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let bytes = Bytes::from(file(header, &1f32.to_le_bytes()));
        let read = parse_safetensors(bytes.clone(), Path::new("x")).unwrap();
        assert_eq!(read[0].1.bytes().as_ptr(), bytes[bytes.len() - 4..].as_ptr());
    }

    #[test]
    fn halves_widen_and_others_are_refused() {
        let header =
            |dtype| format!(r#"{{"w":{{"dtype":"{dtype}","shape":[2],"data_offsets":[0,4]}}}}"#);
        let halves = parse(&file(&header("F16"), &[0x00, 0x3c, 0x00, 0xc0])).unwrap();
        assert_eq!(halves[0].1, Tensor::new(&[2], &[1f32, -2.0]));
        let brains = parse(&file(&header("BF16"), &[0x80, 0x3f, 0x00, 0xc0])).unwrap();
        assert_eq!(brains[0].1, Tensor::new(&[2], &[1f32, -2.0]));
        let eighths = header("F8_E5M2").replace("[0,4]", "[0,2]");
        let error = parse(&file(&eighths, &[0; 2])).unwrap_err().to_string();
        let start = "TL0104: x.safetensors: tensor 'w': dtype F8_E5M2 is not supported";
        assert!(error.starts_with(start), "{error}");
    }

    #[test]
    fn names_that_clash_are_not_written() {
        for name in ["x", METADATA_KEY] {
            let tensor = Tensor::scalar(Scalar::Bool(true));
            let tensors = [("x".into(), tensor.clone()), (name.to_string(), tensor)];
            let error = write_safetensors(Path::new("unused"), &tensors).unwrap_err();
            assert!(matches!(error, FileError::DuplicateName { .. }));
        }
    }

    #[test]
    fn hostile_headers_are_refused() {
        let deep = "[".repeat(100_000);
        let long = format!("[{}1]", "1,".repeat(MAX_RANK));
        for (shape, offsets) in [
            ("[4611686018427387904,8]", "[0,4]"),
            ("[-1]", "[0,4]"),
            ("[1]", "[0,18446744073709551615]"),
            ("[1]", "[4,0]"),
            ("[2]", "[0,4]"),
            (&long, "[0,4]"),
            (&deep, "[0,4]"),
        ] {
            let header =
                format!(r#"{{"x":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#);
            assert!(parse(&file(&header, &[0; 4])).is_err());
        }
    }

    #[test]
    fn mutated_files_never_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        write_safetensors(&path, &one_of_each()).unwrap();
        let original = std::fs::read(&path).unwrap();
        for at in 0..original.len() {
            assert!(parse(&original[..at]).is_err(), "truncated to {at}");
            for flip in [0x01, 0x04, 0x10, 0x80, 0xff] {
                let mut bytes = original.clone();
                bytes[at] ^= flip;
                let _ = parse(&bytes);
            }
        }
    }
}
