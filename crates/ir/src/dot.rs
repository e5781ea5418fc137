//! Graphs as DOT, for Graphviz.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    Graph, NodeId, NodeKind,
    text::{Names, application},
};

/// The nodes of a module and of those inside it.
#[derive(Default)]
struct Module {
    nodes: Vec<NodeId>,
    inside: BTreeMap<String, Module>,
}

/// The nesting of clusters shown; modules below share their parent's cluster.
const MAX_DEPTH: usize = 16;

/// The graph as DOT: one box per node, clustered by module path, edges labelled with types.
pub fn to_dot(graph: &Graph) -> String {
    let names = Names::of(graph);
    let mut root = Module::default();
    for id in graph.nodes().into_iter().filter(|id| !names.is_literal(*id)) {
        let origin = graph.node(id).provenance.origins().first();
        let path = origin.map_or("", |origin| &*origin.module);
        let mut module = &mut root;
        for part in path.split('.').filter(|part| !part.is_empty()).take(MAX_DEPTH) {
            module = module.inside.entry(part.to_string()).or_default();
        }
        module.nodes.push(id);
    }
    let mut out = format!("digraph {} {{\n  node [shape=box];\n", text(graph.name()));
    write_module(&mut out, graph, &names, &root, "", 1);
    write_edges(&mut out, graph, &names);
    out.push_str("}\n");
    out
}

fn write_module(
    out: &mut String,
    graph: &Graph,
    names: &Names,
    module: &Module,
    path: &str,
    depth: usize,
) {
    let indent = "  ".repeat(depth);
    for &id in &module.nodes {
        let label = text(&label(graph, names, id));
        let _ = writeln!(out, "{indent}n{} [label={label}];", id.index());
    }
    for (name, inside) in &module.inside {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let (cluster, label) = (text(&format!("cluster_{path}")), text(name));
        let _ = writeln!(out, "{indent}subgraph {cluster} {{\n{indent}  label={label};");
        write_module(out, graph, names, inside, &path, depth + 1);
        let _ = writeln!(out, "{indent}}}");
    }
}

fn write_edges(out: &mut String, graph: &Graph, names: &Names) {
    for id in graph.nodes() {
        for value in graph.operands(id).into_iter().filter(|v| !names.is_literal(v.node)) {
            let ty = text(&graph.ty(value).to_string());
            let _ = writeln!(out, "  n{} -> n{} [label={ty}];", value.node.index(), id.index());
        }
    }
    for (k, result) in graph.results().iter().enumerate() {
        let label =
            if result.name.is_empty() { format!("result {k}") } else { result.name.to_string() };
        let _ = writeln!(out, "  r{k} [label={}, shape=ellipse];", text(&label));
        let ty = text(&graph.ty(result.value).to_string());
        let _ = writeln!(out, "  n{} -> r{k} [label={ty}];", result.value.node.index());
    }
}

fn label(graph: &Graph, names: &Names, id: NodeId) -> String {
    let values: Vec<String> = graph.values(id).map(|v| names.operand(graph, v)).collect();
    let values = values.join(", ");
    match &graph.node(id).kind {
        NodeKind::Input => format!("input {values}"),
        NodeKind::Constant(_) if values.starts_with('@') => values,
        NodeKind::Constant(_) => format!("{values} = constant"),
        NodeKind::Op(op) => format!("{values} = {}", application(graph, names, id, op)),
    }
}

/// A DOT string.
fn text(content: &str) -> String {
    format!("\"{}\"", content.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Provenance, TensorType};
    use tracelift_tensor::DType;

    #[test]
    fn modules_are_clusters() {
        let mut g = Graph::new("g");
        let x = g.add_input("a/\"b", TensorType::new(DType::F32, ["B"]));
        let mut b = Builder::with_provenance(&mut g, Provenance::at("n", "encoder.layer"));
        let two = b.splat_like(x, 2.0);
        let y = b.mul(x, two).unwrap();
        g.add_result("", y);
        let index = y.node.index();
        let expected = format!(
            r#"digraph "g" {{
  node [shape=box];
  n0 [label="input %\"a/\\\"b\""];
  subgraph "cluster_encoder" {{
    label="encoder";
    subgraph "cluster_encoder.layer" {{
      label="layer";
      n{index} [label="%0 = mul(%\"a/\\\"b\", 2.0)"];
    }}
  }}
  n0 -> n{index} [label="f32[B]"];
  r0 [label="result 0", shape=ellipse];
  n{index} -> r0 [label="f32[B]"];
}}
"#
        );
        assert_eq!(to_dot(&g), expected);
    }
}
