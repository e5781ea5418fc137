//! Engines: whatever computes the results of an operator.

mod structure;

use anyhow::Result;
use tracelift::{
    ir::{Graph, NodeKind, Op, Provenance, TensorType},
    testing::{Engine as GraphEngine, KernelInterpreter, jits},
};
use tracelift_tensor::Tensor;

/// Something that computes the results of one operator.
pub trait Engine {
    /// The name in messages.
    fn name(&self) -> &'static str;
    /// The results for operands that fit.
    ///
    /// # Errors
    /// When the engine cannot compute them.
    fn run(&self, op: &Op, inputs: &[Tensor]) -> Result<Vec<Tensor>>;
}

/// Every engine that must agree.
pub fn engines() -> Vec<Box<dyn Engine>> {
    let mut out: Vec<Box<dyn Engine>> = vec![
        Box::new(Interpreter),
        Box::new(structure::ByStructure),
        Box::new(OfGraph(&KernelInterpreter)),
    ];
    for jit in jits() {
        out.push(Box::new(OfGraph(jit)));
    }
    out
}

/// An engine of graphs, on the graph of one operator.
struct OfGraph(&'static dyn GraphEngine);

impl Engine for OfGraph {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn run(&self, op: &Op, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut graph = Graph::new("case");
        let types: Vec<TensorType> =
            inputs.iter().map(|x| TensorType::new(x.dtype(), x.shape())).collect();
        let named = types.iter().enumerate();
        let operands: Vec<_> =
            named.map(|(k, ty)| graph.add_input(&format!("x{k}"), ty.clone())).collect();
        let kind = NodeKind::Op(op.clone());
        let results = op.infer(&types)?;
        let node = graph.add(kind, &operands, results, Provenance::default(), None);
        for value in graph.values(node) {
            graph.add_result("", value);
        }
        Ok(self.0.run(&graph, inputs)?)
    }
}

/// The reference interpreter.
struct Interpreter;

impl Engine for Interpreter {
    fn name(&self) -> &'static str {
        "interpreter"
    }

    fn run(&self, op: &Op, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(op.eval(&inputs.iter().collect::<Vec<_>>()))
    }
}
