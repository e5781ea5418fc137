//! The rules every graph keeps, checked all at once.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    sync::Arc,
};

use tracelift_tensor::Dim;

use crate::{Constant, ConstantData, Graph, Node, NodeId, NodeKind, Provenance, TensorType, text};

/// The most axes of a tensor.
pub const MAX_RANK: usize = text::MAX_RANK;

/// The most elements of a tensor.
pub const MAX_ELEMENTS: i64 = (1 << 40) - 1;

/// A rule that a graph breaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Rule {
    /// No node depends on itself.
    Acyclic,
    /// Every operand and result of the graph is a result of a node that is there.
    Defined,
    /// An operator's operands fit it and its results have the types that follow.
    Typed,
    /// A constant's elements fit its type.
    Constant,
    /// Inputs are listed once, with one result and names of their own.
    Inputs,
    /// Parameters have names of their own.
    Parameters,
    /// Symbols are words and the extent of some input.
    Symbols,
    /// Rank, extents and element counts stay within the limits.
    Limits,
    /// The results have the types that the signature declares.
    Signature,
}

impl Rule {
    /// The stable code, such as `TL0322`.
    pub fn code(self) -> &'static str {
        match self {
            Rule::Acyclic => "TL0320",
            Rule::Defined => "TL0321",
            Rule::Typed => "TL0322",
            Rule::Constant => "TL0323",
            Rule::Inputs => "TL0324",
            Rule::Parameters => "TL0325",
            Rule::Symbols => "TL0326",
            Rule::Limits => "TL0327",
            Rule::Signature => "TL0328",
        }
    }
}

/// One way in which a graph is not valid.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub struct Violation {
    /// The rule broken.
    pub rule: Rule,
    /// The node; `None` where it is the graph as a whole.
    pub node: Option<NodeId>,
    /// The line of the text the graph was read from.
    pub line: Option<u32>,
    /// What breaks the rule: an operator's name, `constant`, `input` or the graph.
    pub subject: String,
    /// What was found and what was expected.
    pub message: String,
    /// Where the node came from.
    pub provenance: Provenance,
}

impl fmt::Display for Violation {
    /// Writes `TL0322: line 3: concat: C3: rank 1, expected 2 (from encoder (Conv_3))`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.rule.code())?;
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "{}: {}", self.subject, self.message)?;
        // A graph read from text comes from its lines.
        if self.line.is_none() && !self.provenance.origins().is_empty() {
            write!(f, " (from {})", self.provenance)?;
        }
        Ok(())
    }
}

impl Violation {
    fn of_graph(graph: &Graph, rule: Rule, message: String) -> Violation {
        let subject = format!("@{}", text::quoted(graph.name()));
        let provenance = Provenance::default();
        Violation { rule, node: None, line: None, subject, message, provenance }
    }

    /// Results of other types than a signature declares.
    pub(crate) fn signature(
        graph: &Graph,
        declared: &[TensorType],
        found: &[TensorType],
        line: u32,
    ) -> Violation {
        let list = |types: &[TensorType]| {
            let types: Vec<String> = types.iter().map(TensorType::to_string).collect();
            format!("({})", types.join(", "))
        };
        let message = format!("returns {}, declared {}", list(found), list(declared));
        let violation = Violation::of_graph(graph, Rule::Signature, message);
        Violation { line: Some(line), ..violation }
    }
}

/// Checks every rule.
///
/// # Errors
/// When any is broken; everything found is reported, in print order.
pub fn verify(graph: &Graph) -> Result<(), Vec<Violation>> {
    let mut checker = Checker { graph, violations: Vec::new() };
    checker.cycles();
    for id in graph.nodes() {
        checker.node(id);
    }
    checker.inputs();
    checker.parameters();
    checker.results();
    checker.symbols();
    if checker.violations.is_empty() { Ok(()) } else { Err(checker.violations) }
}

struct Checker<'g> {
    graph: &'g Graph,
    violations: Vec<Violation>,
}

