//! Which nodes outside groups are computed inside their users, and which lie in memory.

use std::collections::{BTreeMap, BTreeSet};

use tracelift_ir::{NodeId, NodeKind, Structure, Value};
use tracelift_scalar::{IndexExpr, IndexTerm};

use super::{GroupKind, Planner};

/// The most scalar operations that are worth repeating instead of storing their result.
const CHEAP: usize = 2;
/// The most places a cheap value is computed in.
const MAX_SITES: usize = 4;
/// The most values that a concatenation computed inside its user has.
const MAX_PARTS: usize = 4;
/// The longest chain computed inside one user.
const MAX_DEPTH: usize = 24;

/// The nodes outside groups, being resolved from users to operands.
pub(super) struct FreeNodes<'p, 'g> {
    planner: &'p Planner<'g>,
    in_memory: BTreeSet<NodeId>,
    /// For nodes computed inside users: how many times, and how deep.
    inlined: BTreeMap<NodeId, (usize, usize)>,
}

impl<'p, 'g> FreeNodes<'p, 'g> {
    pub(super) fn new(planner: &'p Planner<'g>) -> FreeNodes<'p, 'g> {
        FreeNodes { planner, in_memory: BTreeSet::new(), inlined: BTreeMap::new() }
    }

    /// The nodes whose values lie in memory.
    pub(super) fn resolve(mut self) -> BTreeSet<NodeId> {
        let planner = self.planner;
        let results: BTreeSet<NodeId> =
            planner.graph.results().iter().map(|r| r.value.node).collect();
        for &id in planner.order.iter().rev() {
            let is_op = matches!(planner.graph.node(id).kind, NodeKind::Op(_));
            if !is_op || planner.group_of.contains_key(&id) {
                continue;
            }
            if self.is_free_alias(id) {
                self.in_memory.insert(id);
                continue;
            }
            let (sites, depth, demanded) = self.uses(id);
            let stays = results.contains(&id) || demanded || self.is_computed_in_place(id);
            if stays || !self.may_repeat(id, sites, depth) {
                self.in_memory.insert(id);
            } else {
                self.inlined.insert(id, (sites, depth));
            }
        }
        self.in_memory
    }

    /// Whether the value is some memory under another shape, which costs nothing.
    fn is_free_alias(&self, id: NodeId) -> bool {
        let planner = self.planner;
        planner.analysis.is_alias(id) && {
            let operand = planner.graph.operands(id)[0];
            planner.group_of.contains_key(&operand.node)
                || (!matches!(planner.graph.node(operand.node).kind, NodeKind::Op(_))
                    && planner.graph.splat(operand).is_none())
        }
    }

    fn may_repeat(&self, id: NodeId, sites: usize, depth: usize) -> bool {
        let analysis = self.planner.analysis;
        if depth > MAX_DEPTH {
            return false;
        }
        let limit = match analysis.is_plain_move(id) {
            // What is repeated is read from fewer places than a copy of it would be.
            true if self.enlarges(id) => usize::MAX,
            true => 2 * MAX_SITES,
            false => MAX_SITES,
        };
        sites <= 1 || (analysis.cost(id) <= CHEAP && sites <= limit)
    }

    /// Whether a node concatenates values that are computed where they will lie, most of them, or so
    /// many that telling them apart costs more than to copy them.
    fn is_computed_in_place(&self, id: NodeId) -> bool {
        let planner = self.planner;
        let value = Value { node: id, result: 0 };
        let parts = planner.analysis.parts(planner.graph, value);
        let is_fold = |v: Value| {
            let group = planner.group_of.get(&v.node).map(|&g| planner.groups[g].kind);
            matches!(group, Some(GroupKind::Fold(_)))
        };
        let computed = parts.iter().filter(|(v, ..)| is_fold(*v)).map(|(v, ..)| self.count(*v));
        parts.len() > MAX_PARTS
            || (parts.len() > 1 && 2 * computed.sum::<usize>() > self.count(value))
    }

    /// Whether a node's result has more elements than its first operand.
    fn enlarges(&self, id: NodeId) -> bool {
        let graph = self.planner.graph;
        let operand = graph.operands(id)[0];
        self.count(Value { node: id, result: 0 }) > self.count(operand)
    }

    fn count(&self, value: Value) -> usize {
        self.planner.graph.ty(value).extents().iter().product()
    }

