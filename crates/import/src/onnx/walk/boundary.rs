//! What enters and leaves a graph: initializers, inputs, results.

use std::collections::HashSet;

use tracelift_ir::Value;
use tracelift_tensor::Tensor;

use super::{Resolved, Walk};
use crate::{
    Problem, Subject,
    error::Shown,
    onnx::{
        failure::{Converted, Failure, ensure},
        scope::{Entry, Scope},
        signature,
    },
    wire::{GraphProto, ValueInfoProto},
};

impl<'m> Walk<'m> {
    pub(super) fn initializers(&mut self, graph: &'m GraphProto, scope: &mut Scope<'m>) {
        for tensor in &graph.initializer {
            let previous = scope.entries.insert(&tensor.name, Entry::Initializer(tensor));
            if previous.is_some() {
                self.problems.push(Problem::tensor(&tensor.name, "the name is defined twice"));
            }
        }
        for sparse in &graph.sparse_initializer {
            let name = sparse.values.as_ref().map_or("", |v| v.name.as_str());
            self.problems.push(Problem::tensor(name, "sparse initializers are not supported"));
            scope.entries.insert(name, Entry::Unknown);
        }
    }

    pub(super) fn inputs(&mut self, graph: &'m GraphProto, scope: &mut Scope<'m>) {
        let mut seen = HashSet::new();
        for info in &graph.input {
            if !seen.insert(info.name.as_str()) {
                let what = "the name is defined twice";
                self.problems.push(Problem::new(Subject::Value { name: info.name.clone() }, what));
                continue;
            }
            let given = self.options.values.get(&info.name);
            // Before IR version 4 every initializer is listed as an input as well.
            if given.is_none() && scope.entries.contains_key(info.name.as_str()) {
                continue;
            }
            let entry = match self.input(info, given) {
                Ok(value) => Entry::Value(value),
                Err(failure) => {
                    self.problems.push(value_problem(&info.name, failure));
                    Entry::Unknown
                }
            };
            scope.entries.insert(&info.name, entry);
        }
    }

    fn input(&mut self, info: &'m ValueInfoProto, given: Option<&Tensor>) -> Converted<Value> {
        if let Some(given) = given {
            let tensor = signature::given_value(info, given, self.options)?;
            return Ok(self.emitter.constant(tensor));
        }
        let ty = signature::input_type(info, self.options)?;
        let count = ty.shape.count().as_i64().unwrap_or(0);
        ensure!(count < 1 << 40, "{ty} has too many elements");
        Ok(self.emitter.graph.add_input(&info.name, ty))
    }

    /// Values given for names that are no inputs are mistakes.
    pub(super) fn check_options(&mut self, graph: &GraphProto) {
        for name in self.options.values.keys() {
            if !graph.input.iter().any(|info| info.name == *name) {
                let known: Vec<&str> = graph.input.iter().map(|i| i.name.as_str()).collect();
                let known: Vec<String> = known.iter().map(|n| Shown(n).to_string()).collect();
                let problem = Problem::new(
                    Subject::Value { name: name.clone() },
                    "a value is given, but there is no such input",
                );
                self.problems.push(problem.with_hint(format!("inputs: {}", known.join(", "))));
            }
        }
    }

    pub(super) fn results(&mut self, graph: &'m GraphProto, scope: &mut Scope<'m>) {
        for info in &graph.output {
            let result = self.result(info, scope);
            if let Err(failure) = result {
                self.problems.push(value_problem(&info.name, failure));
            }
        }
    }

    fn result(&mut self, info: &'m ValueInfoProto, scope: &mut Scope<'m>) -> Converted<()> {
        let declared = signature::dtype_of(info.r#type.as_ref())?;
        let value = match self.resolve(&info.name, scope, "")? {
            Resolved::Value(Some(value)) => value,
            Resolved::Value(None) => return Err(Failure::new("a result without a value")),
            Resolved::Unknown => return Ok(()),
        };
        let found = self.emitter.dtype(value);
        ensure!(
            declared.is_none_or(|d| d == found),
            "declared as {}, computed as {found}",
            declared.unwrap_or(found)
        );
        self.emitter.graph.add_result(&info.name, value);
        Ok(())
    }
}

fn value_problem(name: &str, failure: Failure) -> Problem {
    let subject = Subject::Value { name: name.into() };
    Problem::new(subject, failure.what).with_hint(failure.hint)
}