impl Checker<'_> {
    fn report(&mut self, id: NodeId, rule: Rule, message: String) {
        let node = self.graph.node(id);
        let subject = match &node.kind {
            NodeKind::Input => "input".to_string(),
            NodeKind::Constant(_) => "constant".to_string(),
            NodeKind::Op(op) => op.syntax().name().to_string(),
        };
        let provenance = node.provenance.clone();
        let node = Some(id);
        self.violations.push(Violation { rule, node, line: None, subject, message, provenance });
    }

    fn report_graph(&mut self, rule: Rule, message: String) {
        self.violations.push(Violation::of_graph(self.graph, rule, message));
    }

    /// Nodes on or behind a cycle have no place in topological order.
    fn cycles(&mut self) {
        let placed: HashSet<NodeId> = self.graph.topological_order().into_iter().collect();
        for id in self.graph.nodes().into_iter().filter(|id| !placed.contains(id)) {
            self.report(id, Rule::Acyclic, "depends on itself or on a cycle".to_string());
        }
    }

    fn node(&mut self, id: NodeId) {
        let defined = self.operands(id);
        let node = self.graph.node(id);
        let limits = node.types.iter().filter_map(|ty| limit(ty).err());
        for message in limits.collect::<Vec<_>>() {
            self.report(id, Rule::Limits, message);
        }
        if let NodeKind::Constant(constant) = &node.kind
            && let Err(message) = fits(constant, node)
        {
            self.report(id, Rule::Constant, message);
        }
        if defined
            && let NodeKind::Op(op) = &node.kind
            && let Err(message) = follows(op, &self.graph.operand_types(id), &node.types)
        {
            self.report(id, Rule::Typed, message);
        }
    }

    /// Whether the operands are there, each position once.
    fn operands(&mut self, id: NodeId) -> bool {
        let before = self.violations.len();
        let slots = self.graph.operand_slots(id);
        for (expected, (position, value)) in slots.iter().enumerate() {
            if *position as usize != expected {
                let message = format!("operand {expected} is missing");
                self.report(id, Rule::Defined, message);
                break;
            }
            let n_results = self.graph.node(value.node).types.len();
            if value.result as usize >= n_results {
                let message = format!(
                    "operand {position} is result {} of a node with {n_results}",
                    value.result
                );
                self.report(id, Rule::Defined, message);
            }
        }
        if !slots.is_empty() && !matches!(self.graph.node(id).kind, NodeKind::Op(_)) {
            self.report(id, Rule::Defined, format!("has {} operands, expected 0", slots.len()));
        }
        before == self.violations.len()
    }

    fn inputs(&mut self) {
        let listed: Vec<NodeId> = self.graph.inputs().map(|v| v.node).collect();
        let known: HashSet<NodeId> = listed.iter().copied().collect();
        if known.len() != listed.len() {
            self.report_graph(Rule::Inputs, "an input is listed twice".to_string());
        }
        let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
        for id in self.graph.nodes() {
            let node = self.graph.node(id);
            if !matches!(node.kind, NodeKind::Input) {
                continue;
            }
            let name = node.names.first().cloned().unwrap_or_default();
            let n_results = node.types.len();
            if n_results != 1 {
                self.report(id, Rule::Inputs, format!("has {n_results} results, expected 1"));
            }
            if !known.contains(&id) {
                self.report(id, Rule::Inputs, format!("%{} is not listed", text::quoted(&name)));
            }
            if !name.is_empty() && !names.insert(name.clone()) {
                let message = format!("a second input %{}", text::quoted(&name));
                self.report(id, Rule::Inputs, message);
            }
        }
        if let Some(id) = listed.iter().find(|id| !self.graph.contains(**id)) {
            self.report_graph(Rule::Inputs, format!("input node {} is gone", id.index()));
        }
    }

    fn parameters(&mut self) {
        let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
        for id in self.graph.nodes() {
            let NodeKind::Constant(Constant { parameter: Some(name), .. }) =
                &self.graph.node(id).kind
            else {
                continue;
            };
            if name.is_empty() {
                self.report(id, Rule::Parameters, "the parameter's name is empty".to_string());
            } else if !names.insert(name.clone()) {
                let message = format!("a second parameter @{}", text::quoted(name));
                self.report(id, Rule::Parameters, message);
            }
        }
    }

    fn results(&mut self) {
        let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
        for (k, result) in self.graph.results().iter().enumerate() {
            let value = result.value;
            let there = self.graph.contains(value.node)
                && (value.result as usize) < self.graph.node(value.node).types.len();
            if !there {
                self.report_graph(Rule::Defined, format!("result {k} is not there"));
            }
            if !result.name.is_empty() && !names.insert(result.name.clone()) {
                let message = format!("a second result named {:?}", result.name);
                self.report_graph(Rule::Signature, message);
            }
        }
    }

    fn symbols(&mut self) {
        let inputs: Vec<NodeId> =
            self.graph.inputs().map(|v| v.node).filter(|id| self.graph.contains(*id)).collect();
        let types = inputs.iter().flat_map(|id| &self.graph.node(*id).types);
        let extents = types.flat_map(|ty| ty.shape.iter());
        let bound: BTreeSet<Arc<str>> = extents.filter_map(Dim::as_symbol).cloned().collect();
        for symbol in self.graph.symbols() {
            if !text::is_word(&symbol) || &*symbol == "floordiv" {
                let message =
                    format!("symbol {symbol:?} is not a word of letters, digits, _ and .");
                self.report_graph(Rule::Symbols, message);
            }
            if !bound.contains(&symbol) {
                let message = format!("symbol {symbol} is the extent of no input");
                self.report_graph(Rule::Symbols, message);
            }
        }
    }
}

