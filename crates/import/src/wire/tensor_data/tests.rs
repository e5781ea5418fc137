//! Tests of stored tensors, field by field.

use tracelift_tensor::Scalar;

use super::*;

fn proto(data_type: DataType, dims: &[i64]) -> TensorProto {
    let name = "w".into();
    TensorProto { name, data_type: data_type.into(), dims: dims.to_vec(), ..Default::default() }
}

fn read(proto: &TensorProto) -> Result<Tensor, String> {
    tensor_of(proto, &External::none()).map_err(|problem| problem.to_string())
}

#[test]
fn every_typed_field_reads() {
    let ints = [DataType::Int8, DataType::Uint8, DataType::Int16, DataType::Uint16];
    for data_type in ints.into_iter().chain([DataType::Int32, DataType::Bool]) {
        let tensor = read(&TensorProto { int32_data: vec![0, 1], ..proto(data_type, &[2]) });
        let dtype = data_type.dtype().unwrap();
        let expected = [Scalar::zero(dtype), Scalar::one(dtype)];
        assert_eq!(tensor.unwrap().iter().collect::<Vec<_>>(), expected);
    }
    let float = TensorProto { float_data: vec![0.1], ..proto(DataType::Float, &[1, 1]) };
    assert_eq!(read(&float), Ok(Tensor::new(&[1, 1], &[0.1f32])));
    let double = TensorProto { double_data: vec![0.1], ..proto(DataType::Double, &[]) };
    assert_eq!(read(&double), Ok(Tensor::new(&[], &[0.1f64])));
    let long = TensorProto { int64_data: vec![i64::MIN], ..proto(DataType::Int64, &[1]) };
    assert_eq!(read(&long), Ok(Tensor::new(&[1], &[i64::MIN])));
    let wide = TensorProto { uint64_data: vec![u64::MAX], ..proto(DataType::Uint64, &[1]) };
    assert_eq!(read(&wide), Ok(Tensor::new(&[1], &[u64::MAX])));
    let word = TensorProto { uint64_data: vec![7], ..proto(DataType::Uint32, &[1]) };
    assert_eq!(read(&word), Ok(Tensor::new(&[1], &[7u32])));
}

#[test]
fn halves_widen_from_both_fields() {
    let typed = TensorProto { int32_data: vec![0x3c00], ..proto(DataType::Float16, &[1]) };
    assert_eq!(read(&typed), Ok(Tensor::new(&[1], &[1f32])));
    let raw = Some(Bytes::from_static(&[0x00, 0xc0]));
    let raw = TensorProto { raw_data: raw, ..proto(DataType::Bfloat16, &[1]) };
    assert_eq!(read(&raw), Ok(Tensor::new(&[1], &[-2f32])));
}

#[test]
fn empty_tensors_need_no_field() {
    let tensor = read(&proto(DataType::Float, &[0, 1 << 40])).unwrap();
    assert_eq!(tensor.count(), 0);
    let raw = TensorProto { raw_data: Some(Bytes::new()), ..proto(DataType::Int64, &[0]) };
    assert_eq!(read(&raw), Ok(Tensor::new::<i64>(&[0], &[])));
}

#[test]
fn dtypes_without_a_counterpart_are_named() {
    let start = "tensor 'w': dtype FLOAT8E5M2 is not supported (supported: BOOL";
    assert!(read(&proto(DataType::Float8e5m2, &[1])).unwrap_err().starts_with(start));
    for data_type in [DataType::String, DataType::Complex64, DataType::Uint4, DataType::Undefined] {
        let error = read(&proto(data_type, &[0])).unwrap_err();
        assert!(error.contains(&format!("dtype {} is", data_type.name())), "{error}");
    }
    let unknown = TensorProto { data_type: 99, ..Default::default() };
    assert!(read(&unknown).unwrap_err().contains("dtype number 99 is not supported"));
}

#[test]
fn sizes_are_checked() {
    let error = read(&proto(DataType::Float, &[2, -1])).unwrap_err();
    assert_eq!(error, "tensor 'w': extent -1, expected one that is not negative");
    let error = read(&proto(DataType::Float, &[1 << 62, 16])).unwrap_err();
    assert!(error.contains("more elements than can be counted"), "{error}");
    let error = read(&proto(DataType::Float, &[1 << 62])).unwrap_err();
    assert!(error.contains("more elements than can be counted"), "{error}");
    let error = read(&proto(DataType::Float, &[1; 65])).unwrap_err();
    assert!(error.contains("rank 65 exceeds the limit of 64"), "{error}");
    let error = read(&proto(DataType::Float, &[1 << 40])).unwrap_err();
    assert!(error.contains("0 bytes of elements, expected 4398046511104"), "{error}");
    let long = TensorProto { float_data: vec![0.0; 3], ..proto(DataType::Float, &[2]) };
    assert!(read(&long).unwrap_err().contains("12 bytes of elements, expected 8"));
}

#[test]
fn elements_out_of_range_are_refused() {
    let byte = TensorProto { int32_data: vec![256], ..proto(DataType::Uint8, &[1]) };
    assert_eq!(read(&byte).unwrap_err(), "tensor 'w': element 256 is out of the dtype's range");
    let word = TensorProto { uint64_data: vec![1 << 32], ..proto(DataType::Uint32, &[1]) };
    assert!(read(&word).is_err());
}

#[test]
fn elements_stand_in_one_place() {
    let mut twice = TensorProto { float_data: vec![1.0], ..proto(DataType::Float, &[1]) };
    twice.raw_data = Some(Bytes::from_static(&[0; 4]));
    assert!(read(&twice).unwrap_err().contains("several places"));
    let wrong = TensorProto { int64_data: vec![1], ..proto(DataType::Float, &[1]) };
    assert!(read(&wrong).unwrap_err().contains("0 bytes of elements, expected 4"));
    let segment = TensorProto { segment: Some(Default::default()), ..proto(DataType::Float, &[0]) };
    assert!(read(&segment).unwrap_err().contains("segments"));
    let place = TensorProto { data_location: 7, ..proto(DataType::Float, &[0]) };
    assert!(read(&place).unwrap_err().contains("data location 7 is not known"));
}
