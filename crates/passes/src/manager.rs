//! The manager: runs a pipeline over a graph, checks it, reports and dumps.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Instant,
};

use tracelift_ir::Graph;

use crate::{
    Changed, Evaluator, Pass, PassCx, PassError,
    fingerprint::{fingerprint, is_same},
    registry::find,
};

/// How a pipeline runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to write the graph before the first and after every pass, as `00.input.graph`,
    /// `03.simplify.changed.graph` and so on.
    pub dump_dir: Option<PathBuf>,
    /// The passes to run, in place of the pipeline's.
    pub passes: Option<Vec<String>>,
    /// Passes to leave out.
    pub skip: Vec<String>,
    /// The pass after whose first run to stop.
    pub stop_after: Option<String>,
    /// The number of changes allowed in the whole run; what a pipeline cannot do without is not
    /// counted. Halving it finds the one change that breaks a program.
    pub bisect_limit: Option<u64>,
    /// Whether to check after every pass that the graph is well-formed and that a pass that says so
    /// changed nothing, by a fingerprint; without it only the last graph is checked. By default true
    /// in debug builds.
    pub check_each: bool,
    /// Whether to compare the whole graph, bytes of constants included, where a pass says that it
    /// changed nothing.
    pub check_changes: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            dump_dir: None,
            passes: None,
            skip: Vec::new(),
            stop_after: None,
            bisect_limit: None,
            check_each: cfg!(debug_assertions),
            check_changes: false,
        }
    }
}

/// What one pass did.
#[derive(Clone, PartialEq, Debug)]
pub struct PassRun {
    /// The pass.
    pub name: &'static str,
    /// Whether it changed the graph.
    pub changed: bool,
    /// How long it took in milliseconds, checks excluded.
    pub millis: f64,
    /// The number of nodes before.
    pub nodes_before: usize,
    /// The number of nodes after.
    pub nodes_after: usize,
    /// How often each law was applied.
    pub laws: BTreeMap<&'static str, usize>,
}

/// What a pipeline did, pass by pass.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PassReport {
    /// The passes in the order they ran.
    pub runs: Vec<PassRun>,
}

/// A pipeline ready to run.
pub struct PassManager {
    passes: Vec<&'static dyn Pass>,
    options: Options,
    evaluator: Option<Evaluator>,
}

impl PassManager {
    /// A manager for a pipeline, such as [`crate::pipelines::DEFAULT`].
    ///
    /// # Errors
    /// When the pipeline or an option names an unknown pass.
    pub fn new(pipeline: &[&str], options: Options) -> Result<PassManager, PassError> {
        let chosen: Vec<&str> = match &options.passes {
            Some(passes) => passes.iter().map(String::as_str).collect(),
            None => pipeline.to_vec(),
        };
        for name in options.skip.iter().chain(&options.stop_after) {
            find(name)?;
        }
        let kept = chosen.into_iter().filter(|name| !options.skip.iter().any(|s| s == name));
        let passes = kept.map(find).collect::<Result<_, _>>()?;
        Ok(PassManager { passes, options, evaluator: None })
    }

    /// Lets passes compute what depends on constants only.
    pub fn with_evaluator(self, evaluator: Evaluator) -> PassManager {
        PassManager { evaluator: Some(evaluator), ..self }
    }

    /// Runs the pipeline; the graph is well-formed before and after it.
    ///
    /// # Errors
    /// When the graph is not well-formed, a pass breaks its promises, or a dump cannot be written.
    pub fn run(&self, graph: &mut Graph) -> Result<PassReport, PassError> {
        verify("input", graph)?;
        self.dump(graph, "00.input.graph")?;
        let mut cx = PassCx::new(self.options.bisect_limit).with_evaluator(self.evaluator.clone());
        let mut report = PassReport::default();
        let mut mark = self.options.check_each.then(|| fingerprint(graph));
        for (k, pass) in self.passes.iter().enumerate() {
            let run = self.run_one(*pass, graph, &mut cx, &mut mark)?;
            let state = if run.changed { "changed" } else { "same" };
            self.dump(graph, &format!("{:02}.after-{}.{state}.graph", k + 1, run.name))?;
            report.runs.push(run);
            if self.options.stop_after.as_deref() == Some(pass.name()) {
                break;
            }
        }
        if let Some(last) = report.runs.iter().rev().find(|run| run.changed && mark.is_none()) {
            verify(last.name, graph)?;
        }
        Ok(report)
    }

    fn run_one(
        &self,
        pass: &dyn Pass,
        graph: &mut Graph,
        cx: &mut PassCx,
        mark: &mut Option<u64>,
    ) -> Result<PassRun, PassError> {
        let name = pass.name();
        let copy = self.options.check_changes.then(|| graph.clone());
        let nodes_before = graph.node_count();
        cx.begin(name);
        let start = Instant::now();
        let changed = pass.run(graph, cx)? == Changed::Yes;
        let millis = start.elapsed().as_secs_f64() * 1e3;
        let mut same = copy.is_none_or(|copy| is_same(&copy, graph));
        if let Some(mark) = mark {
            let before = std::mem::replace(mark, fingerprint(graph));
            same &= before == *mark;
            if changed {
                verify(name, graph)?;
            }
        }
        if !changed && !same {
            return Err(PassError::Untrue { pass: name });
        }
        let nodes_after = graph.node_count();
        Ok(PassRun { name, changed, millis, nodes_before, nodes_after, laws: cx.begin("") })
    }

    fn dump(&self, graph: &Graph, file: &str) -> Result<(), PassError> {
        let Some(dir) = &self.options.dump_dir else { return Ok(()) };
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |error| PassError::Dump { path, error }
        };
        std::fs::create_dir_all(dir).map_err(failed(dir))?;
        let path = dir.join(file);
        std::fs::write(&path, graph.to_string()).map_err(failed(&path))
    }
}

fn verify(pass: &'static str, graph: &Graph) -> Result<(), PassError> {
    tracelift_ir::verify(graph).map_err(|violations| {
        let lines: Vec<String> = violations.iter().map(|v| format!("  {v}")).collect();
        PassError::Invalid { pass, violations: lines.join("\n") }
    })
}
