//! What values are called in text, and which constants are written where they are used.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tracelift_tensor::Tensor;

use super::lex::is_plain;
use crate::{Constant, ConstantData, Graph, NodeId, NodeKind, TensorType, Value};

/// The largest constant, in elements, written inside the text.
const MAX_INLINE_ELEMENTS: usize = 32;

/// The name without its sigil, in quotes where it needs them.
pub(crate) fn quoted(name: &str) -> String {
    if is_plain(name) { name.to_string() } else { serde_json::Value::from(name).to_string() }
}

/// The tensors that lie beside the text of a graph, by name, in print order: parameters, and
/// constants too large for the text.
pub fn data_beside(graph: &Graph) -> Vec<(String, Tensor)> {
    let names = Names::of(graph);
    let tensor = |id: NodeId| match &graph.node(id).kind {
        NodeKind::Constant(Constant { data: ConstantData::Dense(tensor), .. }) => {
            Some((names.data.get(&id)?.clone(), tensor.clone()))
        }
        _ => None,
    };
    graph.topological_order().into_iter().filter_map(tensor).collect()
}

/// The names of a graph's values, each one unique.
pub(crate) struct Names {
    /// With sigil and quotes.
    values: HashMap<Value, String>,
    /// Constants written as literals wherever they are used.
    literals: HashSet<NodeId>,
    /// The names of the tensors that lie beside the text.
    data: BTreeMap<NodeId, String>,
}

impl Names {
    /// Names every value: its own name where it has one, made unique by a suffix, else a number.
    pub(crate) fn of(graph: &Graph) -> Names {
        let order = graph.topological_order();
        let literals = literals(graph, &order);
        let mut names = Names { values: HashMap::new(), literals, data: data_names(graph, &order) };
        let inputs: Vec<NodeId> = graph.inputs().map(|v| v.node).collect();
        let is_input = |id: &NodeId| matches!(graph.node(*id).kind, NodeKind::Input);
        let rest = order.into_iter().filter(|id| !is_input(id));
        let named: Vec<NodeId> =
            inputs.into_iter().chain(rest).filter(|id| !names.literals.contains(id)).collect();
        let mut used = Unique::default();
        let mut unnamed = Vec::new();
        for id in named {
            for value in graph.values(id) {
                if let Some(parameter) = parameter(graph, id) {
                    names.values.insert(value, format!("@{}", quoted(parameter)));
                } else if let Some(name) = own_name(graph, value) {
                    names.values.insert(value, format!("%{}", quoted(&used.claim(name))));
                } else {
                    unnamed.push(value);
                }
            }
        }
        let mut number = 0usize;
        for value in unnamed {
            let free = (number..).find(|k| !used.taken.contains(&k.to_string()));
            number = free.expect("a graph has fewer values than there are numbers") + 1;
            names.values.insert(value, format!("%{}", number - 1));
        }
        names
    }

    /// A value as an operand: its name, or the number where it is a literal.
    pub(crate) fn operand(&self, graph: &Graph, value: Value) -> String {
        if self.literals.contains(&value.node)
            && let Some(scalar) = graph.splat(value)
        {
            return scalar.to_string();
        }
        self.values.get(&value).cloned().unwrap_or_else(|| "%\"(missing)\"".to_string())
    }

    /// Whether a constant is written where it is used instead of on a line of its own.
    pub(crate) fn is_literal(&self, id: NodeId) -> bool {
        self.literals.contains(&id)
    }

    /// The name of the tensor that holds a constant, where it lies beside the text.
    pub(crate) fn data(&self, id: NodeId) -> Option<&str> {
        self.data.get(&id).map(String::as_str)
    }
}

fn own_name(graph: &Graph, value: Value) -> Option<&str> {
    let name = graph.node(value.node).names.get(value.result as usize)?;
    (!name.is_empty()).then_some(name)
}

fn parameter(graph: &Graph, id: NodeId) -> Option<&str> {
    match &graph.node(id).kind {
        NodeKind::Constant(constant) => constant.parameter.as_deref(),
        _ => None,
    }
}

/// Names given out, each once.
#[derive(Default)]
struct Unique {
    taken: BTreeSet<String>,
    /// The last suffix tried for a name.
    suffixes: HashMap<String, usize>,
}

impl Unique {
    fn claim(&mut self, name: &str) -> String {
        let mut unique = name.to_string();
        while !self.taken.insert(unique.clone()) {
            let suffix = self.suffixes.entry(name.to_string()).or_insert(0);
            *suffix += 1;
            unique = format!("{name}_{suffix}");
        }
        unique
    }
}

/// The names of the tensors beside the text: those of parameters, and `const.N` for large constants.
fn data_names(graph: &Graph, order: &[NodeId]) -> BTreeMap<NodeId, String> {
    let parameters: BTreeSet<&str> = order.iter().filter_map(|id| parameter(graph, *id)).collect();
    let mut number = 0usize;
    let mut names = BTreeMap::new();
    for &id in order {
        let NodeKind::Constant(Constant { parameter, data: ConstantData::Dense(tensor) }) =
            &graph.node(id).kind
        else {
            continue;
        };
        if let Some(parameter) = parameter {
            names.insert(id, parameter.to_string());
        } else if tensor.count() > MAX_INLINE_ELEMENTS {
            let mut name = format!("const.{number}");
            while parameters.contains(name.as_str()) {
                number += 1;
                name = format!("const.{number}");
            }
            number += 1;
            names.insert(id, name);
        }
    }
    names
}

/// The constants that the parser rebuilds exactly from a number at every use.
///
/// A literal takes the type of its node's last operand that is none, so whether a constant can be
/// one depends on the others: start with all and drop those that do not fit until none is left.
fn literals(graph: &Graph, order: &[NodeId]) -> HashSet<NodeId> {
    let is_splat = |id: &NodeId| {
        let constant = match &graph.node(*id).kind {
            NodeKind::Constant(constant) => constant,
            _ => return false,
        };
        let repeats = match &constant.data {
            ConstantData::Splat(_) => true,
            // A tensor without axes prints as a number either way.
            ConstantData::Dense(tensor) => tensor.rank() == 0,
        };
        constant.parameter.is_none() && repeats
    };
    let mut literals: HashSet<NodeId> = order.iter().copied().filter(is_splat).collect();
    for result in graph.results() {
        literals.remove(&result.value.node);
    }
    let used: HashSet<NodeId> =
        order.iter().flat_map(|id| graph.operands(*id)).map(|v| v.node).collect();
    literals.retain(|id| used.contains(id));
    let ty = |v: &Value| -> Option<&TensorType> { graph.node(v.node).types.get(v.result as usize) };
    loop {
        let before = literals.len();
        for id in order {
            let operands = graph.operands(*id);
            let anchor = operands.iter().rev().find(|v| !literals.contains(&v.node)).and_then(ty);
            for operand in &operands {
                if anchor.is_none() || ty(operand) != anchor {
                    literals.remove(&operand.node);
                }
            }
        }
        if literals.len() == before {
            return literals;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_get_suffixes_that_clash_with_none() {
        let mut unique = Unique::default();
        let given: Vec<String> = ["a", "a", "a_1", "a"].map(|n| unique.claim(n)).to_vec();
        assert_eq!(given, ["a", "a_1", "a_1_1", "a_2"]);
    }
}
