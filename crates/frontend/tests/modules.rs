//! Trees of modules: names, provenance, state dicts, initial values.

use tracelift_frontend::{
    Var, f32,
    nn::{self, Forward, Module, StateDict},
    trace,
};
use tracelift_ir::{Graph, interpret};
use tracelift_tensor::{DType, Scalar, Tensor};

/// A residual block whose output layer shares its weight with its input layer.
struct Block {
    inner: nn::Sequential,
    tied: nn::Linear,
    scale: nn::Parameter,
}

impl Block {
    fn new() -> Block {
        let first = nn::Linear::new(3, 3);
        let tied = nn::Linear::new(3, 3).bias(false).with_weight(first.weight());
        let inner = nn::sequential![first, nn::sequential![nn::ReLU::new()]];
        Block { inner, tied, scale: nn::Parameter::new(&[3], nn::Init::Constant(2.0)) }
    }
}

impl Module for Block {
    fn visit(&self, visitor: &mut nn::Visitor<'_>) {
        visitor.child("inner", &self.inner).child("tied", &self.tied);
        visitor.parameter("scale", &self.scale);
    }
}

impl Forward for Block {
    fn forward(&self, x: &Var) -> Var {
        x + self.tied.forward(&self.inner.forward(x)) * x.parameter(&self.scale)
    }
}

fn blocks() -> nn::Sequential {
    nn::sequential![Block::new(), nn::Tanh::new()]
}

fn graph_of(model: &impl Forward) -> Graph {
    trace("f", &[("x", f32(("B", 3)))], |[x]| [("y", model.call(&x))]).unwrap()
}

fn module_of(graph: &Graph, operator: &str) -> Vec<String> {
    let nodes = graph.topological_order();
    let named =
        nodes.iter().filter(|id| graph.op(**id).is_some_and(|op| op.syntax().name() == operator));
    named.map(|id| graph.node(*id).provenance.origins()[0].module.to_string()).collect()
}

#[test]
fn nodes_and_parameters_carry_their_module_and_line() {
    let graph = graph_of(&blocks());
    assert_eq!(module_of(&graph, "linear"), ["0.inner.0", "0.tied"]);
    assert_eq!(module_of(&graph, "relu"), ["0.inner.1.0"]);
    assert_eq!(module_of(&graph, "mul"), ["0"]);
    assert_eq!(module_of(&graph, "tanh"), ["1"]);
    let parameters: Vec<String> = graph
        .topological_order()
        .into_iter()
        .flat_map(|id| graph.values(id))
        .filter_map(|value| Some(graph.constant(value)?.parameter.as_ref()?.to_string()))
        .collect();
    // The shared weight is one constant, under the first of its names.
    assert_eq!(parameters, ["0.inner.0.weight", "0.inner.0.bias", "0.scale"]);
    for id in graph.topological_order() {
        if graph.op(id).is_some() {
            let place = &graph.node(id).provenance.origins()[0].place;
            assert!(place.starts_with(file!()), "{place}");
        }
    }
    assert_eq!(&*graph.results()[0].name, "y");
}

#[test]
fn layers_outside_any_model_have_pytorchs_local_names() {
    let (a, b) = (nn::Linear::new(3, 3), nn::Linear::new(3, 3).bias(false));
    let graph = trace("f", &[("x", f32([3]))], |[x]| b.forward(&a.forward(&x))).unwrap();
    let names: Vec<String> = graph
        .topological_order()
        .into_iter()
        .filter(|id| graph.op(*id).is_none())
        .map(|id| graph.node(id).names[0].to_string())
        .collect();
    assert_eq!(names, ["x", "weight", "bias", "weight.1"]);
}

