//! Compiled models: shared between threads, one context per concurrent caller.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tracelift_ir::{Graph, bind_inputs};
use tracelift_runtime::{Context, Program};
use tracelift_tensor::{Bindings, Tensor};

use crate::{Error, Options, Report, pipeline::Build};

/// A model that runs; cheap to share behind an `Arc`, and usable from many threads at once.
pub struct Compiled {
    graph: Graph,
    options: Options,
    /// The programs compiled so far, by the values of the graph's symbols.
    programs: Mutex<BTreeMap<Bindings, Arc<Specialised>>>,
}

/// A program for one set of extents.
pub struct Specialised {
    program: Program,
    report: Report,
    /// Contexts that no caller uses at the moment.
    idle: Mutex<Vec<Context>>,
}

impl Compiled {
    pub(crate) fn new(graph: Graph, options: Options) -> Result<Compiled, Error> {
        let dims: Bindings = options.dims.iter().map(|(k, v)| (k.as_str().into(), *v)).collect();
        let graph = Build::new(&options)?.bind(&graph, &dims)?;
        let exact = graph.symbols().is_empty();
        let compiled = Compiled { graph, options, programs: Mutex::default() };
        if exact {
            compiled.specialise(&Bindings::new())?;
        }
        Ok(compiled)
    }

    /// The graph as it was before the passes, with the dimensions that the options bind.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The program for some values of the graph's symbols, compiled if it is the first time.
    ///
    /// # Errors
    /// When the values do not fit the graph or a stage fails.
    pub fn specialise(&self, bindings: &Bindings) -> Result<Arc<Specialised>, Error> {
        // A panic while compiling leaves the map as it was, so a poisoned lock is sound to use.
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = programs.get(bindings) {
            return Ok(program.clone());
        }
        let mut build = Build::new(&self.options)?;
        let graph = build.bind(&self.graph, bindings)?;
        let (program, report) = build.run(graph)?;
        let specialised = Arc::new(Specialised { program, report, idle: Mutex::default() });
        programs.insert(bindings.clone(), specialised.clone());
        Ok(specialised)
    }

    /// The program for inputs of these shapes.
    ///
    /// # Errors
    /// When the inputs do not fit the graph's signature or a stage fails.
    pub fn for_inputs(&self, inputs: &[Tensor]) -> Result<Arc<Specialised>, Error> {
        let bindings = bind_inputs(&self.graph, inputs)?;
        self.specialise(&bindings)
    }

    /// Runs on inputs in the order of the graph's signature.
    ///
    /// # Errors
    /// When the inputs do not fit.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Error> {
        let program = self.for_inputs(inputs)?;
        let mut context = program.context(self.options.threads);
        let outputs = program.program.run_tensors(&mut context, inputs);
        program.give_back(context);
        Ok(outputs?)
    }
}

impl Specialised {
    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What compiling it did.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// A context for one caller: an idle one of that many threads, or a new one.
    pub fn context(&self, threads: usize) -> Context {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let found = idle.iter().position(|c| c.n_threads() == threads);
        match found {
            Some(at) => idle.swap_remove(at),
            None => self.program.context(threads),
        }
    }

    /// Lets the next caller use a context.
    pub fn give_back(&self, context: Context) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(context);
    }
}
