//! Equality of graphs up to notation.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tracelift_tensor::{Bytes, Scalar};

use crate::{Constant, ConstantData, Graph, NodeKind, Op, TensorType, Value};

/// What a node computes: nodes of one class have equal results.
#[derive(PartialEq, Eq, Hash)]
struct Computation {
    kind: Kind,
    /// Class and result number of each operand.
    operands: Vec<(usize, u32)>,
    types: Vec<TensorType>,
}

#[derive(PartialEq, Eq, Hash)]
enum Kind {
    Input(usize),
    Constant(Option<Arc<str>>, Elements),
    Op(Op),
}

/// The elements of a constant by bits; how they are stored does not matter.
#[derive(PartialEq, Eq, Hash)]
enum Elements {
    None,
    Repeated(Scalar),
    All(Bytes),
}

/// The numbers of classes, shared by the graphs compared.
type Classes = HashMap<Computation, usize>;

/// What equality sees of a graph.
#[derive(PartialEq)]
struct Summary {
    inputs: Vec<TensorType>,
    results: Vec<(usize, u32)>,
    /// How many operator nodes there are of each class.
    n_nodes: BTreeMap<usize, usize>,
}

impl Graph {
    /// Whether both graphs have the same inputs, results, and number of nodes for every
    /// computation; constants are compared by bits.
    ///
    /// Names (but those of parameters), provenance and order are notation and do not matter, nor
    /// does whether equal constants are one node or several. A graph with a cycle equals none.
    pub fn same_as(&self, other: &Graph) -> bool {
        let mut classes = Classes::new();
        match (summary(self, &mut classes), summary(other, &mut classes)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        }
    }
}

/// `None` for a graph that is not well-formed: a cycle, or results that are gone.
fn summary(graph: &Graph, classes: &mut Classes) -> Option<Summary> {
    let inputs: Vec<Value> = graph.inputs().collect();
    let positions: HashMap<Value, usize> = inputs.iter().copied().zip(0..).collect();
    let mut class_of = HashMap::new();
    let mut n_nodes = BTreeMap::new();
    let order = graph.topological_order();
    if order.len() != graph.node_count() {
        return None;
    }
    for id in order {
        let node = graph.node(id);
        let kind = match &node.kind {
            NodeKind::Input => Kind::Input(*positions.get(&Value { node: id, result: 0 })?),
            NodeKind::Constant(Constant { parameter, data }) => {
                Kind::Constant(parameter.clone(), elements(data, node.types.first()?))
            }
            NodeKind::Op(op) => Kind::Op(op.clone()),
        };
        let is_op = matches!(kind, Kind::Op(_));
        let operands = graph.operands(id).iter().map(|v| (class_of[&v.node], v.result)).collect();
        let next = classes.len();
        let computation = Computation { kind, operands, types: node.types.clone() };
        let class = *classes.entry(computation).or_insert(next);
        class_of.insert(id, class);
        if is_op {
            *n_nodes.entry(class).or_insert(0) += 1;
        }
    }
    let result = |v: Value| Some((*class_of.get(&v.node)?, v.result));
    Some(Summary {
        inputs: inputs.iter().map(|v| graph.ty(*v).clone()).collect(),
        results: graph.results().iter().map(|r| result(r.value)).collect::<Option<_>>()?,
        n_nodes,
    })
}

fn elements(data: &ConstantData, ty: &TensorType) -> Elements {
    if ty.shape.count() == 0 {
        return Elements::None;
    }
    match data {
        ConstantData::Splat(scalar) => Elements::Repeated(*scalar),
        ConstantData::Dense(tensor) => match tensor.as_splat() {
            Some(scalar) => Elements::Repeated(scalar),
            None => Elements::All(tensor.bytes().clone()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_graph;

    fn graph(body: &str) -> Graph {
        let text = format!("graph @g(%x: f32[2], %y: f32[2]) -> f32[2] {{\n{body}\n}}");
        parse_graph(&text, &mut |_| None).unwrap()
    }

    #[test]
    fn notation_does_not_matter() {
        let a = graph("%a: f32[2] = exp(%x)\n%b: f32[2] = add(%a, 2.0)\nreturn %b");
        let b = graph(
            "%k: f32[2] = constant([2.0, 2.0])\n%p: f32[2] = exp(%x)\n%q: f32[2] = add(%p, %k)\nreturn %q",
        );
        assert!(a.same_as(&b) && b.same_as(&a));
    }

    #[test]
    fn what_is_computed_matters() {
        let a = graph("%a: f32[2] = sub(%x, %y)\nreturn %a");
        assert!(!a.same_as(&graph("%a: f32[2] = sub(%y, %x)\nreturn %a")));
        assert!(!a.same_as(&graph("%a: f32[2] = sub(%x, -0.0)\nreturn %a")));
        assert!(!a.same_as(&graph("%a: f32[2] = sub(%x, %y)\n%b: f32[2] = exp(%x)\nreturn %a")));
        let twice = "%a: f32[2] = sub(%x, %y)\n%b: f32[2] = sub(%x, %y)\n";
        let shared = graph("%a: f32[2] = sub(%x, %y)\n%c: f32[2] = add(%a, %a)\nreturn %c");
        assert!(!shared.same_as(&graph(&format!("{twice}%c: f32[2] = add(%a, %b)\nreturn %c"))));
    }

    #[test]
    fn constants_are_compared_by_bits() {
        let add = |k: &str| graph(&format!("%a: f32[2] = add(%x, {k})\nreturn %a"));
        assert!(add("nan").same_as(&add("nan")));
        assert!(!add("0.0").same_as(&add("-0.0")));
        assert!(!add("nan").same_as(&add("nan:0xffc00000")));
    }
}
