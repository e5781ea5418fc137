//! Tests of model files, made in memory by the encoder.

use prost::Message as _;

use super::*;
use crate::wire::{
    AttributeProto, AttributeType, DataType, DimensionProto, DimensionValue, NodeProto,
    SequenceType, TensorShapeProto, TensorType, TypeProto, TypeValue, ValueInfoProto,
};

fn value(name: &str) -> ValueInfoProto {
    let dim = |value| DimensionProto { value: Some(value), ..Default::default() };
    let dims = vec![dim(DimensionValue::Param("B".into())), dim(DimensionValue::Value(2))];
    let tensor = TensorType {
        elem_type: DataType::Float.into(),
        shape: Some(TensorShapeProto { dim: dims }),
    };
    let r#type = TypeProto { value: Some(TypeValue::Tensor(tensor)), ..Default::default() };
    ValueInfoProto { name: name.into(), r#type: Some(r#type), ..Default::default() }
}

fn weight() -> TensorProto {
    TensorProto {
        name: "w".into(),
        dims: vec![2],
        data_type: DataType::Float.into(),
        raw_data: Some(vec![0, 0, 0x80, 0x3f, 0, 0, 0, 0x40].into()),
        ..Default::default()
    }
}

fn sample() -> ModelProto {
    let axis = AttributeProto {
        name: "axes".into(),
        r#type: AttributeType::Ints.into(),
        ints: vec![-1, 300],
        ..Default::default()
    };
    let node = NodeProto {
        name: "add".into(),
        op_type: "Add".into(),
        input: vec!["x".into(), "w".into()],
        output: vec!["y".into()],
        attribute: vec![axis],
        ..Default::default()
    };
    let graph = GraphProto {
        name: "g".into(),
        node: vec![node],
        initializer: vec![weight()],
        input: vec![value("x")],
        output: vec![value("y")],
        ..Default::default()
    };
    ModelProto {
        ir_version: 10,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 21 }],
        graph: Some(graph),
        ..Default::default()
    }
}

fn decode_proto(proto: &ModelProto) -> Result<Model, ImportError> {
    decode_model(proto.encode_to_vec().into(), Path::new("x.onnx"))
}

fn refusal(change: impl FnOnce(&mut ModelProto)) -> String {
    let mut proto = sample();
    change(&mut proto);
    decode_proto(&proto).unwrap_err().to_string()
}

fn set(domain: &str, version: i64) -> OperatorSetIdProto {
    OperatorSetIdProto { domain: domain.into(), version }
}

#[test]
fn what_is_encoded_decodes_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.onnx");
    std::fs::write(&path, sample().encode_to_vec()).unwrap();
    let model = read_model(&path).unwrap();
    assert_eq!(model.proto, sample());
    assert_eq!(model.opset("ai.onnx"), Some(21));
    assert_eq!(model.opset("com.microsoft"), None);
    assert_eq!(model.graph().node[0].op_type, "Add");
}

#[test]
fn raw_data_share_the_file() {
    let bytes = Bytes::from(sample().encode_to_vec());
    let model = decode_model(bytes.clone(), Path::new("x.onnx")).unwrap();
    let tensor = tensor_of(&model.graph().initializer[0], &model.external).unwrap();
    assert_eq!(tensor.to_vec::<f32>(), [1.0, 2.0]);
    assert!(bytes.as_ptr_range().contains(&tensor.bytes().as_ptr()));
}

#[test]
fn a_file_of_one_tensor_reads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.pb");
    std::fs::write(&path, weight().encode_to_vec()).unwrap();
    assert_eq!(read_tensor(&path).unwrap(), Tensor::new(&[2], &[1f32, 2.0]));
    let text = TensorProto { data_type: DataType::String.into(), ..weight() };
    std::fs::write(&path, text.encode_to_vec()).unwrap();
    let error = read_tensor(&path).unwrap_err().to_string();
    assert!(error.contains("1 part cannot be imported\n  tensor 'w': dtype STRING"), "{error}");
}

#[test]
fn unknown_versions_are_refused() {
    let expected = "TL0202: x.onnx: the IR version is 15, expected 1 to 14";
    assert_eq!(refusal(|m| m.ir_version = 15), expected);
    assert!(refusal(|m| m.ir_version = 0).starts_with("TL0202"));
    assert_eq!(
        refusal(|m| m.opset_import[0].version = 29),
        "TL0202: x.onnx: the operator set of domain '' is 29, expected 1 to 28"
    );
    assert!(refusal(|m| m.opset_import[0].version = -1).starts_with("TL0202"));
}

#[test]
fn operator_sets_are_imported_once() {
    let twice = refusal(|m| m.opset_import.push(set("ai.onnx", 20)));
    assert!(twice.ends_with("is 20, expected 21, imported before"), "{twice}");
    let none = refusal(|m| m.opset_import.clear());
    assert_eq!(
        none,
        "TL0201: x.onnx: a model without operator sets, expected at least one opset_import"
    );
    let mut old = sample();
    old.ir_version = 2;
    old.opset_import.clear();
    assert_eq!(decode_proto(&old).unwrap().opset(""), Some(1));
}

#[test]
fn a_model_without_a_graph_is_refused() {
    assert_eq!(
        refusal(|m| m.graph = None),
        "TL0201: x.onnx: a model without a graph, expected one with a graph"
    );
}

#[test]
fn types_of_types_decode() {
    let mut proto = sample();
    let element = value("x").r#type;
    let sequence = TypeValue::Sequence(Box::new(SequenceType { elem_type: element }));
    let r#type = TypeProto { value: Some(sequence), ..Default::default() };
    let graph = proto.graph.as_mut().unwrap();
    graph.input[0].r#type = Some(r#type);
    assert_eq!(decode_proto(&proto).unwrap().proto, proto);
}

#[test]
fn deep_subgraphs_are_refused() {
    let mut graph = GraphProto::default();
    for _ in 0..40 {
        let attribute = AttributeProto { g: Some(Box::new(graph)), ..Default::default() };
        let node = NodeProto { attribute: vec![attribute], ..Default::default() };
        graph = GraphProto { node: vec![node], ..Default::default() };
    }
    let text = refusal(|m| m.graph = Some(graph));
    assert!(text.starts_with("TL0201: x.onnx: messages nested deeper than 100"), "{text}");
}

#[test]
fn a_bomb_of_empty_messages_is_refused_before_decoding() {
    // A graph whose nodes are all empty: two bytes of the file for each.
    let nodes = [0x0a, 0x00].repeat(4_000_000);
    let mut bytes = vec![0x08, 0x0a, 0x3a];
    prost::encoding::encode_varint(nodes.len() as u64, &mut bytes);
    bytes.extend(nodes);
    let error = decode_model(bytes.into(), Path::new("x.onnx")).unwrap_err().to_string();
    assert!(error.starts_with("TL0203: x.onnx: decoding takes about 15"), "{error}");
}

#[test]
fn mutated_models_never_panic() {
    let original = sample().encode_to_vec();
    let visit = |bytes: Vec<u8>| {
        if let Ok(model) = decode_model(bytes.into(), Path::new("x.onnx")) {
            for tensor in &model.graph().initializer {
                let _ = tensor_of(tensor, &model.external);
            }
        }
    };
    for at in 0..original.len() {
        visit(original[..at].to_vec());
        for byte in 0..=255 {
            let mut bytes = original.clone();
            bytes[at] = byte;
            visit(bytes);
        }
    }
}
