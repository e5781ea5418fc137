//! The stages from a graph to a program, one function each.

use std::{collections::BTreeMap, time::Instant};

use tracelift_backend::{
    CompileOptions, JitCode, LowerOptions, Lowered, Recipe, lower, make_constants, make_plan,
    plan_memory,
};
use tracelift_ir::Graph;
use tracelift_loops::Kernel;
use tracelift_passes::{Evaluator, PassManager, PassReport, pipelines};
use tracelift_runtime::{Plan, Program};
use tracelift_tensor::{Bindings, Target, release_freed};

use crate::Error;

/// How a model is compiled and run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The threads of a run, the calling thread included.
    pub threads: usize,
    /// The threads that compile, the calling thread included.
    pub compile_threads: usize,
    /// The machine the code is for; this one where absent.
    pub target: Option<Target>,
    /// Extents of symbolic dimensions, by name.
    pub dims: BTreeMap<String, usize>,
    /// How passes run.
    pub passes: tracelift_passes::Options,
    /// How kernels are chosen.
    pub lower: LowerOptions,
    /// Whether the report keeps the kernels, for profiles that count their work.
    pub keep_kernels: bool,
}

impl Default for Options {
    /// One thread to run, all to compile, this machine.
    fn default() -> Options {
        let compile_threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        Options {
            threads: 1,
            compile_threads,
            target: None,
            dims: BTreeMap::new(),
            passes: tracelift_passes::Options::default(),
            lower: LowerOptions::default(),
            keep_kernels: false,
        }
    }
}

/// What compiling did, and how long each stage took.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Report {
    /// The passes.
    pub passes: PassReport,
    /// The stages in order with their milliseconds.
    pub stages: Vec<(&'static str, f64)>,
    /// The number of distinct kernels.
    pub n_kernels: usize,
    /// The kernels, in the order of the plan's, where the options say that they are kept.
    pub kernels: Vec<Kernel>,
    /// The number of launches.
    pub n_launches: usize,
    /// The size of the arena in bytes.
    pub arena_bytes: usize,
    /// The most bytes of intermediate values alive at once: no arena can be smaller.
    pub max_live_bytes: usize,
    /// The bytes of constants as the kernels read them.
    pub constant_bytes: usize,
}

impl Report {
    /// The milliseconds of all stages.
    pub fn total_ms(&self) -> f64 {
        self.stages.iter().map(|(_, ms)| ms).sum()
    }
}

/// A plan and the constants it lacks.
pub struct Planned {
    /// The plan, without constants.
    pub plan: Plan,
    /// How they are made, in order.
    pub constants: Vec<Recipe>,
}

/// A graph on its way to a program.
pub struct Build {
    options: Options,
    target: Target,
    report: Report,
    /// Whether all that it depends on is known, so that it is run as soon as it is built.
    is_of_constants: bool,
}

impl Build {
    /// Starts a build.
    ///
    /// # Errors
    /// When no target is given and this machine is not supported.
    pub fn new(options: &Options) -> Result<Build, Error> {
        let target = match options.target {
            Some(target) => target,
            None => Target::host()?,
        };
        let report = Report::default();
        Ok(Build { options: options.clone(), target, report, is_of_constants: false })
    }

    /// Computes graphs of constants by code for the same target, convolutions directly.
    fn evaluator(&self) -> Evaluator {
        let options = Options {
            compile_threads: self.options.compile_threads,
            target: Some(self.target),
            lower: LowerOptions { winograd_budget: 0.0, ..self.options.lower },
            ..Options::default()
        };
        Evaluator::new(move |graph| {
            let build = Build { is_of_constants: true, ..Build::new(&options).ok()? };
            let (program, _) = build.run(graph.clone()).ok()?;
            program.run_tensors(&mut program.context(options.compile_threads), &[]).ok()
        })
    }

    /// The machine the code is for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What the stages so far did.
    pub fn report(&self) -> &Report {
        &self.report
    }

    fn timed<T>(&mut self, stage: &'static str, f: impl FnOnce(&Build) -> T) -> T {
        let start = Instant::now();
        let out = f(self);
        self.report.stages.push((stage, start.elapsed().as_secs_f64() * 1e3));
        out
    }

