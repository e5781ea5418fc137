//! Finds normalisations, softmax, activations and attention where exporters spell them out.
//!
//! What is recognised becomes one composite, which reads better and has one well-known
//! decomposition, however the exporter said it. Values stay within the rounding of the operators
//! replaced; a law whose difference is larger in some case says so.

mod activations;
mod attention;
mod norms;
mod patterns;

use tracelift_ir::Graph;

use crate::{Changed, Pass, PassCx, PassError, rewrite_to_fixpoint};

/// The pass `recognise`.
pub struct Recognise;

impl Pass for Recognise {
    fn name(&self) -> &'static str {
        "recognise"
    }

    fn run(&self, graph: &mut Graph, cx: &mut PassCx) -> Result<Changed, PassError> {
        let laws = [activations::LAWS, norms::LAWS, attention::LAWS].concat();
        rewrite_to_fixpoint(graph, cx, &laws)
    }
}