#[test]
fn state_dicts_load_whole_or_not_at_all() {
    let model = blocks();
    let before = model.state_dict();
    let names: Vec<&str> = before.iter().map(|(name, _)| name).collect();
    let all = ["0.inner.0.bias", "0.inner.0.weight", "0.scale", "0.tied.weight"];
    assert_eq!(names, all);

    let ones = |shape: &[usize]| Tensor::splat(Scalar::F32(1.0), shape);
    let wrong: StateDict = [
        ("0.scale".to_string(), ones(&[4])),
        ("0.inner.0.weight".to_string(), ones(&[3, 3])),
        ("0.extra".to_string(), ones(&[])),
    ]
    .into_iter()
    .collect();
    let error = model.load_state_dict(&wrong).unwrap_err();
    assert_eq!(error.missing, ["0.inner.0.bias"]);
    assert_eq!(error.unexpected, ["0.extra"]);
    let how = "found f32[4], expected f32[3]".to_string();
    assert_eq!(error.mismatched, [("0.scale".to_string(), how)]);
    let text = error.to_string();
    let start = "error[TL0420]: the state dict does not fit the model in 3 places\n";
    assert!(text.starts_with(start), "{text}");
    assert_eq!(model.state_dict(), before);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    before.write(&path).unwrap();
    let other = blocks();
    assert_ne!(other.state_dict(), before);
    other.load_state_dict(&StateDict::read(&path).unwrap()).unwrap();
    assert_eq!(other.state_dict(), before);
    let x = Tensor::new(&[2, 3], &[0.5f32, -1.0, 2.0, 0.0, 1.0, -0.25]);
    let run = |model| interpret(&graph_of(model), std::slice::from_ref(&x)).unwrap();
    assert_eq!(run(&model), run(&other));
}

#[test]
fn counters_of_batches_may_be_missing() {
    let norm = nn::BatchNorm2d::new(2);
    let dict = norm.state_dict();
    assert_eq!(dict.get("num_batches_tracked").unwrap().dtype(), DType::I64);
    let old: StateDict = dict
        .iter()
        .filter(|(name, _)| *name != "num_batches_tracked")
        .map(|(name, tensor)| (name.to_string(), tensor.clone()))
        .collect();
    norm.load_state_dict(&old).unwrap();
}

#[test]
fn initial_values_have_pytorchs_distributions_and_repeat() {
    nn::manual_seed(7);
    let first = nn::Conv2d::new(16, 64, 3).state_dict();
    let second = nn::Conv2d::new(16, 64, 3).state_dict();
    nn::manual_seed(7);
    assert_eq!(nn::Conv2d::new(16, 64, 3).state_dict(), first);
    assert_ne!(first, second);
    // Uniform within 1 / √fan_in has the deviation 1 / √(3 · fan_in).
    let weight = first.get("weight").unwrap().to_vec::<f32>();
    let bound = 1.0 / (16.0f64 * 9.0).sqrt();
    assert!(weight.iter().all(|&w| f64::from(w).abs() <= bound));
    assert!((deviation(&weight) / (bound / 3f64.sqrt()) - 1.0).abs() < 0.02);
    let table = nn::Embedding::new(200, 50).padding_idx(1).state_dict();
    let rows = table.get("weight").unwrap().to_vec::<f32>();
    assert!((deviation(&rows) - 1.0).abs() < 0.03);
    assert!(rows[50..100].iter().all(|&x| x == 0.0) && rows[100] != 0.0);
    let attention = nn::MultiheadAttention::new(8, 2).state_dict();
    assert!(attention.get("out_proj.bias").unwrap().to_vec::<f32>().iter().all(|&b| b == 0.0));
    assert_eq!(attention.get("in_proj_weight").unwrap().shape(), [24, 8]);
}

fn deviation(values: &[f32]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    (values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n).sqrt()
}

#[test]
fn symbolic_extents_pass_through_layers() {
    let model = nn::sequential![
        nn::Conv2d::new(1, 2, 3).padding(1),
        nn::MaxPool2d::new(2),
        nn::Flatten::new().axes(2, -1),
    ];
    let spec = [("x", f32(("B", 1, "H", 8)))];
    let graph = trace("f", &spec, |[x]| model.call(&x)).unwrap();
    let ty = graph.ty(graph.results()[0].value).to_string();
    let x = Tensor::splat(Scalar::F32(1.0), &[3, 1, 5, 8]);
    assert_eq!(interpret(&graph, &[x]).unwrap()[0].shape(), [3, 2, 8], "{ty}");
    let spec = [("x", f32(("B", "T", 6)))];
    let graph = trace("f", &spec, |[x]| {
        let [a, b, _] = x.reshape((x.size(0), -1, 2)).chunk(1);
        (a.mean([0, 1]), b.var(.., 1), x.slice(1, -1..))
    })
    .unwrap();
    let types: Vec<String> =
        graph.results().iter().map(|r| graph.ty(r.value).to_string()).collect();
    assert_eq!(types, ["f32[2]", "f32[]", "f32[B, 1, 6]"]);
}
