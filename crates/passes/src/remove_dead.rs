//! Removes operators and constants that no result needs.
//!
//! Inputs stay, since they belong to the graph's signature.

use tracelift_ir::Graph;

use crate::{Changed, Pass, PassCx, PassError};

/// The pass `remove_dead`.
pub struct RemoveDead;

impl Pass for RemoveDead {
    fn name(&self) -> &'static str {
        "remove_dead"
    }

    fn run(&self, graph: &mut Graph, cx: &mut PassCx) -> Result<Changed, PassError> {
        let n_removed = graph.remove_dead();
        if n_removed > 0 {
            cx.count("remove");
        }
        Ok(Changed::when(n_removed > 0))
    }
}
