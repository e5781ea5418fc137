//! The walk over a model's nodes, in file order, scope by scope.
//!
//! A node that cannot be imported is recorded and its results become unknown; nodes that depend on
//! them are passed over silently, so that every independent problem is reported once.

mod boundary;
mod inline;

use std::collections::HashMap;

use tracelift_ir::{Provenance, Value};

use super::{
    ImportOptions,
    attributes::Attributes,
    emitter::Emitter,
    failure::{Converted, Failure, ensure},
    node_cx::NodeCx,
    registry,
    scope::{Entry, Scope, origin},
};
use crate::{
    Problem, Subject,
    error::Shown,
    wire::{DataType, FunctionProto, Model, NodeProto, TensorProto, tensor_of},
};

/// The most nodes that may be imported once functions are inlined.
const MAX_NODES: usize = 1 << 20;

/// The number of problems after which nothing more is looked at.
const MAX_PROBLEMS: usize = 1000;

/// The deepest nesting of function calls and branches.
const MAX_DEPTH: usize = 24;

/// The state of an import.
pub(super) struct Walk<'m> {
    model: &'m Model,
    options: &'m ImportOptions,
    functions: HashMap<(&'m str, &'m str, &'m str), &'m FunctionProto>,
    /// The graph under construction.
    pub emitter: Emitter,
    /// What could not be imported.
    pub problems: Vec<Problem>,
    nodes_left: usize,
}

/// What became of an operand's name.
enum Resolved {
    Value(Option<Value>),
    Unknown,
}

