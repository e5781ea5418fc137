//! What a pass is, and what it is given.

use std::{collections::BTreeMap, fmt, sync::Arc};

use tracelift_ir::Graph;
use tracelift_tensor::Tensor;

use crate::PassError;

/// Whether a pass changed the graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Changed {
    /// It did.
    Yes,
    /// It did not, in any way.
    No,
}

impl Changed {
    /// `Yes` where the condition holds.
    pub fn when(condition: bool) -> Changed {
        if condition { Changed::Yes } else { Changed::No }
    }

    /// `Yes` where either is.
    pub fn or(self, other: Changed) -> Changed {
        Changed::when(self == Changed::Yes || other == Changed::Yes)
    }
}

/// A transformation of graphs.
///
/// A pass takes a well-formed graph and leaves one; keeps its signature, result types and, within
/// tolerance, values; is deterministic; does no input or output; leaves no dead nodes behind that
/// it made; and tells the truth in [`Changed`].
pub trait Pass: Sync {
    /// The name in pipelines, a verb.
    fn name(&self) -> &'static str;

    /// Transforms the graph.
    ///
    /// # Errors
    /// When a rewrite builds something ill-typed or does not end; both are bugs of the pass.
    fn run(&self, graph: &mut Graph, cx: &mut PassCx) -> Result<Changed, PassError>;
}

/// The results of a graph without inputs, or `None`.
type Evaluate = dyn Fn(&Graph) -> Option<Vec<Tensor>> + Send + Sync;

/// Computes graphs of constants, faster than the reference meaning does.
#[derive(Clone)]
pub struct Evaluator(Arc<Evaluate>);

impl Evaluator {
    /// An evaluator; the function gives `None` where it cannot compute a graph.
    pub fn new(
        evaluate: impl Fn(&Graph) -> Option<Vec<Tensor>> + Send + Sync + 'static,
    ) -> Evaluator {
        Evaluator(Arc::new(evaluate))
    }

    /// The results of a graph without inputs or symbols.
    pub fn evaluate(&self, graph: &Graph) -> Option<Vec<Tensor>> {
        (self.0)(graph)
    }
}

impl fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Evaluator")
    }
}

/// What the manager gives a pass: its name, how many changes are still allowed, the counts of laws.
#[derive(Debug, Default)]
pub struct PassCx {
    pass: &'static str,
    allowed: Option<u64>,
    evaluator: Option<Evaluator>,
    laws: BTreeMap<&'static str, usize>,
}

impl PassCx {
    /// A context that allows the given number of changes, or any number.
    pub fn new(bisect_limit: Option<u64>) -> PassCx {
        PassCx { allowed: bisect_limit, ..PassCx::default() }
    }

    /// A context with something that computes graphs of constants.
    pub fn with_evaluator(self, evaluator: Option<Evaluator>) -> PassCx {
        PassCx { evaluator, ..self }
    }

    /// What computes graphs of constants, if anything does.
    pub fn evaluator(&self) -> Option<Evaluator> {
        self.evaluator.clone()
    }

    /// Begins a pass; returns the context's counts of the last one.
    pub(crate) fn begin(&mut self, pass: &'static str) -> BTreeMap<&'static str, usize> {
        self.pass = pass;
        std::mem::take(&mut self.laws)
    }

    /// The name of the pass that runs.
    pub fn pass(&self) -> &'static str {
        self.pass
    }

    /// Asks to make one optional change; `false` once the limit of changes is used up.
    ///
    /// A pass that the pipeline cannot do without, such as `decompose`, does not ask.
    pub fn may_change(&mut self, law: &'static str) -> bool {
        match &mut self.allowed {
            Some(0) => return false,
            Some(left) => *left -= 1,
            None => {}
        }
        self.count(law);
        true
    }

    /// Counts one change under the name of its law.
    pub fn count(&mut self, law: &'static str) {
        *self.laws.entry(law).or_default() += 1;
    }
}