    /// How often a value would be computed inside users, how deep, and whether one needs it in
    /// memory.
    fn uses(&self, id: NodeId) -> (usize, usize, bool) {
        let planner = self.planner;
        let value = Value { node: id, result: 0 };
        let (mut sites, mut depth, mut demanded) = (0, 1, false);
        for (user, operand) in planner.graph.users(value) {
            demanded |= self.demands_memory(id, user, operand);
            match self.inlined.get(&user) {
                Some(&(n, d)) => {
                    // A movement that repeats elements repeats their computation.
                    let repeats = self.count(Value { node: user, result: 0 }) > self.count(value);
                    sites += if repeats { n * 2 } else { n };
                    depth = depth.max(d + 1);
                }
                None => sites += 1,
            }
        }
        (sites, depth, demanded)
    }

    /// Whether a user reads the value so often, or at such places, that it must lie in memory.
    fn demands_memory(&self, id: NodeId, user: NodeId, operand: usize) -> bool {
        let planner = self.planner;
        let plain = planner.analysis.is_plain_move(id);
        match planner.analysis.structure(user) {
            Structure::Gather(_) => operand == 0,
            Structure::Sort(_) => true,
            Structure::Contract(_) | Structure::Window(_) => !plain,
            // A movement read by a contraction is an index map; what it moves lies in memory.
            Structure::Move(_) if self.inlined.contains_key(&user) => {
                (!plain && self.feeds(user, &|user| self.is_contraction(user)))
                    || (self.feeds(user, &|user| self.is_epilogue(user))
                        && self.is_stored_for_epilogue(id))
            }
            Structure::Reduce(_) => {
                let group = planner.group_of.get(&user).map(|&g| planner.groups[g].kind);
                let window = matches!(group, Some(GroupKind::Fold(_)));
                window && !plain && planner.analysis.cost(id) > 2 * CHEAP
            }
            Structure::Map(_) => self.is_epilogue(user) && self.is_stored_for_epilogue(id),
            _ => false,
        }
    }

    /// Whether a node is a map in the group of a product.
    fn is_epilogue(&self, id: NodeId) -> bool {
        let planner = self.planner;
        let group = planner.group_of.get(&id).map(|&g| planner.groups[g].kind);
        matches!(planner.analysis.structure(id), Structure::Map(_))
            && matches!(group, Some(GroupKind::Fold(anchor)) if self.is_contraction(anchor))
    }

    /// Whether a value must lie in memory for the tiles of a product to read it: they have no code
    /// for elements that lie anywhere. Where it repeats such elements, these lie in memory instead.
    fn is_stored_for_epilogue(&self, id: NodeId) -> bool {
        let repeats = self.planner.analysis.is_plain_move(id) && self.enlarges(id);
        self.is_scattered(id) && (!repeats || self.moves_apart(id))
    }

    /// Whether neighbours in a value that is computed inside its user come from places that lie
    /// apart in no regular way, or differ along the last axis.
    fn is_scattered(&self, id: NodeId) -> bool {
        let planner = self.planner;
        let is_op = matches!(planner.graph.node(id).kind, NodeKind::Op(_));
        if !is_op || planner.group_of.contains_key(&id) || self.is_free_alias(id) {
            return false;
        }
        let is_any = |v: &Value| self.is_scattered(v.node);
        self.moves_apart(id) || planner.graph.operands(id).iter().any(is_any)
    }

    /// Whether a node itself takes neighbours from places that lie apart.
    fn moves_apart(&self, id: NodeId) -> bool {
        let planner = self.planner;
        match planner.analysis.structure(id) {
            Structure::Map(_) => false,
            Structure::Move(movement) => {
                let last = planner.graph.node(id).types[0].rank().saturating_sub(1);
                let apart = |index: &[IndexExpr]| {
                    let is_axis = |(term, _): &(IndexTerm, i64)| matches!(term, IndexTerm::Axis(_));
                    let (others, ends) = index.split_at(index.len().saturating_sub(1));
                    !index.iter().all(|e| e.terms.iter().all(is_axis))
                        || others.iter().any(|e| e.mentions(last))
                        || ends.iter().any(|e| !matches!(e.stride_of(last), Some(0 | 1)))
                };
                movement.pieces.len() > 1
                    || movement.pieces.iter().any(|p| !p.guards.is_empty() || apart(&p.read.index))
            }
            _ => true,
        }
    }

    fn is_contraction(&self, id: NodeId) -> bool {
        matches!(self.planner.analysis.structure(id), Structure::Contract(_) | Structure::Window(_))
    }

    /// Whether one of some nodes reads a value, at once or by way of nodes computed inside it.
    fn feeds(&self, id: NodeId, is_one: &dyn Fn(NodeId) -> bool) -> bool {
        self.planner.graph.users(Value { node: id, result: 0 }).iter().any(|&(user, _)| {
            is_one(user) || (self.inlined.contains_key(&user) && self.feeds(user, is_one))
        })
    }
}