fn limit(ty: &TensorType) -> Result<(), String> {
    if ty.rank() > MAX_RANK {
        return Err(format!("rank {}, expected at most {MAX_RANK}", ty.rank()));
    }
    if let Some(dim) = ty.shape.iter().find(|d| d.as_i64().is_some_and(|d| d < 0)) {
        return Err(format!("extent {dim} of {ty}, expected at least 0"));
    }
    // An extent of 0 must not hide others that no machine can hold.
    let extents = ty.shape.iter().filter_map(Dim::as_i64).map(|d| d.max(1));
    let count = extents.fold(1i64, i64::saturating_mul);
    if count > MAX_ELEMENTS { Err(format!("{ty} has more than 2^40 elements")) } else { Ok(()) }
}

fn fits(constant: &Constant, node: &Node) -> Result<(), String> {
    let [ty] = node.types.as_slice() else {
        return Err(format!("has {} results, expected 1", node.types.len()));
    };
    match &constant.data {
        ConstantData::Splat(scalar) if scalar.dtype() == ty.dtype => Ok(()),
        ConstantData::Splat(scalar) => {
            Err(format!("a number of dtype {}, expected {}", scalar.dtype(), ty.dtype))
        }
        ConstantData::Dense(tensor) => {
            let found = TensorType::new(tensor.dtype(), tensor.shape());
            if found == *ty { Ok(()) } else { Err(format!("elements of {found}, expected {ty}")) }
        }
    }
}

fn follows(op: &crate::Op, operands: &[TensorType], declared: &[TensorType]) -> Result<(), String> {
    let inferred = op.infer(operands).map_err(|error| error.to_string())?;
    if inferred.len() != declared.len() {
        return Err(format!("{} results declared, expected {}", declared.len(), inferred.len()));
    }
    for (k, (found, expected)) in declared.iter().zip(&inferred).enumerate() {
        if found != expected {
            return Err(format!("result {k} declared {found}, expected {expected}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Value};
    use tracelift_tensor::{DType, Scalar, Tensor};

    fn rules(graph: &Graph) -> Vec<Rule> {
        let violations = verify(graph).err().unwrap_or_default();
        violations.into_iter().map(|v| v.rule).collect()
    }

    fn f32s(extents: &[i64]) -> TensorType {
        TensorType::new(DType::F32, extents)
    }

    fn one_input() -> (Graph, Value) {
        let mut g = Graph::new("g");
        let x = g.add_input("x", f32s(&[2]));
        (g, x)
    }

    #[test]
    fn a_cycle_is_found() {
        let (mut g, x) = one_input();
        let mut b = Builder::new(&mut g);
        let y = b.exp(x).unwrap();
        let z = b.neg(y).unwrap();
        g.set_operand(y.node, 0, z);
        assert_eq!(rules(&g), [Rule::Acyclic, Rule::Acyclic]);
    }

    #[test]
    fn missing_operands_and_results_are_found() {
        let (mut g, x) = one_input();
        let op = crate::Op::from(crate::Add {});
        let beyond = Value { node: x.node, result: 1 };
        let id =
            g.add(NodeKind::Op(op), &[x, beyond], vec![f32s(&[2])], Provenance::default(), None);
        g.add_result("", Value { node: id, result: 3 });
        assert_eq!(rules(&g), [Rule::Defined, Rule::Defined]);
    }

    #[test]
    fn constants_must_fit_their_type() {
        let (mut g, _) = one_input();
        let splat = ConstantData::Splat(Scalar::one(DType::I32));
        let dense = ConstantData::Dense(Tensor::new(&[3], &[1f32, 2.0, 3.0]));
        for data in [splat, dense] {
            let constant = Constant { parameter: Some("w".into()), data };
            g.add_constant(constant, f32s(&[2]), Provenance::at("file", "layer"));
        }
        assert_eq!(rules(&g), [Rule::Constant, Rule::Constant, Rule::Parameters]);
        let first = verify(&g).unwrap_err().remove(0).to_string();
        let expected = "TL0323: constant: a number of dtype i32, expected f32 (from layer (file))";
        assert_eq!(first, expected);
    }

    #[test]
    fn equal_input_names_and_wild_extents_are_found() {
        let (mut g, _) = one_input();
        g.add_input("x", f32s(&[1 << 20, 1 << 20, 0]));
        g.add_input("", f32s(&[-1]));
        g.add_input("", TensorType::new(DType::F32, vec![Dim::from(1); 65].as_slice()));
        let all = [Rule::Limits, Rule::Limits, Rule::Limits, Rule::Inputs];
        assert_eq!(rules(&g), all);
    }

    #[test]
    fn symbols_need_an_input_that_gives_their_value() {
        let mut g = Graph::new("g");
        g.add_input("x", TensorType::new(DType::F32, [&Dim::symbol("T") * &Dim::from(2)]));
        g.add_input("y", TensorType::new(DType::F32, ["batch size"]));
        assert_eq!(rules(&g), [Rule::Symbols, Rule::Symbols]);
    }
}
