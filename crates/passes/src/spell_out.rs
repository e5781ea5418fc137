//! Decomposes the composites that patterns look through, such as `matmul` and `mean`.
//!
//! What has a meaning of its own to a reader or to a later pass stays: normalisations, softmax,
//! attention, activations and pools.

use tracelift_ir::Graph;

use crate::{Changed, Pass, PassCx, PassError, decompose_except};

/// The composites that stay.
const KEPT: &[&str] = &[
    "attention",
    "average_pool",
    "batch_norm",
    "clamp",
    "gelu",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "log_softmax",
    "max_pool",
    "relu",
    "rms_norm",
    "sigmoid",
    "silu",
    "softmax",
];

/// The pass `spell_out`.
pub struct SpellOut;

impl Pass for SpellOut {
    fn name(&self) -> &'static str {
        "spell_out"
    }

    fn run(&self, graph: &mut Graph, cx: &mut PassCx) -> Result<Changed, PassError> {
        decompose_except(graph, cx, KEPT)
    }
}