impl<'m> Walk<'m> {
    /// Begins at a model.
    pub fn new(model: &'m Model, options: &'m ImportOptions) -> Walk<'m> {
        let key =
            |f: &'m FunctionProto| (canonical(&f.domain), f.name.as_str(), f.overload.as_str());
        Walk {
            model,
            options,
            functions: model.proto.functions.iter().map(|f| (key(f), f)).collect(),
            emitter: Emitter::new(&model.graph().name),
            problems: Vec::new(),
            nodes_left: MAX_NODES,
        }
    }

    /// Imports the main graph.
    pub fn run(&mut self) {
        let graph = self.model.graph();
        let opsets = self.model.opsets.iter().map(|(domain, v)| (domain.as_str(), *v)).collect();
        let mut scope = Scope::new(&graph.node, opsets);
        self.initializers(graph, &mut scope);
        self.inputs(graph, &mut scope);
        self.check_options(graph);
        self.nodes(&graph.node, &mut scope);
        self.results(graph, &mut scope);
    }

    fn nodes(&mut self, nodes: &'m [NodeProto], scope: &mut Scope<'m>) {
        for (index, node) in nodes.iter().enumerate() {
            if !self.may_go_on() {
                return;
            }
            let (place, module) = origin(scope, node, index);
            self.emitter.provenance = Provenance::at(&place, &module);
            let entries: Vec<Entry<'m>> = match self.node(node, scope, (&place, &module)) {
                Ok(Some(values)) => {
                    values.into_iter().map(|v| v.map_or(Entry::Absent, Entry::Value)).collect()
                }
                Ok(None) => Vec::new(),
                Err(failure) => {
                    self.problems.push(node_problem(&place, node, failure));
                    Vec::new()
                }
            };
            self.define(node, entries, scope, &place);
        }
    }

    /// Counts a node; says once that there are too many, and ends where problems abound.
    fn may_go_on(&mut self) -> bool {
        let Some(left) = self.nodes_left.checked_sub(1) else { return false };
        self.nodes_left = left;
        if left == 0 {
            let what = format!("more than {MAX_NODES} nodes once functions are inlined");
            self.problems.push(Problem::new(Subject::Model, what));
        }
        left > 0 && self.problems.len() < MAX_PROBLEMS
    }

    /// Enters a node's results into the scope; those not given are unknown.
    fn define(
        &mut self,
        node: &'m NodeProto,
        entries: Vec<Entry<'m>>,
        scope: &mut Scope<'m>,
        place: &str,
    ) {
        for (k, name) in node.output.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let entry = entries.get(k).copied().unwrap_or(Entry::Unknown);
            if let Entry::Value(value) = entry {
                self.name_value(value, name);
            }
            if scope.entries.insert(name, entry).is_some() {
                let what = format!("result '{}' is defined twice", Shown(name));
                self.problems.push(node_problem(place, node, Failure::new(what)));
            }
        }
    }

    /// Names a value in text form, unless it has a name.
    fn name_value(&mut self, value: Value, name: &str) {
        let names = &self.emitter.graph.node(value.node).names;
        if names.get(value.result as usize).is_none_or(|n| n.is_empty()) {
            self.emitter.builder().name(value, name);
        }
    }

    /// Imports one node; `None` where an operand is unknown.
    fn node(
        &mut self,
        node: &'m NodeProto,
        scope: &mut Scope<'m>,
        origin: (&str, &str),
    ) -> Converted<Option<Vec<Option<Value>>>> {
        let attributes = Attributes::new(&node.attribute, &scope.attributes)?;
        let domain = canonical(&node.domain);
        let function =
            self.functions.get(&(domain, node.op_type.as_str(), node.overload.as_str())).copied();
        let row = registry::find(domain, &node.op_type);
        if function.is_none() && row.is_none() && !is_branch(node) {
            return Err(unsupported(domain, &node.op_type));
        }
        let Some(operands) = self.operands(node, scope)? else { return Ok(None) };
        if let Some(function) = function {
            return self.call(function, operands, &attributes, scope, origin);
        }
        if is_branch(node) {
            return self.branch(&operands, &attributes, scope, origin);
        }
        let row = row.expect("a node is a function, a branch or has a row");
        let opset = scope.opsets.get(domain).copied();
        let opset = opset
            .ok_or_else(|| Failure::new(format!("domain '{}' is not imported", Shown(domain))))?;
        let (first, last) = row.opsets;
        ensure!(
            (first..=last).contains(&opset),
            "operator set {opset}, supported: {first} to {last}"
        );
        check_count(&operands, row.operands)?;
        let external = &self.model.external;
        let mut cx = NodeCx {
            emitter: &mut self.emitter,
            node,
            attributes: &attributes,
            operands,
            opset,
            external,
        };
        let results = (row.convert)(&mut cx)?;
        let unread = attributes.unread();
        ensure!(unread.is_empty(), "attribute '{}' is not supported", Shown(unread[0]));
        let missing = (results.len()..node.output.len()).find(|&k| !node.output[k].is_empty());
        ensure!(missing.is_none(), "result {} is not supported", missing.unwrap_or(0));
        Ok(Some(results.into_iter().map(Some).collect()))
    }

    /// The operands of a node; `None` where one is unknown.
    fn operands(
        &mut self,
        node: &'m NodeProto,
        scope: &mut Scope<'m>,
    ) -> Converted<Option<Vec<Option<Value>>>> {
        let mut operands = Vec::with_capacity(node.input.len());
        for name in &node.input {
            match self.resolve(name, scope, &node.op_type)? {
                Resolved::Value(value) => operands.push(value),
                Resolved::Unknown => return Ok(None),
            }
        }
        Ok(Some(operands))
    }

    fn resolve(
        &mut self,
        name: &'m str,
        scope: &mut Scope<'m>,
        op_type: &str,
    ) -> Converted<Resolved> {
        if name.is_empty() {
            return Ok(Resolved::Value(None));
        }
        match scope.entries.get(name).copied() {
            Some(Entry::Value(value)) => Ok(Resolved::Value(Some(value))),
            Some(Entry::Absent) => Ok(Resolved::Value(None)),
            Some(Entry::Unknown) => Ok(Resolved::Unknown),
            Some(Entry::Widened(value)) => {
                // Widening is exact, but arithmetic on the result rounds differently.
                ensure!(
                    op_type == "Cast",
                    "operand '{}' is of 16-bit floats, supported: as operand of Cast",
                    Shown(name)
                );
                Ok(Resolved::Value(Some(value)))
            }
            Some(Entry::Initializer(tensor)) => {
                let entry = self.initializer(tensor);
                scope.entries.insert(name, entry);
                self.resolve(name, scope, op_type)
            }
            None if scope.outputs.contains(name) => {
                Err(Failure::new(format!("operand '{}' is used before it is defined", Shown(name))))
            }
            None => Err(Failure::new(format!("operand '{}' is not defined", Shown(name)))),
        }
    }

    /// An initializer as a parameter of its name.
    fn initializer(&mut self, tensor: &'m TensorProto) -> Entry<'m> {
        let value = match tensor_of(tensor, &self.model.external) {
            Ok(elements) => self.emitter.builder().parameter(&tensor.name, elements),
            Err(problem) => {
                self.problems.push(problem);
                return Entry::Unknown;
            }
        };
        match DataType::try_from(tensor.data_type) {
            Ok(DataType::Float16 | DataType::Bfloat16) => Entry::Widened(value),
            _ => Entry::Value(value),
        }
    }
}

/// Maps a domain's two spellings of ONNX's own operators to one, the empty text.
fn canonical(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

fn is_branch(node: &NodeProto) -> bool {
    canonical(&node.domain).is_empty() && node.op_type == "If"
}

fn unsupported(domain: &str, op_type: &str) -> Failure {
    let name = Shown(op_type);
    match domain {
        "" => Failure::new(format!("operator {name} is not supported")),
        domain => Failure::new(format!("operator {}.{name} is not supported", Shown(domain))),
    }
}

fn check_count(operands: &[Option<Value>], (least, most): (usize, usize)) -> Converted<()> {
    let found = operands.iter().rposition(Option::is_some).map_or(0, |k| k + 1);
    ensure!(found >= least, "{found} operands, expected at least {least}");
    ensure!(found <= most, "{found} operands, expected at most {most}");
    Ok(())
}

fn node_problem(place: &str, node: &NodeProto, failure: Failure) -> Problem {
    let op_type = match canonical(&node.domain) {
        "" => node.op_type.clone(),
        domain => format!("{domain}.{}", node.op_type),
    };
    Problem::node(place, &op_type, failure.what).with_hint(failure.hint).with_inputs(failure.inputs)
}
