//! Rewrites: one law applied at one node, and a list of laws applied until none fits.

use std::collections::VecDeque;

use rustc_hash::FxHashSet;
use tracelift_ir::{Builder, Graph, Node, NodeId, NodeKind, Op, Provenance, TypeError, Value};

use crate::{Changed, PassCx, PassError};

/// Finds a place where a law holds; `None` where it says nothing about the node.
pub type Law = fn(&Graph, NodeId) -> Option<Rewrite>;

type Build = Box<dyn FnOnce(&mut Builder<'_>) -> Result<Vec<Value>, TypeError>>;

/// The replacement of a node's results.
pub struct Rewrite {
    node: NodeId,
    build: Build,
}

impl Rewrite {
    /// Replaces a node by one operator.
    pub fn replace(
        node: NodeId,
        op: impl Into<Op>,
        operands: impl IntoIterator<Item = Value>,
    ) -> Rewrite {
        let (op, operands): (Op, Vec<Value>) = (op.into(), operands.into_iter().collect());
        Rewrite::build(node, move |b| b.op(op, &operands))
    }

    /// Replaces the only result of a node by a value that is there already.
    pub fn forward(node: NodeId, value: Value) -> Rewrite {
        Rewrite::build(node, move |_| Ok(vec![value]))
    }

    /// Replaces a node's results by what `build` makes, which may be several operators.
    pub fn build(
        node: NodeId,
        build: impl FnOnce(&mut Builder<'_>) -> Result<Vec<Value>, TypeError> + 'static,
    ) -> Rewrite {
        Rewrite { node, build: Box::new(build) }
    }

    /// Replaces the only result of a node by what `build` makes.
    pub fn build1(
        node: NodeId,
        build: impl FnOnce(&mut Builder<'_>) -> Result<Value, TypeError> + 'static,
    ) -> Rewrite {
        Rewrite::build(node, move |b| Ok(vec![build(b)?]))
    }

    /// Carries the rewrite out: users move to the new values, which take over names, print position
    /// and sources; what is no longer used goes. Returns the nodes worth another look.
    ///
    /// # Errors
    /// When the replacement does not type-check or has other types than the node.
    pub fn apply(
        self,
        graph: &mut Graph,
        cx: &PassCx,
        law: &'static str,
    ) -> Result<Vec<NodeId>, PassError> {
        let node = self.node;
        let (before, names) = (graph.added_count(), graph.node(node).names.clone());
        let producers: Vec<NodeId> = graph.operands(node).iter().map(|v| v.node).collect();
        let old: Vec<Value> = graph.values(node).collect();
        let new = (self.build)(&mut Builder::in_place_of(graph, node))
            .map_err(|error| PassError::Type { pass: cx.pass(), law, error })?;
        check_types(graph, &old, &new, cx, law)?;
        let made = nodes_since(graph, &new, before);
        let mut again = made.clone();
        for (k, (&from, &to)) in old.iter().zip(&new).enumerate() {
            again.extend(graph.users(from).into_iter().map(|(user, _)| user));
            graph.replace_uses(from, to, &made);
            keep_name(graph, to, names.get(k).map_or("", |n| n));
        }
        let removed = graph.remove_unused(node);
        credit(graph, &removed, &made, &new);
        again.extend(producers.into_iter().filter(|id| graph.contains(*id)));
        let sole: Vec<NodeId> = again.iter().filter_map(|id| sole_user(graph, *id)).collect();
        again.extend(sole);
        Ok(again)
    }
}

/// Whether any result of a node is used; rewriting a dead node would make more of them.
fn is_used(graph: &Graph, id: NodeId) -> bool {
    graph.values(id).any(|v| graph.use_count(v) > 0)
}

/// The node that alone uses another; laws may depend on there being no other.
fn sole_user(graph: &Graph, id: NodeId) -> Option<NodeId> {
    graph.op(id)?;
    let mut users = graph.values(id).flat_map(|v| graph.users(v));
    let (first, _) = users.next()?;
    users.all(|(user, _)| user == first).then_some(first)
}

fn check_types(
    graph: &Graph,
    old: &[Value],
    new: &[Value],
    cx: &PassCx,
    law: &'static str,
) -> Result<(), PassError> {
    let list = |values: &[Value]| values.iter().map(|v| graph.ty(*v).clone()).collect::<Vec<_>>();
    let (expected, found) = (list(old), list(new));
    if expected == found {
        return Ok(());
    }
    let text = |types: &[tracelift_ir::TensorType]| {
        types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    Err(PassError::ResultType {
        pass: cx.pass(),
        law,
        found: text(&found),
        expected: text(&expected),
    })
}

/// The nodes among `values` and what they depend on that were added after `before`.
fn nodes_since(graph: &Graph, values: &[Value], before: u64) -> Vec<NodeId> {
    let mut made = Vec::new();
    let mut stack: Vec<NodeId> = values.iter().map(|v| v.node).collect();
    while let Some(id) = stack.pop() {
        if graph.added_as(id) > before && !made.contains(&id) {
            made.push(id);
            stack.extend(graph.operands(id).into_iter().map(|v| v.node));
        }
    }
    made
}

/// Gives a value a name where it has none.
fn keep_name(graph: &mut Graph, value: Value, name: &str) {
    let node = graph.node(value.node);
    let mut names = node.names.clone();
    names.resize(node.types.len(), "".into());
    let slot = &mut names[value.result as usize];
    if slot.is_empty() && !name.is_empty() {
        *slot = name.into();
        graph.set_names(value.node, names);
    }
}

/// Adds the sources of removed operators to what stands in for them.
fn credit(graph: &mut Graph, removed: &[Node], made: &[NodeId], new: &[Value]) {
    let mut from = Provenance::default();
    for node in removed.iter().filter(|n| matches!(n.kind, NodeKind::Op(_))) {
        from.merge(&node.provenance);
    }
    for id in made.iter().copied().chain(new.iter().map(|v| v.node)) {
        if graph.op(id).is_some() || made.contains(&id) {
            graph.add_provenance(id, &from);
        }
    }
}

/// Applies laws, the first that fits at each node, until none fits anywhere.
///
/// Nodes around a change are looked at again, all others once, so that the work grows with the
/// size of the graph plus the number of changes.
///
/// # Errors
/// When a law builds something ill-typed, or the laws do not come to rest.
pub fn rewrite_to_fixpoint(
    graph: &mut Graph,
    cx: &mut PassCx,
    laws: &[(&'static str, Law)],
) -> Result<Changed, PassError> {
    let mut queue: VecDeque<NodeId> = graph.topological_order().into();
    let mut queued: FxHashSet<NodeId> = queue.iter().copied().collect();
    let limit = 100 * queue.len() + 1000;
    let mut changes = 0;
    while let Some(id) = queue.pop_front() {
        queued.remove(&id);
        if !graph.contains(id) || graph.op(id).is_none() || !is_used(graph, id) {
            continue;
        }
        let Some((law, rewrite)) = laws.iter().find_map(|(n, law)| Some((*n, law(graph, id)?)))
        else {
            continue;
        };
        if !cx.may_change(law) {
            break;
        }
        changes += 1;
        if changes > limit {
            return Err(PassError::Diverged { pass: cx.pass(), law });
        }
        for again in rewrite.apply(graph, cx, law)? {
            if graph.contains(again) && queued.insert(again) {
                queue.push_back(again);
            }
        }
    }
    Ok(Changed::when(changes > 0))
}
