//! Small ONNX files, encoded by hand.

use prost::Message;
use tracelift::import::wire::{
    DataType, DimensionProto, DimensionValue, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TensorType, TypeProto, TypeValue,
    ValueInfoProto,
};

/// `y = Reshape(x, shape)` for `x: f32[2, 3]` and an input `shape: i64[2]`.
pub fn reshape() -> Vec<u8> {
    let inputs = vec![value("x", DataType::Float, &[2, 3]), value("shape", DataType::Int64, &[2])];
    let nodes = vec![node("reshape", "Reshape", &["x", "shape"], "y")];
    model(inputs, nodes, value("y", DataType::Float, &[3, 2]))
}

/// Two nodes of operators that there are not.
pub fn unsupported() -> Vec<u8> {
    let nodes = vec![node("first", "Foo", &["x"], "a"), node("second", "Bar", &["x"], "y")];
    model(vec![value("x", DataType::Float, &[2])], nodes, value("y", DataType::Float, &[2]))
}

/// A file of one float tensor.
pub fn floats_pb(dims: &[i64], elements: &[f32]) -> Vec<u8> {
    let data_type = DataType::Float.into();
    let (dims, float_data) = (dims.to_vec(), elements.to_vec());
    TensorProto { dims, data_type, float_data, ..TensorProto::default() }.encode_to_vec()
}

/// A file of one vector of integers.
pub fn integers_pb(elements: &[i64]) -> Vec<u8> {
    let data_type = DataType::Int64.into();
    let (dims, int64_data) = (vec![elements.len() as i64], elements.to_vec());
    TensorProto { dims, data_type, int64_data, ..TensorProto::default() }.encode_to_vec()
}

fn model(input: Vec<ValueInfoProto>, node: Vec<NodeProto>, output: ValueInfoProto) -> Vec<u8> {
    let graph =
        GraphProto { node, name: "g".into(), input, output: vec![output], ..GraphProto::default() };
    let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
    let model = ModelProto {
        ir_version: 8,
        opset_import: vec![opset],
        graph: Some(graph),
        ..ModelProto::default()
    };
    model.encode_to_vec()
}

fn node(name: &str, op_type: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|name| name.to_string()).collect(),
        output: vec![output.into()],
        name: name.into(),
        op_type: op_type.into(),
        ..NodeProto::default()
    }
}

fn value(name: &str, dtype: DataType, extents: &[i64]) -> ValueInfoProto {
    let dim = |&extent: &i64| DimensionProto {
        value: Some(DimensionValue::Value(extent)),
        ..DimensionProto::default()
    };
    let shape = TensorShapeProto { dim: extents.iter().map(dim).collect() };
    let tensor = TensorType { elem_type: dtype.into(), shape: Some(shape) };
    let ty = TypeProto { value: Some(TypeValue::Tensor(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.into(), r#type: Some(ty), ..ValueInfoProto::default() }
}
