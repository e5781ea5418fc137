//! Applies algebraic laws until none fits: neutral elements, double negations, chains of casts,
//! limits and movements, transposes next to contractions.
//!
//! Every law keeps each bit of every result. Transposes move towards the results of the graph,
//! where they meet their inverses or a contraction, which takes its operands in any order of axes.

mod folds;
mod movement;
mod numbers;

use tracelift_ir::Graph;

use crate::{Changed, Law, Pass, PassCx, PassError, rewrite_to_fixpoint, sink_transposes};

/// The pass `simplify`.
pub struct Simplify;

/// Every law of the pass, the cheap and the common first.
pub(crate) fn laws() -> Vec<(&'static str, Law)> {
    let sink: (&str, Law) = ("sink_transpose", sink_transposes::sink_sole);
    [numbers::LAWS, movement::LAWS, folds::LAWS, &[sink]].concat()
}

impl Pass for Simplify {
    fn name(&self) -> &'static str {
        "simplify"
    }

    fn run(&self, graph: &mut Graph, cx: &mut PassCx) -> Result<Changed, PassError> {
        rewrite_to_fixpoint(graph, cx, &laws())
    }
}
