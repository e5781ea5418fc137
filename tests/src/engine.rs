//! Engines: whatever computes the results of an operator.

mod structure;

use anyhow::Result;
use tracelift::ir::Op;
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
    vec![Box::new(Interpreter), Box::new(structure::ByStructure)]
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
