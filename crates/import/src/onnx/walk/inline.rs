//! Bodies imported in place of a node: those of functions and of known branches.

use std::collections::BTreeMap;

use tracelift_ir::Value;

use super::{MAX_DEPTH, Resolved, Walk, canonical};
use crate::{
    onnx::{
        attributes::Attributes,
        failure::{Converted, Failure, ensure},
        scope::{Entry, Scope},
    },
    wire::{AttributeProto, FunctionProto},
};

impl<'m> Walk<'m> {
    /// Imports a function's body in place of its call.
    pub(super) fn call(
        &mut self,
        function: &'m FunctionProto,
        operands: Vec<Option<Value>>,
        attributes: &Attributes<'m>,
        outer: &Scope<'m>,
        (place, module): (&str, &str),
    ) -> Converted<Option<Vec<Option<Value>>>> {
        ensure!(outer.depth < MAX_DEPTH, "function calls nest deeper than {MAX_DEPTH}");
        let (found, most) = (operands.len(), function.input.len());
        ensure!(found <= most, "{found} operands, the function takes {most}");
        let imports = function.opset_import.iter();
        let opsets = imports.map(|o| (canonical(&o.domain), o.version)).collect();
        let mut scope = Scope::new(&function.node, opsets);
        let defaults = function.attribute_proto.iter().map(|a| (a.name.as_str(), a));
        scope.attributes = defaults.collect::<BTreeMap<&str, &AttributeProto>>();
        scope.attributes.extend(attributes.all());
        scope.place = place.to_string();
        scope.module = module.to_string();
        scope.depth = outer.depth + 1;
        for (k, name) in function.input.iter().enumerate() {
            let value = operands.get(k).copied().flatten();
            scope.entries.insert(name, value.map_or(Entry::Absent, Entry::Value));
        }
        self.nodes(&function.node, &mut scope);
        self.collect(function.output.iter().map(String::as_str), &mut scope)
    }

    /// Imports the branch of an `If` whose condition is known.
    pub(super) fn branch(
        &mut self,
        operands: &[Option<Value>],
        attributes: &Attributes<'m>,
        outer: &Scope<'m>,
        (place, module): (&str, &str),
    ) -> Converted<Option<Vec<Option<Value>>>> {
        ensure!(outer.depth < MAX_DEPTH, "branches nest deeper than {MAX_DEPTH}");
        let condition = operands.first().copied().flatten();
        let known =
            condition.and_then(|c| self.emitter.known(c)).and_then(|dims| match dims.as_slice() {
                [single] => single.as_i64(),
                _ => None,
            });
        let Some(known) = known else {
            let inputs = condition.map(|c| self.emitter.inputs_of(c)).unwrap_or_default();
            let mut failure = Failure::new(
                "operator If with a condition that is not known at compile time is not supported",
            );
            failure.inputs = inputs;
            return Err(failure);
        };
        let name = if known != 0 { "then_branch" } else { "else_branch" };
        let graph = attributes.graph(name)?;
        let graph = graph.ok_or_else(|| Failure::new(format!("attribute '{name}' is missing")))?;
        // Copying the names is work as well.
        let names = outer.entries.len() / 16;
        self.nodes_left = self.nodes_left.saturating_sub(names).max(1);
        let mut scope = Scope::new(&graph.node, outer.opsets.clone());
        scope.entries = outer.entries.clone();
        scope.attributes = outer.attributes.clone();
        scope.place = place.to_string();
        scope.module = module.to_string();
        scope.depth = outer.depth + 1;
        self.initializers(graph, &mut scope);
        self.nodes(&graph.node, &mut scope);
        self.collect(graph.output.iter().map(|o| o.name.as_str()), &mut scope)
    }

    /// The values of a body's results; `None` where one is unknown.
    fn collect(
        &mut self,
        names: impl Iterator<Item = &'m str>,
        scope: &mut Scope<'m>,
    ) -> Converted<Option<Vec<Option<Value>>>> {
        let mut values = Vec::new();
        for name in names {
            match self.resolve(name, scope, "")? {
                Resolved::Value(value) => values.push(value),
                Resolved::Unknown => return Ok(None),
            }
        }
        Ok(Some(values))
    }
}
