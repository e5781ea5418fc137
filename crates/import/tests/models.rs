//! What importing does with a model as a whole: symbols, given values, parameters, problems, and
//! files that mean harm.

use std::path::Path;

use prost::Message as _;
use tracelift_import::{
    ImportError, ImportOptions, import_onnx_bytes, supported_operators,
    wire::{
        AttributeProto, AttributeType, DataType, DimensionProto, DimensionValue, FunctionProto,
        GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
        TensorType, TypeProto, TypeValue, ValueInfoProto,
    },
};
use tracelift_ir::{ConstantData, Graph, interpret};
use tracelift_tensor::{DType, Tensor};

/// A value of a dtype; extents are numbers or names.
fn value(name: &str, dtype: DataType, dims: &[&str]) -> ValueInfoProto {
    let dimension = |text: &&str| DimensionProto {
        value: Some(match text.parse() {
            Ok(number) => DimensionValue::Value(number),
            Err(_) => DimensionValue::Param(text.to_string()),
        }),
        ..DimensionProto::default()
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dimension).collect() };
    let tensor = TensorType { elem_type: dtype as i32, shape: Some(shape) };
    let ty = TypeProto { value: Some(TypeValue::Tensor(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.into(), r#type: Some(ty), ..ValueInfoProto::default() }
}

/// A result whose type is left open.
fn result(name: &str) -> ValueInfoProto {
    ValueInfoProto { name: name.into(), ..ValueInfoProto::default() }
}

fn node(name: &str, op_type: &str, operands: &[&str], results: &[&str]) -> NodeProto {
    let texts = |list: &[&str]| list.iter().map(|s| s.to_string()).collect();
    NodeProto {
        name: name.into(),
        op_type: op_type.into(),
        input: texts(operands),
        output: texts(results),
        ..NodeProto::default()
    }
}

fn with_int(mut node: NodeProto, name: &str, value: i64) -> NodeProto {
    node.attribute.push(AttributeProto {
        name: name.into(),
        r#type: AttributeType::Int as i32,
        i: Some(value),
        ..AttributeProto::default()
    });
    node
}

fn ints(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: DataType::Int64 as i32,
        dims: vec![values.len() as i64],
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn floats(name: &str, values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: DataType::Float as i32,
        dims: vec![values.len() as i64],
        float_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn model(graph: GraphProto) -> ModelProto {
    let opset = OperatorSetIdProto { domain: String::new(), version: 18 };
    ModelProto {
        ir_version: 8,
        opset_import: vec![opset],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

fn import_with(model: &ModelProto, options: &ImportOptions) -> Result<Graph, ImportError> {
    import_onnx_bytes(model.encode_to_vec().into(), Path::new("m.onnx"), options)
}

fn import(model: &ModelProto) -> Result<Graph, ImportError> {
    import_with(model, &ImportOptions::default())
}

/// The problems of a model that cannot be imported, one per line.
fn problems(model: &ModelProto) -> String {
    import(model).expect_err("the model has problems").to_string()
}

/// `y = reshape(x, [shape(x)[0] · shape(x)[1], −1])`.
fn reshape_by_shape() -> ModelProto {
    model(GraphProto {
        input: vec![value("x", DataType::Float, &["batch", "seq", "4"])],
        output: vec![result("y")],
        initializer: vec![ints("zero", &[0]), ints("one", &[1]), ints("rest", &[-1])],
        node: vec![
            node("", "Shape", &["x"], &["s"]),
            node("", "Gather", &["s", "zero"], &["b"]),
            node("", "Gather", &["s", "one"], &["t"]),
            node("", "Mul", &["b", "t"], &["bt"]),
            with_int(node("", "Concat", &["bt", "rest"], &["to"]), "axis", 0),
            node("/enc/layer.0/Reshape", "Reshape", &["x", "to"], &["y"]),
        ],
        ..GraphProto::default()
    })
}

#[test]
fn shapes_computed_from_symbols_stay_symbolic() {
    let graph = import(&reshape_by_shape()).unwrap();
    let y = graph.results()[0].value;
    assert_eq!(graph.ty(y).to_string(), "f32[batch*seq, 4]");
    assert_eq!(graph.node_count(), 2, "nothing but the input and the reshape is left");
    let origin = graph.node(y.node).provenance.to_string();
    assert_eq!(origin, "enc.layer.0 (/enc/layer.0/Reshape)");
    let x = Tensor::from_fn(DType::F32, &[2, 3, 4], |i| {
        tracelift_tensor::Scalar::F32((i[0] * 12 + i[1] * 4 + i[2]) as f32)
    });
    let found = interpret(&graph, std::slice::from_ref(&x)).unwrap();
    assert_eq!(found[0], x.reshaped(&[6, 4]));
}

#[test]
fn symbols_are_bound_by_the_names_of_the_file() {
    let mut options = ImportOptions::default();
    options.dims.insert("seq".into(), 7);
    let graph = import_with(&reshape_by_shape(), &options).unwrap();
    assert_eq!(graph.ty(graph.results()[0].value).to_string(), "f32[7*batch, 4]");
}

#[test]
fn operands_in_shape_position_may_be_given() {
    let model = model(GraphProto {
        input: vec![value("x", DataType::Float, &["6"]), value("shape", DataType::Int64, &["2"])],
        output: vec![result("y")],
        node: vec![node("r", "Reshape", &["x", "shape"], &["y"])],
        ..GraphProto::default()
    });
    let error = problems(&model);
    assert_eq!(
        error,
        "TL0210: m.onnx: 1 node cannot be imported\n  node 'r': operand 'shape' is not known at \
         compile time (give --set shape=…)"
    );
    let mut options = ImportOptions::default();
    options.values.insert("shape".into(), Tensor::new(&[2], &[2i64, 3]));
    let graph = import_with(&model, &options).unwrap();
    assert_eq!(graph.inputs().len(), 1);
    assert_eq!(graph.ty(graph.results()[0].value).to_string(), "f32[2, 3]");
    options.values.insert("shapes".into(), Tensor::new(&[1], &[1i64]));
    let error = import_with(&model, &options).unwrap_err().to_string();
    assert!(error.contains("value 'shapes': a value is given"), "{error}");
}

#[test]
fn initializers_are_parameters_and_unused_ones_vanish() {
    let model = model(GraphProto {
        // Old files list initializers among the inputs.
        input: vec![value("x", DataType::Float, &["2"]), value("w", DataType::Float, &["2"])],
        output: vec![result("y")],
        initializer: vec![floats("w", &[1.0, 2.0]), floats("unused", &[3.0])],
        node: vec![node("", "Add", &["x", "w"], &["y"])],
        ..GraphProto::default()
    });
    let graph = import(&model).unwrap();
    assert_eq!((graph.inputs().len(), graph.node_count()), (1, 3));
    let add = graph.results()[0].value.node;
    let w = graph.constant(graph.operands(add)[1]).unwrap();
    assert_eq!(w.parameter.as_deref(), Some("w"));
    assert_eq!(&*graph.results()[0].name, "y");
    assert_eq!(graph.node(add).provenance.to_string(), "Add_0");
}

#[test]
fn large_constants_stay_one_number() {
    let model = model(GraphProto {
        output: vec![result("y")],
        initializer: vec![ints("shape", &[1000, 1000, 1000]), ints("flat", &[-1])],
        node: vec![
            node("", "ConstantOfShape", &["shape"], &["c"]),
            node("", "Reshape", &["c", "flat"], &["y"]),
        ],
        ..GraphProto::default()
    });
    let graph = import(&model).unwrap();
    let y = graph.results()[0].value;
    assert_eq!(graph.ty(y).to_string(), "f32[1000000000]");
    assert!(matches!(graph.constant(y).unwrap().data, ConstantData::Splat(_)));
}

#[test]
fn every_independent_problem_is_listed_once() {
    let unsupported = with_int(node("a", "Relu", &["x"], &["p"]), "mystery", 1);
    let model = model(GraphProto {
        input: vec![
            value("x", DataType::Float, &["2"]),
            value("h", DataType::Float16, &["2"]),
            value("t", DataType::String, &["2"]),
        ],
        output: vec![result("y"), result("z")],
        node: vec![
            unsupported,
            node("b", "NonMaxSuppression", &["x"], &["q"]),
            node("c", "Add", &["p", "q"], &["r"]),
            node("d", "Relu", &["later"], &["y"]),
            node("e", "Relu", &["x"], &["later"]),
            node("f", "Relu", &["nowhere"], &["s"]),
            node("g", "Relu", &["x"], &["later"]),
        ],
        ..GraphProto::default()
    });
    let text = problems(&model);
    let expected = [
        "value 'h': dtype FLOAT16 is not supported (supported: BOOL, INT8 to INT64, UINT8 to \
         UINT64, FLOAT, DOUBLE)",
        "value 't': dtype STRING is not supported (supported: BOOL, INT8 to INT64, UINT8 to \
         UINT64, FLOAT, DOUBLE)",
        "node 'a': attribute 'mystery' is not supported",
        "node 'b': operator NonMaxSuppression is not supported",
        "node 'd': operand 'later' is used before it is defined",
        "node 'f': operand 'nowhere' is not defined",
        "node 'g': result 'later' is defined twice",
        "value 'z': operand 'z' is not defined",
    ];
    let found: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
    assert_eq!(found, expected);
}

#[test]
fn sixteen_bit_weights_are_read_only_where_they_are_cast() {
    let mut weights = floats("w", &[]);
    (weights.data_type, weights.dims) = (DataType::Float16 as i32, vec![2]);
    weights.raw_data = Some(vec![0x00, 0x3c, 0x00, 0xc0].into());
    let graph = |nodes| GraphProto {
        output: vec![result("y")],
        initializer: vec![weights.clone()],
        node: nodes,
        ..GraphProto::default()
    };
    let cast = with_int(node("c", "Cast", &["w"], &["y"]), "to", 1);
    let imported = import(&model(graph(vec![cast]))).unwrap();
    assert_eq!(interpret(&imported, &[]).unwrap()[0].to_vec::<f32>(), [1.0, -2.0]);
    let text = problems(&model(graph(vec![node("n", "Neg", &["w"], &["y"])])));
    assert!(text.contains("operand 'w' is of 16-bit floats"), "{text}");
}

/// A function that calls itself through its own body.
#[test]
fn recursion_ends_with_a_problem() {
    let body = NodeProto { domain: "own".into(), ..node("again", "F", &["a"], &["b"]) };
    let own = OperatorSetIdProto { domain: "own".into(), version: 1 };
    let function = FunctionProto {
        name: "F".into(),
        domain: "own".into(),
        input: vec!["a".into()],
        output: vec!["b".into()],
        node: vec![body.clone(), body.clone()],
        opset_import: vec![own.clone()],
        ..FunctionProto::default()
    };
    let mut model = model(GraphProto {
        input: vec![value("a", DataType::Float, &["2"])],
        output: vec![result("b")],
        node: vec![body],
        ..GraphProto::default()
    });
    model.opset_import.push(own);
    model.functions.push(function);
    let text = problems(&model);
    assert!(text.contains("function calls nest deeper than 24"), "{text}");
}

#[test]
fn hostile_extents_are_refused() {
    for dims in [&["1099511627777"][..], &["-5"], &["1048576", "1048576", "1048576"]] {
        let model = model(GraphProto {
            input: vec![value("x", DataType::Float, dims)],
            output: vec![result("x")],
            ..GraphProto::default()
        });
        assert!(problems(&model).contains("value 'x'"), "{dims:?}");
    }
    let huge = i64::MAX;
    for (op_type, operand) in [
        ("Reshape", vec![huge, huge]),
        ("Expand", vec![1 << 30, 1 << 30, 2]),
        ("Tile", vec![huge]),
        ("Pad", vec![huge, huge]),
        ("ConstantOfShape", vec![1 << 50]),
        ("Squeeze", vec![huge]),
    ] {
        let operands: &[&str] = if op_type == "ConstantOfShape" { &["c"] } else { &["x", "c"] };
        let model = model(GraphProto {
            input: vec![value("x", DataType::Float, &["2"])],
            output: vec![result("y")],
            initializer: vec![ints("c", &operand)],
            node: vec![node("n", op_type, operands, &["y"])],
            ..GraphProto::default()
        });
        assert!(problems(&model).contains("node 'n'"), "{op_type}");
    }
}

/// Windows between small tensors may still hold any number of elements.
#[test]
fn evaluation_does_not_unfold_windows() {
    let mut pool = node("p", "MaxPool", &["c"], &["y"]);
    for (name, values) in [("kernel_shape", vec![1 << 36]), ("pads", vec![1 << 36, 0])] {
        pool.attribute.push(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Ints as i32,
            ints: values,
            ..AttributeProto::default()
        });
    }
    let mut constant = ints("c", &[1, 2, 3]);
    constant.dims = vec![1, 1, 3];
    let model = model(GraphProto {
        output: vec![result("y")],
        initializer: vec![constant],
        node: vec![pool],
        ..GraphProto::default()
    });
    let graph = import(&model).unwrap();
    assert_eq!(graph.ty(graph.results()[0].value).to_string(), "i64[1, 1, 4]");
}

#[test]
fn the_list_of_operators_names_each_once() {
    let list = supported_operators();
    assert!(list.len() > 130, "{} operators", list.len());
    assert!(list.windows(2).all(|w| (w[0].domain, w[0].name) < (w[1].domain, w[1].name)));
    assert!(list.iter().all(|o| 1 <= o.opsets.0 && o.opsets.0 <= o.opsets.1));
}
