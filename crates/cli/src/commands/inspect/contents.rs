//! What is in a graph: signature, parameters, operators.

use std::{collections::BTreeMap, fmt};

use serde_json::{Value, json};
use tracelift::{
    ir::{ConstantData, Graph, NodeKind},
    tensor::checked_count,
};

use crate::{data::result_name, source::input_name, table, table::Table};

/// A summary of a graph.
pub struct Contents {
    name: String,
    /// Names and types.
    inputs: Vec<(String, String)>,
    outputs: Vec<(String, String)>,
    symbols: Vec<String>,
    /// Constants with a name: how many, their elements and bytes.
    parameters: Totals,
    /// Constants without a name.
    constants: Totals,
    operators: BTreeMap<String, usize>,
}

/// How much there is of something.
#[derive(Clone, Copy, Default)]
struct Totals {
    count: usize,
    elements: usize,
    bytes: usize,
}

impl Contents {
    /// Summarises a graph.
    pub fn of(graph: &Graph) -> Contents {
        let (parameters, constants) = constants(graph);
        let inputs = graph.inputs().map(|v| (input_name(graph, v), graph.ty(v).to_string()));
        let outputs = graph.results().iter().enumerate();
        Contents {
            name: graph.name().to_string(),
            inputs: inputs.collect(),
            outputs: outputs
                .map(|(k, r)| (result_name(graph, k), graph.ty(r.value).to_string()))
                .collect(),
            symbols: graph.symbols().iter().map(|s| s.to_string()).collect(),
            parameters,
            constants,
            operators: operators(graph),
        }
    }

    /// How to give every symbol a value.
    pub fn set_hint(&self) -> String {
        let hints: Vec<String> = self.symbols.iter().map(|s| format!("--set {s}=1")).collect();
        hints.join(" ")
    }

    /// The same for programs.
    pub fn to_json(&self) -> Value {
        let port = |(name, ty): &(String, String)| json!({ "name": name, "type": ty });
        let totals =
            |t: Totals| json!({ "count": t.count, "elements": t.elements, "bytes": t.bytes });
        json!({
            "graph": self.name,
            "inputs": self.inputs.iter().map(port).collect::<Vec<_>>(),
            "outputs": self.outputs.iter().map(port).collect::<Vec<_>>(),
            "symbols": self.symbols,
            "parameters": totals(self.parameters),
            "constants": totals(self.constants),
            "operators": self.operators,
        })
    }
}

fn constants(graph: &Graph) -> (Totals, Totals) {
    let (mut parameters, mut constants) = (Totals::default(), Totals::default());
    for id in graph.nodes() {
        let node = graph.node(id);
        let NodeKind::Constant(constant) = &node.kind else { continue };
        let totals = if constant.parameter.is_some() { &mut parameters } else { &mut constants };
        let elements = match &constant.data {
            ConstantData::Dense(tensor) => tensor.count(),
            // One number stands for all elements of a splat.
            ConstantData::Splat(_) => {
                node.types[0].shape.as_consts().and_then(|s| checked_count(&s)).unwrap_or(1)
            }
        };
        totals.count += 1;
        totals.elements = totals.elements.saturating_add(elements);
        let bytes = elements.saturating_mul(node.types[0].dtype.size_bytes());
        totals.bytes = totals.bytes.saturating_add(bytes);
    }
    (parameters, constants)
}

/// How often each operator occurs.
pub fn operators(graph: &Graph) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for op in graph.nodes().into_iter().filter_map(|id| graph.op(id)) {
        *counts.entry(op.syntax().name().to_string()).or_default() += 1;
    }
    counts
}

/// Operators with their counts, the most frequent first.
pub fn list(operators: &BTreeMap<String, usize>) -> String {
    let mut sorted: Vec<(&String, &usize)> = operators.iter().collect();
    sorted.sort_by_key(|(name, n)| (usize::MAX - **n, name.as_str()));
    let texts: Vec<String> = sorted.iter().map(|(name, n)| format!("{name} {n}")).collect();
    if texts.is_empty() { "none".into() } else { texts.join(", ") }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ports = Table::new(["", "name", "type"]);
        let of_kind = |kind: &'static str, list: &[(String, String)]| {
            list.iter().map(|(n, t)| [kind.to_string(), n.clone(), t.clone()]).collect::<Vec<_>>()
        };
        let rows = of_kind("input", &self.inputs).into_iter();
        rows.chain(of_kind("output", &self.outputs)).for_each(|row| ports.row(row));
        writeln!(f, "graph @{}", self.name.escape_debug())?;
        write!(f, "{ports}")?;
        if !self.symbols.is_empty() {
            writeln!(f, "dimensions without a value: {}", self.symbols.join(", "))?;
        }
        for (what, t) in [("parameters", self.parameters), ("other constants", self.constants)] {
            writeln!(f, "{what}: {}, {} elements, {}", t.count, t.elements, table::bytes(t.bytes))?;
        }
        writeln!(f, "operators: {}", list(&self.operators))
    }
}
