//! Computes by compiled code, while the program is compiled, what depends on constants only and
//! would take the reference meaning too long: products of weights, their norms.
//!
//! Runs what the manager's evaluator can; without one it changes nothing. What only moves elements
//! is left to `fold_constants`, which runs on the results; what depends on no stored elements, such
//! as counters, to the program. A result larger than 1 MiB is made only where it is not much larger
//! than the constants it is computed from.

use std::collections::{BTreeMap, BTreeSet};

use tracelift_ir::{
    Constant, ConstantData, Graph, NodeId, NodeKind, Provenance, Role, Structure, Value,
};

use crate::{
    Changed, Pass, PassCx, PassError, evaluate::element_count, fold_constants,
    fold_constants::SMALL_BYTES, rewrite_to_fixpoint,
};

/// The pass `compute_constants`.
pub struct ComputeConstants;

impl Pass for ComputeConstants {
    fn name(&self) -> &'static str {
        "compute_constants"
    }

    fn run(&self, graph: &mut Graph, cx: &mut PassCx) -> Result<Changed, PassError> {
        let Some(evaluator) = cx.evaluator() else { return Ok(Changed::No) };
        let mut wanted = wanted(graph);
        wanted.retain(|_| cx.may_change("compute"));
        if wanted.is_empty() {
            return Ok(Changed::No);
        }
        let Some(results) = evaluator.evaluate(&extract(graph, &wanted)) else {
            return Ok(Changed::No);
        };
        let sources: Vec<Provenance> = wanted.iter().map(|w| sources(graph, &w.cone)).collect();
        for ((Wanted { value, .. }, from), tensor) in wanted.iter().zip(sources).zip(results) {
            let ty = graph.ty(*value).clone();
            let data = match tensor.as_splat() {
                Some(scalar) => ConstantData::Splat(scalar),
                None => ConstantData::Dense(tensor),
            };
            let new = graph.add_constant(Constant { parameter: None, data }, ty, from);
            graph.replace_uses(*value, new, &[]);
            graph.remove_unused(value.node);
        }
        rewrite_to_fixpoint(graph, cx, fold_constants::LAWS)?;
        Ok(Changed::Yes)
    }
}

/// A value to compute.
struct Wanted {
    value: Value,
    /// Its node and all that it depends on.
    cone: BTreeSet<NodeId>,
}

/// The values to compute: what others use of constants alone, but for moves after the last
/// computation; where one is not worth storing, what it is made of.
fn wanted(graph: &Graph) -> Vec<Wanted> {
    let order = graph.topological_order();
    let known = stored_bytes(graph, &order);
    let mut stack: Vec<Value> = Vec::new();
    for id in order.iter().filter(|id| known.contains_key(id)) {
        stack.extend(graph.values(*id).filter(|&value| {
            let users = graph.users(value);
            let is_result = graph.results().iter().any(|r| r.value == value);
            is_result || users.iter().any(|(user, _)| !known.contains_key(user))
        }));
    }
    let mut wanted = Vec::new();
    let mut seen = BTreeSet::new();
    while let Some(value) = stack.pop() {
        if graph.op(value.node).is_none() || !seen.insert(value) {
            continue;
        }
        // The bound is known at once, what is stored only by a walk.
        if computes(graph, value.node) && is_worth_storing(graph, value, known[&value.node]) {
            let cone = cone(graph, value.node);
            let held = cone.iter().map(|id| bytes_of(graph, *id)).sum();
            if is_worth_storing(graph, value, held) {
                wanted.push(Wanted { value, cone });
                continue;
            }
        }
        stack.extend(graph.operands(value.node));
    }
    wanted
}

/// The nodes that depend on constants only, each with a bound of the bytes stored in what it is made
/// of: what is used several times counts as often.
fn stored_bytes(graph: &Graph, order: &[NodeId]) -> BTreeMap<NodeId, usize> {
    let mut known: BTreeMap<NodeId, usize> = BTreeMap::new();
    for &id in order {
        let bytes = match graph.node(id).kind {
            NodeKind::Input => None,
            NodeKind::Constant(_) => Some(bytes_of(graph, id)),
            NodeKind::Op(_) => graph
                .operands(id)
                .iter()
                .try_fold(0usize, |sum, v| Some(sum.saturating_add(*known.get(&v.node)?))),
        };
        known.extend(bytes.map(|bytes| (id, bytes)));
    }
    known
}

/// The bytes that a node stores.
fn bytes_of(graph: &Graph, node: NodeId) -> usize {
    match graph.constant(Value { node, result: 0 }).map(|constant| &constant.data) {
        Some(ConstantData::Dense(tensor)) => tensor.bytes().len(),
        Some(ConstantData::Splat(_)) | None => 0,
    }
}

/// Whether an operator does more than move elements.
fn computes(graph: &Graph, node: NodeId) -> bool {
    let types = graph.operand_types(node);
    graph.op(node).is_some_and(|op| match op.role() {
        Role::Primitive(primitive) => {
            !matches!(primitive.structure(&types), Structure::Move(_) | Structure::Opaque(_))
        }
        Role::Composite(_) => false,
    })
}

/// Whether a value is made of stored elements, of so many bytes, and not much larger than them.
fn is_worth_storing(graph: &Graph, value: Value, held: usize) -> bool {
    let ty = graph.ty(value);
    let made = element_count(ty).saturating_mul(ty.dtype.size_bytes());
    let is_small = made <= SMALL_BYTES || made <= held.saturating_add(held / 2);
    held > 0 && made != usize::MAX && is_small
}

/// A node and all that it depends on.
fn cone(graph: &Graph, node: NodeId) -> BTreeSet<NodeId> {
    let mut out = BTreeSet::new();
    let mut stack = vec![node];
    while let Some(id) = stack.pop() {
        if out.insert(id) {
            stack.extend(graph.operands(id).into_iter().map(|v| v.node));
        }
    }
    out
}

/// Where nodes came from.
fn sources(graph: &Graph, nodes: &BTreeSet<NodeId>) -> Provenance {
    let mut from = Provenance::default();
    nodes.iter().for_each(|node| from.merge(&graph.node(*node).provenance));
    from
}

/// A graph without inputs whose results are the given values.
fn extract(graph: &Graph, wanted: &[Wanted]) -> Graph {
    let mut out = Graph::new("constants");
    let mut copies: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    let all: BTreeSet<NodeId> = wanted.iter().flat_map(|w| &w.cone).copied().collect();
    let copy = |v: &Value, copies: &BTreeMap<NodeId, NodeId>| Value { node: copies[&v.node], ..*v };
    for id in graph.topological_order().into_iter().filter(|id| all.contains(id)) {
        let operands: Vec<Value> = graph.operands(id).iter().map(|v| copy(v, &copies)).collect();
        let node = graph.node(id);
        let (kind, from) = (node.kind.clone(), node.provenance.clone());
        copies.insert(id, out.add(kind, &operands, node.types.clone(), from, None));
    }
    wanted.iter().for_each(|w| out.add_result("", copy(&w.value, &copies)));
    out
}
