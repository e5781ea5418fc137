//! A number that tells graphs apart, to check what passes say of themselves.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;
use tracelift_ir::{ConstantData, Graph, NodeKind};

/// A hash of everything in the graph that prints: nodes in order, operands, types, names, results.
///
/// The elements of dense constants count by where they lie in memory, which a pass that leaves
/// them alone does not change.
pub(crate) fn fingerprint(graph: &Graph) -> u64 {
    let mut state = FxHasher::default();
    for id in graph.topological_order() {
        let node = graph.node(id);
        id.hash(&mut state);
        node.types.hash(&mut state);
        node.names.hash(&mut state);
        graph.operands(id).hash(&mut state);
        match &node.kind {
            NodeKind::Input => 0.hash(&mut state),
            NodeKind::Constant(constant) => {
                constant.parameter.hash(&mut state);
                match &constant.data {
                    ConstantData::Splat(scalar) => scalar.hash(&mut state),
                    ConstantData::Dense(tensor) => tensor.bytes().as_ptr().hash(&mut state),
                }
            }
            NodeKind::Op(op) => op.hash(&mut state),
        }
    }
    graph.inputs().for_each(|value| value.hash(&mut state));
    for result in graph.results() {
        (&result.name, result.value).hash(&mut state);
    }
    state.finish()
}

/// Whether two graphs hold the same nodes, bytes of constants included, under the same ids.
pub(crate) fn is_same(a: &Graph, b: &Graph) -> bool {
    let order = a.topological_order();
    order == b.topological_order()
        && a.results() == b.results()
        && a.inputs().eq(b.inputs())
        && order.iter().all(|&id| a.node(id) == b.node(id) && a.operands(id) == b.operands(id))
}