    /// Gives symbols their values.
    ///
    /// # Errors
    /// When the graph does not fit the extents.
    pub fn bind(&mut self, graph: &Graph, bindings: &Bindings) -> Result<Graph, Error> {
        if graph.symbols().is_empty() {
            return Ok(graph.clone());
        }
        self.timed("bind", |_| graph.bind(bindings))
            .map_err(|error| Error::Bind { graph: graph.name().to_string(), error })
    }

    /// Runs the passes.
    ///
    /// # Errors
    /// When a pass fails.
    pub fn optimise(&mut self, graph: &mut Graph) -> Result<(), Error> {
        let mut manager = PassManager::new(pipelines::DEFAULT, self.options.passes.clone())?;
        if !self.is_of_constants && self.target.runs_here() {
            manager = manager.with_evaluator(self.evaluator());
        }
        let report = self.timed("passes", |_| manager.run(graph))?;
        self.report.passes = report;
        Ok(())
    }

    /// Turns the graph into kernels.
    ///
    /// # Errors
    /// When an operator has no kernel.
    pub fn lower(&mut self, graph: &Graph) -> Result<Lowered, Error> {
        Ok(self.timed("lower", |build| lower(graph, &build.target, &build.options.lower))?)
    }

    /// Places intermediate values, and lists the constants that are still to be made.
    pub fn plan(&mut self, lowered: &Lowered) -> Planned {
        let (planned, max_live_bytes) = self.timed("plan", |_| {
            let memory = plan_memory(lowered);
            let (plan, constants) = make_plan(lowered, &memory);
            (Planned { plan, constants }, memory.max_live_bytes)
        });
        let report = &mut self.report;
        report.n_kernels = lowered.kernels.len();
        report.n_launches = planned.plan.launches.len();
        report.arena_bytes = planned.plan.arena_bytes;
        report.max_live_bytes = max_live_bytes;
        report.constant_bytes = planned.constants.iter().map(Recipe::size_bytes).sum();
        planned
    }

    /// Makes the constants.
    pub fn pack(&mut self, planned: Planned) -> Plan {
        let Planned { mut plan, constants } = planned;
        let threads = self.options.compile_threads;
        plan.constants = self.timed("pack", |_| make_constants(constants, threads));
        release_freed();
        plan
    }

    /// The options of code generation.
    pub fn compile_options(&self) -> CompileOptions {
        CompileOptions { target: self.target, threads: self.options.compile_threads }
    }

    /// Compiles kernels into memory, and makes the constants at the same time.
    ///
    /// # Errors
    /// When a kernel has no code for the target.
    pub fn generate(&mut self, kernels: Vec<Kernel>, planned: Planned) -> Result<Program, Error> {
        let options = self.compile_options();
        if options.threads <= 1 {
            let code = self.timed("codegen", |_| JitCode::compile(&kernels, &options))?;
            // Before there is memory for constants.
            self.keep(kernels);
            return Ok(code.into_program(self.pack(planned))?);
        }
        let Planned { mut plan, constants } = planned;
        let (code, (tensors, pack_ms)) = std::thread::scope(|scope| {
            let packing = scope.spawn(|| {
                let start = Instant::now();
                let constants = make_constants(constants, options.threads);
                (constants, start.elapsed().as_secs_f64() * 1e3)
            });
            let code = self.timed("codegen", |_| JitCode::compile(&kernels, &options));
            let packed = packing.join();
            (code, packed.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        self.keep(kernels);
        self.report.stages.push(("pack", pack_ms));
        plan.constants = tensors;
        release_freed();
        Ok(code?.into_program(plan)?)
    }

    /// Keeps the kernels where they are asked for; else neither them nor the memory of compiling.
    fn keep(&mut self, kernels: Vec<Kernel>) {
        if self.options.keep_kernels {
            self.report.kernels = kernels;
        } else {
            drop(kernels);
            release_freed();
        }
    }

    /// All stages from a graph without symbols to a program.
    ///
    /// # Errors
    /// When a stage fails.
    pub fn run(mut self, mut graph: Graph) -> Result<(Program, Report), Error> {
        self.optimise(&mut graph)?;
        let lowered = self.lower(&graph)?;
        let planned = self.plan(&lowered);
        // From here on nobody but the recipes holds weights as they were.
        drop(graph);
        let kernels = lowered.kernels;
        drop(lowered.storages);
        let program = self.generate(kernels, planned)?;
        Ok((program, self.report))
    }
}
