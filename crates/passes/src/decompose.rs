//! Replaces composites by the operators they stand for, until only primitives are left.
//!
//! Lowering sees structures, which only primitives have; so this pass always runs to the end,
//! whatever the limit on changes.

use tracelift_ir::{Graph, NodeId, Role};

use crate::{Changed, Pass, PassCx, PassError, Rewrite};

/// The pass `decompose`.
pub struct Decompose;

/// `composite(x…)` is what its decomposition builds.
fn expand(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let op = graph.op(node)?.clone();
    if matches!(op.role(), Role::Primitive(_)) {
        return None;
    }
    let operands = graph.operands(node);
    Some(Rewrite::build(node, move |b| b.decomposed(&op, &operands)))
}

/// Decomposes every composite but those whose names are kept.
///
/// # Errors
/// When a decomposition does not type-check.
pub fn decompose_except(
    graph: &mut Graph,
    cx: &mut PassCx,
    keep: &[&str],
) -> Result<Changed, PassError> {
    let mut waiting = graph.topological_order();
    let mut changed = Changed::No;
    while let Some(id) = waiting.pop() {
        let name = match graph.contains(id).then(|| graph.op(id)).flatten() {
            Some(op) if !keep.contains(&op.syntax().name()) => op.syntax().name(),
            _ => continue,
        };
        let Some(rewrite) = expand(graph, id) else { continue };
        cx.count(name);
        waiting.extend(rewrite.apply(graph, cx, name)?);
        changed = Changed::Yes;
    }
    // A decomposition may build more than its results need.
    if changed == Changed::Yes {
        graph.remove_dead();
    }
    Ok(changed)
}

impl Pass for Decompose {
    fn name(&self) -> &'static str {
        "decompose"
    }

    fn run(&self, graph: &mut Graph, cx: &mut PassCx) -> Result<Changed, PassError> {
        decompose_except(graph, cx, &[])
    }
}
