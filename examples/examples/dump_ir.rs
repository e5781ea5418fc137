//! Prints a small network at every stage: graph, optimised graph, groups, kernels.
//!
//! ```text
//! cargo run --release -p tracelift-examples --example dump_ir
//! ```

use std::collections::BTreeMap;

use tracelift::{
    backend::GroupKind,
    ir::{Graph, parse_graph, text::data_beside},
    loops,
    pipeline::Build,
    prelude::*,
};
use tracelift_examples::data_file;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = load(data_file("digits_cnn.onnx"))?;
    println!("// as imported\n{}", model.graph());
    assert!(reads_back(model.graph())?, "what is printed reads back as the same graph");

    let mut build = Build::new(&Options::default())?;
    let mut graph = model.graph().clone();
    build.optimise(&mut graph)?;
    println!("// after the passes\n{graph}");
    assert!(reads_back(&graph)?, "what is printed reads back as the same graph");

    let lowered = build.lower(&graph)?;
    println!("// groups: what one kernel computes");
    for group in &lowered.groups {
        let members: Vec<&str> = group
            .members
            .iter()
            .filter_map(|&node| Some(graph.op(node)?.syntax().name()))
            .collect();
        let kind = match group.kind {
            GroupKind::Alias => "alias",
            GroupKind::Pointwise => "pointwise",
            GroupKind::Chain => "chain",
            GroupKind::Strip => "strip",
            GroupKind::Row(_) => "row",
            GroupKind::Fold(_) => "fold",
            GroupKind::Scan(_) => "scan",
            GroupKind::Scatter(_) => "scatter",
            GroupKind::Sort(_) => "sort",
        };
        println!("//   {kind:<10} {:<40} {}", members.join(", "), group.ended);
    }

    println!("\n// kernels");
    for kernel in &lowered.kernels {
        let text = kernel.to_string();
        println!("{text}");
        assert_eq!(loops::parse(&text)?.to_string(), text, "what is read prints as it was written");
    }
    Ok(())
}

/// Whether a graph's text says the same graph, with the parameters that lie beside it.
fn reads_back(graph: &Graph) -> Result<bool, Box<dyn std::error::Error>> {
    let beside: BTreeMap<String, Tensor> = data_beside(graph).into_iter().collect();
    let again = parse_graph(&graph.to_string(), &mut |name| beside.get(name).cloned())?;
    Ok(again.same_as(graph))
}
