//! What tests of several crates share: engines that run a graph, and how their answers compare.

use tracelift_backend::{check_memory_plan, plan_memory};
use tracelift_ir::{Graph, interpret};
use tracelift_loops::verify;
use tracelift_tensor::{Bindings, Target, Tensor};

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

/// Every engine: the graph interpreter, the kernel interpreter, the JIT with each width of vectors.
pub fn engines() -> Vec<&'static dyn Engine> {
    let mut out: Vec<&'static dyn Engine> = vec![&GraphInterpreter, &KernelInterpreter];
    out.extend(jits().iter().map(|jit| jit as &dyn Engine));
    out
}

/// The JIT with the widest vectors of this machine, then with each narrower width.
pub fn jits() -> &'static [Jit] {
    let widest = Target::host().map_or(16, |host| host.vector_bytes);
    match widest {
        64 => &JITS,
        32 => &NARROW_JITS,
        _ => &JITS[..1],
    }
}

const WIDEST: Jit = Jit { name: "jit", vector_bytes: None };
const JIT_128: Jit = Jit { name: "jit-128", vector_bytes: Some(16) };
static JITS: [Jit; 3] = [WIDEST, Jit { name: "jit-256", vector_bytes: Some(32) }, JIT_128];
static NARROW_JITS: [Jit; 2] = [WIDEST, JIT_128];

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
#[derive(Clone, Copy, Debug)]
pub struct Jit {
    name: &'static str,
    /// The width of vectors; the widest where absent.
    vector_bytes: Option<usize>,
}

impl Engine for Jit {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&self, graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Tensor>, Error> {
        let mut target = Target::host()?;
        target.vector_bytes = self.vector_bytes.unwrap_or(target.vector_bytes);
        let options = Options { compile_threads: 1, target: Some(target), ..Options::default() };
        let mut build = Build::new(&options)?;
        let graph = build.bind(graph, &bindings(graph, inputs)?)?;
        let (program, _) = build.run(graph)?;
        Ok(program.run_tensors(&mut program.context(1), inputs)?)
    }
}

fn bindings(graph: &Graph, inputs: &[Tensor]) -> Result<Bindings, Error> {
    Ok(tracelift_ir::bind_inputs(graph, inputs)?)
}
