//! Graph to text.

use std::fmt::{self, Write as _};

use tracelift_tensor::Tensor;

use super::{Names, lex::is_word, quoted};
use crate::{Constant, ConstantData, Graph, NodeId, NodeKind, Op, TensorType};

/// What the text of a graph shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PrintOptions {
    /// Whether each line ends in a comment that says where its node came from.
    pub provenance: bool,
}

impl fmt::Display for Graph {
    /// Writes the text form; [`data_beside`](super::data_beside) gives the tensors it refers to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(&PrintOptions::default()))
    }
}

impl Graph {
    /// The text form.
    pub fn to_text(&self, options: &PrintOptions) -> String {
        let names = Names::of(self);
        let mut out = signature(self, &names);
        for id in self.topological_order() {
            let Some(line) = line(self, &names, id) else { continue };
            let _ = write!(out, "  {line}");
            let provenance = &self.node(id).provenance;
            if options.provenance && !provenance.origins().is_empty() {
                // A line break in a name would end the comment.
                let from = provenance.to_string().replace(char::is_control, " ");
                let _ = write!(out, "  // from {from}");
            }
            out.push('\n');
        }
        let _ = writeln!(out, "  {}\n}}", return_line(self, &names));
        out
    }
}

fn signature(graph: &Graph, names: &Names) -> String {
    let typed = |v| format!("{}: {}", names.operand(graph, v), graph.ty(v));
    let inputs: Vec<String> = graph.inputs().map(typed).collect();
    let results: Vec<String> = graph
        .results()
        .iter()
        .filter(|r| graph.contains(r.value.node))
        .filter_map(|r| graph.node(r.value.node).types.get(r.value.result as usize))
        .map(TensorType::to_string)
        .collect();
    let results = match results.as_slice() {
        [one] => one.clone(),
        all => format!("({})", all.join(", ")),
    };
    format!("graph @{}({}) -> {results} {{\n", quoted(graph.name()), inputs.join(", "))
}

/// The line that defines a node; `None` for inputs and for constants written where they are used.
fn line(graph: &Graph, names: &Names, id: NodeId) -> Option<String> {
    let bindings = || {
        let typed = |v| format!("{}: {}", names.operand(graph, v), graph.ty(v));
        graph.values(id).map(typed).collect::<Vec<_>>().join(", ")
    };
    match &graph.node(id).kind {
        NodeKind::Input => None,
        NodeKind::Constant(_) if names.is_literal(id) => None,
        NodeKind::Constant(Constant { parameter: Some(_), data: ConstantData::Dense(_) }) => {
            Some(bindings())
        }
        NodeKind::Constant(constant) => {
            let content = match names.data(id) {
                Some(name) => format!("@{}", quoted(name)),
                None => constant_text(&constant.data),
            };
            Some(format!("{} = constant({content})", bindings()))
        }
        NodeKind::Op(op) => Some(format!("{} = {}", bindings(), application(graph, names, id, op))),
    }
}

/// An operator with its operands and attributes, such as `concat(%a, %b, axis=1)`.
pub(crate) fn application(graph: &Graph, names: &Names, id: NodeId, op: &Op) -> String {
    let operands = graph.operands(id).into_iter().map(|v| names.operand(graph, v));
    let attributes = op.syntax().attributes().into_iter().map(|(name, text)| match name {
        "spec" => text,
        _ => format!("{name}={text}"),
    });
    let arguments: Vec<String> = operands.chain(attributes).collect();
    format!("{}({})", op.syntax().name(), arguments.join(", "))
}

/// The elements of a constant: one number, or nested lists.
fn constant_text(data: &ConstantData) -> String {
    match data {
        ConstantData::Splat(scalar) => scalar.to_string(),
        ConstantData::Dense(tensor) if tensor.count() == 0 => "[]".to_string(),
        ConstantData::Dense(tensor) => nested(tensor, 0, 0, tensor.count()),
    }
}

fn nested(tensor: &Tensor, axis: usize, start: usize, count: usize) -> String {
    let Some(&extent) = tensor.shape().get(axis) else { return tensor.get(start).to_string() };
    let step = count / extent;
    let parts: Vec<String> =
        (0..extent).map(|k| nested(tensor, axis + 1, start + k * step, step)).collect();
    format!("[{}]", parts.join(", "))
}

fn return_line(graph: &Graph, names: &Names) -> String {
    let result = |r: &crate::GraphResult| {
        let value = names.operand(graph, r.value);
        match &*r.name {
            "" => value,
            name if is_word(name) => format!("{name}: {value}"),
            name => format!("{}: {value}", serde_json::Value::from(name)),
        }
    };
    let results: Vec<String> = graph.results().iter().map(result).collect();
    format!("return {}", results.join(", ")).trim_end().to_string()
}
