//! What tests of several crates share: engines that run a graph, and how their answers compare.

use tracelift_backend::{check_memory_plan, plan_memory};
use tracelift_ir::{Graph, interpret};
use tracelift_loops::verify;
use tracelift_tensor::{Bindings, Tensor};

use crate::{Error, Options, pipeline::Build};

/// Something that runs a graph.
pub trait Engine: Sync {
    /// The name in reports.
    fn name(&self) -> &'static str;

    /// The results for these inputs.
    ///
    /// # Errors
    /// When the engine refuses the graph or the inputs.
    fn run(&self, graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Tensor>, Error>;
}

/// Every engine: the graph interpreter, the kernel interpreter, the JIT.
pub fn engines() -> [&'static dyn Engine; 3] {
    [&GraphInterpreter, &KernelInterpreter, &Jit]
}

/// The reference interpreter of graphs.
pub struct GraphInterpreter;

impl Engine for GraphInterpreter {
    fn name(&self) -> &'static str {
        "interpreter"
    }

    fn run(&self, graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Tensor>, Error> {
        Ok(interpret(graph, inputs)?)
    }
}

/// The interpreter of kernels, on the lowered graph; proves kernels and memory plan on the way.
pub struct KernelInterpreter;

impl Engine for KernelInterpreter {
    fn name(&self) -> &'static str {
        "loops"
    }

    fn run(&self, graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Tensor>, Error> {
        let mut build = Build::new(&Options::default())?;
        let mut graph = build.bind(graph, &bindings(graph, inputs)?)?;
        build.optimise(&mut graph)?;
        let lowered = build.lower(&graph)?;
        for kernel in &lowered.kernels {
            if let Err(violations) = verify(kernel) {
                panic!("lowering makes valid kernels: {violations:?} in\n{kernel}");
            }
        }
        if let Err(violations) = check_memory_plan(&lowered, &plan_memory(&lowered)) {
            panic!("every read finds its value: {violations:#?}");
        }
        Ok(lowered.interpret(inputs))
    }
}

/// Compiled code, in memory.
pub struct Jit;

impl Engine for Jit {
    fn name(&self) -> &'static str {
        "jit"
    }

    fn run(&self, graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Tensor>, Error> {
        let mut build = Build::new(&Options { compile_threads: 1, ..Options::default() })?;
        let graph = build.bind(graph, &bindings(graph, inputs)?)?;
        let (program, _) = build.run(graph)?;
        Ok(program.run_tensors(&mut program.context(1), inputs)?)
    }
}

fn bindings(graph: &Graph, inputs: &[Tensor]) -> Result<Bindings, Error> {
    Ok(tracelift_ir::bind_inputs(graph, inputs)?)
}
