//! What the tests of passes share.

use tracelift_ir::{Builder, Graph, Value, interpret};
use tracelift_passes::{Options, PassManager, PassReport};
use tracelift_tensor::{DType, Scalar, Tensor};

/// Runs passes with every check on.
pub fn run(passes: &[&str], graph: &Graph) -> (Graph, PassReport) {
    let mut out = graph.clone();
    let options = Options { check_changes: true, ..Options::default() };
    let report = PassManager::new(passes, options).unwrap().run(&mut out).unwrap();
    (out, report)
}

/// The names of the operators in order.
pub fn names(graph: &Graph) -> Vec<&'static str> {
    let order = graph.topological_order();
    order.iter().filter_map(|id| Some(graph.op(*id)?.syntax().name())).collect()
}

/// How often an operator occurs.
pub fn count(graph: &Graph, name: &str) -> usize {
    names(graph).into_iter().filter(|n| *n == name).count()
}

/// A graph of the results that a closure builds.
pub fn graph_of(build: impl FnOnce(&mut Graph) -> Vec<Value>) -> Graph {
    let mut graph = Graph::new("test");
    for value in build(&mut graph) {
        graph.add_result("", value);
    }
    graph
}

/// The provenance and position do not matter in tests.
pub fn builder(graph: &mut Graph) -> Builder<'_> {
    Builder::new(graph)
}

/// Numbers in −1..1 that repeat from run to run.
pub fn noise(shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    Tensor::from_fn(DType::F32, shape, |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Scalar::F32((state >> 40) as f32 / (1 << 23) as f32 - 1.0)
    })
}

/// Inputs for a graph: noise, and for floats now and then a zero of either sign, an infinity, NaN.
pub fn inputs(graph: &Graph, special: bool) -> Vec<Tensor> {
    let specials = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    let types: Vec<_> = graph.inputs().map(|v| graph.ty(v).clone()).collect();
    let fill = |(k, ty): (usize, &tracelift_ir::TensorType)| {
        let numbers = noise(&ty.extents(), k as u64 + 1);
        let mut at = 0;
        Tensor::from_fn(ty.dtype, &ty.extents(), |_| {
            let x = numbers.get(at).to_f64();
            at += 1;
            match ty.dtype {
                DType::Bool => Scalar::Bool(x > 0.0),
                dtype if !dtype.is_float() => Scalar::from_i64(dtype, (x * 1000.0) as i64),
                dtype if special && at % 3 == 0 => Scalar::from_f64(dtype, specials[at / 3 % 5]),
                dtype => Scalar::from_f64(dtype, x),
            }
        })
    };
    types.iter().enumerate().map(fill).collect()
}

/// Whether two numbers have the same bits or are both NaN.
pub fn same_scalar(x: Scalar, y: Scalar) -> bool {
    x == y || (x.dtype() == y.dtype() && x.to_f64().is_nan() && y.to_f64().is_nan())
}

/// Checks that two graphs give the same bits, NaN payloads aside, on ordinary and special inputs.
pub fn assert_same_bits(before: &Graph, after: &Graph) {
    for special in [false, true] {
        let inputs = inputs(before, special);
        let (a, b) = (interpret(before, &inputs).unwrap(), interpret(after, &inputs).unwrap());
        for (a, b) in a.iter().zip(&b) {
            assert_eq!((a.shape(), a.dtype()), (b.shape(), b.dtype()));
            for (x, y) in a.iter().zip(b.iter()) {
                assert!(same_scalar(x, y), "{x} became {y}");
            }
        }
    }
}

/// Checks that two graphs agree within a share of the largest result.
pub fn assert_close(before: &Graph, after: &Graph, tolerance: f64) {
    let inputs = inputs(before, false);
    let (a, b) = (interpret(before, &inputs).unwrap(), interpret(after, &inputs).unwrap());
    for (a, b) in a.iter().zip(&b) {
        assert_eq!((a.shape(), a.dtype()), (b.shape(), b.dtype()));
        let largest = a.iter().map(|x| x.to_f64().abs()).fold(0.0, f64::max);
        for (x, y) in a.iter().zip(b.iter()) {
            let error = (x.to_f64() - y.to_f64()).abs();
            assert!(error <= tolerance * largest, "{x} became {y}, largest {largest}");
        }
    }
}
