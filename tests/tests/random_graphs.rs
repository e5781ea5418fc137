//! Random graphs: every engine agrees with the graph interpreter.
//!
//! `TRACELIFT_RANDOM_GRAPHS` sets how many (200 by default), `TRACELIFT_RANDOM_SEED` the first.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tracelift::{
    ir::{Graph, Op, testing},
    tensor::{DType, Tensor},
    testing::{Engine, KernelInterpreter, jits},
};
use tracelift_tests::agreement::check;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The products of a convolution with its padding, which kernels leave out.
const PADDING: &str = "a weight that is not finite meets padding";

/// The products with what a mask hides, which kernels leave out.
const MASK: &str = "a value that is not finite meets a weight of 0 under a mask";

/// Graphs whose results depend on more than is promised, with what happens there.
const EXCUSED: &[(u64, &str)] = &[
    (1301, PADDING),
    (1928, MASK),
    (4034, "sorts values that are equal but for rounding"),
    (5962, PADDING),
    (6734, "pads inside a row kernel: the verifier cannot prove the nested remainders in bounds"),
    (6928, PADDING),
    (7092, "compares a norm of equal elements with 0"),
    (7733, "divides one rounding of x − mean by √ε and multiplies by 1e30"),
    (8379, "normalises two saturated values that differ by rounding"),
    (8391, "compares a norm of equal elements with 0"),
    (8823, PADDING),
    (8878, PADDING),
    (9527, PADDING),
];

/// Whether a sine, cosine or tangent is taken in f64: beyond 2⁵⁰ compiled code gives NaN.
fn turns_far(graph: &Graph) -> bool {
    graph.topological_order().into_iter().any(|id| {
        matches!(graph.op(id), Some(Op::Sin(_) | Op::Cos(_) | Op::Tan(_)))
            && graph.node(id).types[0].dtype == DType::F64
    })
}

fn run(engine: &dyn Engine) {
    let config = testing::Config::default();
    let first = setting("TRACELIFT_RANDOM_SEED", 0);
    let mut failures = Vec::new();
    for seed in first..first + setting("TRACELIFT_RANDOM_GRAPHS", 200) {
        let (graph, inputs): (_, Vec<Tensor>) = testing::random_graph(seed, &config);
        if turns_far(&graph) || EXCUSED.iter().any(|(excused, _)| *excused == seed) {
            continue;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let found = engine.run(&graph, &inputs)?;
            check(&graph, &inputs, &found)
        }));
        let message = match outcome {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(panic) => match panic.downcast::<String>() {
                Ok(text) => format!("panic: {text}"),
                Err(_) => "panic".to_string(),
            },
        };
        failures.push((graph.node_count(), format!("seed {seed}: {message:.1500}\n{graph}")));
    }
    // The smallest graphs say the most.
    failures.sort_by_key(|(nodes, _)| *nodes);
    let shown: Vec<&str> = failures.iter().take(8).map(|(_, text)| text.as_str()).collect();
    let shown = shown.join("\n");
    assert!(failures.is_empty(), "{}: {} graphs differ\n{shown}", engine.name(), failures.len());
}

#[test]
fn kernels_agree_with_the_graph() {
    run(&KernelInterpreter);
}

#[test]
fn compiled_code_agrees_with_the_graph() {
    jits().iter().for_each(|jit| run(jit));
}
