//! Which nodes each kernel computes.

use std::fmt::Write;

use serde_json::json;
use tracelift::{
    backend::{Group, GroupKind},
    ir::{Graph, NodeId, Value},
};

/// One block per group: its kind and results, its nodes, the way chosen, and why it ended.
pub fn to_text(graph: &Graph, groups: &[Group]) -> String {
    let mut out = String::new();
    for (k, group) in groups.iter().enumerate() {
        let results: Vec<String> = group.outputs.iter().map(|v| typed(graph, *v)).collect();
        let _ = writeln!(out, "{k:3} {} -> {}", kind(group), results.join(", "));
        for &id in &group.members {
            let _ = writeln!(out, "      {}", line(graph, id));
        }
        if !group.choice.is_empty() {
            let _ = writeln!(out, "    chosen: {}", group.choice);
        }
        if !group.ended.is_empty() {
            let _ = writeln!(out, "    ended: {}", group.ended);
        }
    }
    out
}

/// The same for programs.
pub fn to_json(graph: &Graph, groups: &[Group]) -> String {
    let groups = groups.iter().map(|group| {
        json!({
            "kind": kind(group),
            "outputs": group.outputs.iter().map(|v| typed(graph, *v)).collect::<Vec<_>>(),
            "members": group.members.iter().map(|&id| line(graph, id)).collect::<Vec<_>>(),
            "chosen": group.choice,
            "ended": group.ended,
        })
    });
    let groups = serde_json::Value::Array(groups.collect());
    format!("{groups:#}\n")
}

fn kind(group: &Group) -> &'static str {
    match group.kind {
        GroupKind::Alias => "alias",
        GroupKind::Pointwise => "pointwise",
        GroupKind::Row(_) => "row",
        GroupKind::Fold(_) => "fold",
        GroupKind::Scan(_) => "scan",
        GroupKind::Scatter(_) => "scatter",
        GroupKind::Sort(_) => "sort",
        GroupKind::Chain => "chain",
        GroupKind::Strip => "strip",
    }
}

/// A value's name, or its node's number, and its type.
fn typed(graph: &Graph, value: Value) -> String {
    format!("{}: {}", name(graph, value), graph.ty(value))
}

fn name(graph: &Graph, value: Value) -> String {
    let names = &graph.node(value.node).names;
    match names.get(value.result as usize).filter(|n| !n.is_empty()) {
        Some(name) => format!("%{}", name.escape_debug()),
        None => format!("%v{}", value.node.index()),
    }
}

fn line(graph: &Graph, id: NodeId) -> String {
    let results: Vec<String> = graph.values(id).map(|v| typed(graph, v)).collect();
    let operands = graph.operands(id).into_iter().map(|v| match graph.splat(v) {
        Some(scalar) => scalar.to_string(),
        None => name(graph, v),
    });
    let mut arguments: Vec<String> = operands.collect();
    let op = graph.op(id).map_or("value", |op| op.syntax().name());
    if let Some(op) = graph.op(id) {
        arguments
            .extend(op.syntax().attributes().iter().map(|(name, text)| format!("{name}={text}")));
    }
    format!("{} = {op}({})", results.join(", "), arguments.join(", "))
}
