//! Merges nodes that compute the same: one operator on the same operands, or equal constants.
//!
//! Parameters of different names stay apart unless they share their bytes (tied weights).

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use rustc_hash::{FxHashMap, FxHasher};
use tracelift_ir::{Constant, ConstantData, Graph, NodeId, NodeKind, Op, TensorType, Value};
use tracelift_tensor::Scalar;

use crate::{Changed, Pass, PassCx, PassError, elementwise::scalar_op};

/// Constants up to this size are compared by their bytes, larger ones by where they lie.
const COMPARED_BYTES: usize = 1 << 16;

/// The pass `merge_common`.
pub struct MergeCommon;

/// What makes two nodes the same.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Op(Op, Vec<Value>),
    Splat(Scalar, TensorType, Option<Arc<str>>),
    /// A constant by the place and number of its bytes, whatever its name.
    Shared(usize, usize, TensorType),
    /// A constant by a hash of its bytes; the bytes are compared as well.
    Bytes(u64, TensorType, Option<Arc<str>>),
}

/// The keys of a node; nodes are the same where one of them agrees.
fn keys(graph: &Graph, id: NodeId) -> Vec<Key> {
    let node = graph.node(id);
    match &node.kind {
        NodeKind::Input => Vec::new(),
        NodeKind::Op(op) => {
            let mut operands = graph.operands(id);
            if scalar_op(op).is_some_and(|op| op.is_commutative()) {
                operands.sort_unstable();
            }
            vec![Key::Op(op.clone(), operands)]
        }
        NodeKind::Constant(constant) => constant_keys(constant, &node.types[0]),
    }
}

fn constant_keys(constant: &Constant, ty: &TensorType) -> Vec<Key> {
    let name = constant.parameter.clone();
    let tensor = match &constant.data {
        ConstantData::Splat(scalar) => return vec![Key::Splat(*scalar, ty.clone(), name)],
        ConstantData::Dense(tensor) => tensor,
    };
    let bytes = tensor.bytes();
    let mut keys = vec![Key::Shared(bytes.as_ptr() as usize, bytes.len(), ty.clone())];
    if bytes.len() <= COMPARED_BYTES {
        let mut state = FxHasher::default();
        bytes.hash(&mut state);
        keys.push(Key::Bytes(state.finish(), ty.clone(), name));
    }
    keys
}

impl Pass for MergeCommon {
    fn name(&self) -> &'static str {
        "merge_common"
    }

    fn run(&self, graph: &mut Graph, cx: &mut PassCx) -> Result<Changed, PassError> {
        let mut known: FxHashMap<Key, NodeId> = FxHashMap::default();
        let mut changed = Changed::No;
        for id in graph.topological_order() {
            let keys = keys(graph, id);
            let Some(first) = keys.iter().find_map(|key| same(graph, &known, key, id)) else {
                known.extend(keys.into_iter().map(|key| (key, id)));
                continue;
            };
            if !cx.may_change("merge") {
                break;
            }
            merge(graph, first, id);
            changed = Changed::Yes;
        }
        Ok(changed)
    }
}

/// The node known under a key, unless only the hashes of their bytes are equal.
fn same(graph: &Graph, known: &FxHashMap<Key, NodeId>, key: &Key, id: NodeId) -> Option<NodeId> {
    let first = *known.get(key)?;
    let hashed = matches!(key, Key::Bytes(..));
    (!hashed || graph.node(first).kind == graph.node(id).kind).then_some(first)
}

/// Lets `first` stand for `other` as well.
fn merge(graph: &mut Graph, first: NodeId, other: NodeId) {
    let from = graph.node(other).provenance.clone();
    for (old, new) in graph.values(other).zip(graph.values(first)).collect::<Vec<_>>() {
        graph.replace_uses(old, new, &[]);
    }
    if graph.node(first).names.is_empty() {
        let names = graph.node(other).names.clone();
        graph.set_names(first, names);
    }
    graph.add_provenance(first, &from);
    graph.remove_unused(other);
}
