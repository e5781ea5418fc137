//! Puts convolutions into channels-last order, with one transpose where an island of them begins
//! and one where it ends.
//!
//! Each convolution becomes one over `N, spatial…, C` between two transposes; transposes then sink
//! through maps, pools, pads, concatenations and reductions until they meet their inverses. Weights
//! must be constants, so that their transposes are folded at compile time. Channels last is the
//! order in which a convolution is a contraction over contiguous rows.

use tracelift_ir::{Conv, ConvLayout, Graph, NodeId, Transpose};

use crate::{
    Changed, Law, Pass, PassCx, PassError, Rewrite, rewrite_to_fixpoint, simplify,
    sink_transposes::{channels_first, sink_channels},
};

/// The pass `assign_layouts`.
pub struct AssignLayouts;

/// `conv(x, w) = first(conv'(last(x), w'))`, where `last` puts the channels last, `first` puts them
/// back, and `w'` has the axes `spatial…, I, O`.
fn channels_last(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let op = graph.op_as::<Conv>(node)?;
    let [x, w] = graph.operands(node).try_into().ok()?;
    if op.layout != ConvLayout::ChannelsFirst || graph.constant(w).is_none() {
        return None;
    }
    let first = channels_first(graph.ty(x).rank());
    let last = Transpose { perm: first.inverse() };
    let weight = (2..graph.ty(w).rank()).chain([1, 0]).collect();
    let conv = Conv { layout: ConvLayout::ChannelsLast, ..op.clone() };
    Some(Rewrite::build1(node, move |b| {
        let x = b.op1(last, &[x])?;
        let w = b.op1(Transpose { perm: weight }, &[w])?;
        let y = b.op1(conv, &[x, w])?;
        b.op1(first, &[y])
    }))
}

impl Pass for AssignLayouts {
    fn name(&self) -> &'static str {
        "assign_layouts"
    }

    fn run(&self, graph: &mut Graph, cx: &mut PassCx) -> Result<Changed, PassError> {
        let own: [(&str, Law); 2] =
            [("channels_last", channels_last), ("sink_channels", sink_channels)];
        let has_island =
            graph.topological_order().iter().any(|&id| channels_last(graph, id).is_some());
        if !has_island {
            return Ok(Changed::No);
        }
        rewrite_to_fixpoint(graph, cx, &[&own[..], &simplify::laws()].concat())
    }
}
