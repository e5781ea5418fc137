//! Tests of the numpy formats; the archives under `tests/data` were written by numpy 2.4.

use super::*;
use crate::{DType, Scalar};

const STORED: &[u8] = include_bytes!("../../tests/data/numpy_stored.npz");
const DEFLATED: &[u8] = include_bytes!("../../tests/data/numpy_deflated.npz");

fn parse(bytes: &[u8]) -> Result<Vec<(String, Tensor)>, FileError> {
    parse_npz(Bytes::copy_from_slice(bytes), Path::new("x.npz"))
}

fn npy(descr: &str, is_fortran: &str, shape: &str, data: &[u8]) -> Result<Tensor, FileError> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': {is_fortran}, 'shape': {shape}}}");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    let bytes = [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes(), data].concat();
    parse_npy(bytes.into(), Path::new("x.npy"))
}

#[test]
fn numpy_archives_read_in_order() {
    let arrays = parse(STORED).unwrap();
    assert_eq!(parse(DEFLATED).unwrap(), arrays);
    let names: Vec<&str> = arrays.iter().map(|(name, _)| name.as_str()).collect();
    let dtypes = ["bool", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64"];
    assert_eq!(names, [&dtypes[..], &["fortran", "scalar", "empty"]].concat());
    for (dtype, (_, tensor)) in DType::ALL.into_iter().zip(&arrays) {
        assert_eq!(tensor.dtype(), dtype);
        let (first, last) = (tensor.get(0), tensor.get(tensor.count() - 1));
        if dtype.is_int() {
            assert_eq!((first, last), (Scalar::lowest(dtype), Scalar::highest(dtype)));
        }
    }
    let by_name = |name| &arrays.iter().find(|(n, _)| n == name).unwrap().1;
    assert_eq!(by_name("bool").to_vec::<bool>(), [true, false, false, true]);
    assert_eq!(by_name("f32"), &Tensor::new(&[1, 3], &[0.1, -0.0, f32::INFINITY]));
    assert_eq!(by_name("f64"), &Tensor::new(&[2], &[1e300, f64::NEG_INFINITY]));
    assert_eq!(by_name("fortran"), &Tensor::new(&[2, 3], &[0i32, 1, 2, 3, 4, 5]));
    assert_eq!(by_name("scalar"), &Tensor::scalar(Scalar::F32(2.5)));
    assert_eq!(by_name("empty").shape(), [0, 3]);
}

#[test]
fn what_is_written_reads_back_and_is_deterministic() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one.npz"), dir.path().join("two.npz"));
    let arrays = parse(STORED).unwrap();
    write_npz(&one, &arrays).unwrap();
    write_npz(&two, &arrays).unwrap();
    assert_eq!(read_npz(&one).unwrap(), arrays);
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    for (_, tensor) in &arrays {
        write_npy(&one, tensor).unwrap();
        assert_eq!(&read_npy(&one).unwrap(), tensor);
    }
}

#[test]
fn equal_names_are_refused() {
    let x = Tensor::scalar(Scalar::F32(1.0));
    let twice = [("x".to_string(), x.clone()), ("x".to_string(), x)];
    let error = write_npz(Path::new("unused.npz"), &twice).unwrap_err().to_string();
    assert!(error.starts_with("TL0106: unused.npz: two tensors are named 'x'"), "{error}");
}

#[test]
fn foreign_dtypes_name_array_and_dtype() {
    let error = npy("<f2", "False", "(1,)", &[0; 2]).unwrap_err().to_string();
    assert!(error.starts_with("TL0104: x.npy: the array: dtype <f2 is not supported"), "{error}");
    let renamed = replace(STORED, b"'descr': '<f4'", b"'descr': '>f4'");
    let error = parse(&renamed).unwrap_err().to_string();
    assert!(error.contains("array 'f32': dtype >f4"), "{error}");
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn fortran_order_becomes_row_major() {
    let x = npy("|u1", "True", "(2, 1, 3)", &[0, 3, 1, 4, 2, 5]).unwrap();
    assert_eq!(x, Tensor::new(&[2, 1, 3], &[0u8, 1, 2, 3, 4, 5]));
    let empty = npy("<f4", "True", "(4611686018427387904, 8, 0)", &[]).unwrap();
    assert_eq!(empty.count(), 0);
}

#[test]
fn sizes_are_checked() {
    for (shape, data) in [("(2,)", 4), ("(1,)", 8), ("(4611686018427387904, 16)", 0)] {
        let error = npy("<f4", "False", shape, &vec![0; data]).unwrap_err().to_string();
        assert!(error.starts_with("TL0103: x.npy: the array: found"), "{error}");
    }
}

#[test]
fn a_deflated_entry_larger_than_its_header_is_refused() {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("x.npy", SimpleFileOptions::default()).unwrap();
    archive.write_all(&NpyHeader::encode(DType::U8, &[1])).unwrap();
    archive.write_all(&vec![0; 1 << 20]).unwrap();
    let bytes = archive.finish().unwrap().into_inner();
    assert!(bytes.len() < 1 << 13, "the entry is deflated");
    let error = parse(&bytes).unwrap_err().to_string();
    assert!(error.contains("found 1048576 bytes of elements, expected 1 for u8[1]"), "{error}");
}

#[test]
fn an_entry_beyond_the_budget_is_refused() {
    let place = Place { path: Path::new("x.npz"), what: "array 'x'".into() };
    let mut budget = Budget { stored: 10, inflated: 20 };
    budget.charge(&place, CompressionMethod::Deflated, 20).unwrap();
    let error = budget.charge(&place, CompressionMethod::Stored, 11).unwrap_err().to_string();
    assert!(error.starts_with("TL0105: x.npz: array 'x': 11 bytes exceeds"), "{error}");
}

#[test]
fn mutated_archives_never_panic() {
    for original in [STORED, DEFLATED] {
        for length in 0..original.len() {
            assert!(parse(&original[..length]).is_err(), "truncated to {length}");
        }
        for at in 0..original.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = original.to_vec();
                bytes[at] ^= flip;
                let _ = parse(&bytes);
            }
        }
    }
}

#[test]
fn mutated_arrays_never_panic() {
    let tensor = Tensor::new(&[2, 3], &[1f32; 6]);
    let original = [NpyHeader::encode(DType::F32, &[2, 3]), tensor.bytes().to_vec()].concat();
    for at in 0..original.len() {
        assert!(parse_npy(original[..at].to_vec().into(), Path::new("x")).is_err());
        for byte in 0..=255 {
            let mut bytes = original.clone();
            bytes[at] = byte;
            let _ = parse_npy(bytes.into(), Path::new("x"));
        }
    }
}
