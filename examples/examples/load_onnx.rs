//! Loads an ONNX file, looks at its signature, runs it, and runs it again with an input fixed.
//!
//! ```text
//! cargo run --release -p tracelift-examples --example load_onnx [MODEL.onnx]
//! ```
//!
//! Inputs are all 0.5, and a symbolic extent is 1.

use std::collections::{BTreeMap, BTreeSet};

use tracelift::prelude::*;
use tracelift_examples::data_file;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given = std::env::args_os().nth(1);
    let path = given.map_or_else(|| data_file("digits_cnn.onnx"), Into::into);
    let model = load(&path)?;
    let graph = model.graph();

    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for node in graph.topological_order() {
        if let Some(op) = graph.op(node) {
            *counts.entry(op.syntax().name()).or_default() += 1;
        }
    }
    println!("graph @{}: {counts:?}", graph.name());

    let symbols: BTreeSet<_> = graph.symbols().into_iter().collect();
    let dims = symbols.iter().map(|symbol| (symbol.to_string(), 1)).collect();
    let compiled = model.compile(&Options { dims, ..Options::default() })?;
    let graph = compiled.graph();
    let mut inputs = Vec::new();
    for input in graph.inputs() {
        let ty = graph.ty(input);
        println!("input  {}: {ty}", graph.node(input.node).names[0]);
        let half = Scalar::from_f64(ty.dtype, 0.5);
        inputs.push(Tensor::splat(half, &ty.extents()));
    }
    let outputs = compiled.run(&inputs)?;
    for (result, output) in graph.results().iter().zip(&outputs) {
        println!("output {}: {}", result.name, graph.ty(result.value));
        let shown: Vec<String> = output.iter().take(10).map(|x| x.to_string()).collect();
        println!("       {}", shown.join(" "));
        assert!(graph.ty(result.value).extents() == output.shape());
    }
    Ok(())
}
