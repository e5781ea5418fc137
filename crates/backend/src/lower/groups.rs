//! Decides which nodes one kernel computes, and which values lie in memory.
//!
//! Folds, scans, scatters and sorts found groups; elementwise nodes join the group of an operand
//! where it computes the same points (an epilogue, or a stage of a row kernel); what is left is
//! computed inside its users, or in a kernel of its own where that would repeat too much work.

mod chain;
mod free;
mod strip;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use rustc_hash::FxHashMap;
use tracelift_ir::{Graph, NodeId, NodeKind, Structure, Value};

use super::analysis::{Analysis, RowGeometry, RowKind};
use free::FreeNodes;

/// What kind of kernel computes a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupKind {
    /// No kernel: the value is its operand's memory under another shape.
    Alias,
    /// Every element on its own.
    Pointwise,
    /// Reductions along rows and what depends on them, a row at a time.
    Row(RowGeometry),
    /// A fold and its epilogue.
    Fold(NodeId),
    /// A running fold.
    Scan(NodeId),
    /// Elements put where an operand says.
    Scatter(NodeId),
    /// A sort.
    Sort(NodeId),
    /// A sum of products whose result only a row kernel reads, whose result in turn only another
    /// sum of products reads: attention, for one.
    Chain,
    /// A fold over windows, each column by itself, whose result only a sum of products reads: a
    /// depthwise convolution and the 1 × 1 convolution after it, for one.
    Strip,
}

/// Nodes computed by one kernel.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    /// The kind of kernel.
    pub kind: GroupKind,
    /// The nodes in topological order.
    pub members: Vec<NodeId>,
    /// The values others need.
    pub outputs: Vec<Value>,
    /// Why the group did not take in its users, in words.
    pub ended: String,
    /// Which way of computing it was chosen among several, and why, in words.
    pub choice: String,
    /// The groups of a chain or a strip in order.
    pub parts: Vec<Group>,
}

impl Group {
    fn new(kind: GroupKind, founder: NodeId) -> Group {
        let (ended, choice) = Default::default();
        let (outputs, parts) = Default::default();
        Group { kind, members: vec![founder], outputs, ended, choice, parts }
    }

    /// Of groups of which each reads what the one before it computes.
    fn of_parts(kind: GroupKind, parts: Vec<Group>) -> Group {
        let last = &parts[parts.len() - 1];
        Group {
            kind,
            members: parts.iter().flat_map(|part| part.members.clone()).collect(),
            outputs: last.outputs.clone(),
            ended: last.ended.clone(),
            choice: String::new(),
            parts,
        }
    }
}

/// The groups in an order that computes every value before its use.
pub(crate) struct FusionPlan {
    pub(crate) groups: Vec<Group>,
    /// The output of the graph in which a computed value lies.
    pub(crate) outputs: FxHashMap<Value, usize>,
}

type GroupIdx = usize;

struct Planner<'g> {
    graph: &'g Graph,
    analysis: &'g Analysis,
    order: Vec<NodeId>,
    groups: Vec<Group>,
    group_of: FxHashMap<NodeId, GroupIdx>,
    /// The groups that a group's members read from.
    deps: Vec<BTreeSet<GroupIdx>>,
    /// For nodes outside groups: the groups they are computed from.
    sources: FxHashMap<NodeId, BTreeSet<GroupIdx>>,
}

/// Plans the groups of a graph of primitives.
pub(crate) fn plan(graph: &Graph, analysis: &Analysis) -> FusionPlan {
    let mut planner = Planner {
        graph,
        analysis,
        order: graph.topological_order(),
        groups: Vec::new(),
        group_of: FxHashMap::default(),
        deps: Vec::new(),
        sources: FxHashMap::default(),
    };
    planner.assign();
    planner.pull_into_rows();
    let in_memory = FreeNodes::new(&planner).resolve();
    planner.add_free_groups(&in_memory);
    planner.finish()
}

impl Planner<'_> {
    fn assign(&mut self) {
        for id in self.order.clone() {
            if !matches!(self.graph.node(id).kind, NodeKind::Op(_)) {
                continue;
            }
            let founded = match self.analysis.structure(id) {
                Structure::Reduce(_) if self.analysis.reads_windows(self.graph, id) => {
                    Some(GroupKind::Fold(id))
                }
                Structure::Reduce(fold) => match RowGeometry::of(self.graph, id, fold) {
                    Some(geometry) if self.join_rows(id, geometry) => continue,
                    Some(geometry) => Some(GroupKind::Row(geometry)),
                    None => Some(GroupKind::Fold(id)),
                },
                Structure::Contract(_) | Structure::Window(_) => Some(GroupKind::Fold(id)),
                Structure::Scan(_) => Some(GroupKind::Scan(id)),
                Structure::Scatter(_) => Some(GroupKind::Scatter(id)),
                Structure::Sort(_) => Some(GroupKind::Sort(id)),
                _ => None,
            };
            if let Some(kind) = founded {
                self.found(id, kind);
            } else if !self.join(id) {
                let sources = self.sources_of_operands(id, None);
                self.sources.insert(id, sources);
            }
        }
    }

    fn found(&mut self, id: NodeId, kind: GroupKind) -> GroupIdx {
        let group = self.groups.len();
        self.groups.push(Group::new(kind, id));
        self.deps.push(self.sources_of_operands(id, None));
        self.group_of.insert(id, group);
        group
    }

    /// The groups that a node's operands come from, those inside `except` left out.
    fn sources_of_operands(&self, id: NodeId, except: Option<GroupIdx>) -> BTreeSet<GroupIdx> {
        let mut out = BTreeSet::new();
        for operand in self.graph.operands(id) {
            match self.group_of.get(&operand.node) {
                Some(&g) if Some(g) == except => {}
                Some(&g) => {
                    out.insert(g);
                }
                None => out.extend(self.sources.get(&operand.node).into_iter().flatten()),
            }
        }
        out
    }

    /// Whether `from` needs, directly or through others, what `to` computes.
    fn reaches(&self, from: GroupIdx, to: GroupIdx) -> bool {
        let mut seen = BTreeSet::new();
        let mut stack = vec![from];
        while let Some(g) = stack.pop() {
            if g == to {
                return true;
            }
            if seen.insert(g) {
                stack.extend(&self.deps[g]);
            }
        }
        false
    }

    /// Adds a node to a group unless the group would then wait for itself.
    fn try_join(&mut self, id: NodeId, group: GroupIdx) -> bool {
        let sources = self.sources_of_operands(id, Some(group));
        if sources.iter().any(|&g| self.reaches(g, group)) {
            self.explain(group, id, "it also needs a value computed from this group elsewhere");
            return false;
        }
        self.deps[group].extend(sources);
        self.groups[group].members.push(id);
        self.group_of.insert(id, group);
        true
    }

    fn explain(&mut self, group: GroupIdx, id: NodeId, reason: &str) {
        let name = self.graph.op(id).map_or("", |op| op.syntax().name());
        self.groups[group].ended = format!("{name}: {reason}");
    }

    /// The groups of a node's operands, the latest first.
    fn operand_groups(&self, id: NodeId) -> Vec<GroupIdx> {
        let groups: BTreeSet<GroupIdx> = self
            .graph
            .operands(id)
            .iter()
            .filter_map(|v| self.group_of.get(&v.node).copied())
            .collect();
        groups.into_iter().rev().collect()
    }

    /// Lets a reduction become a stage of the row kernel that computes its operand.
    fn join_rows(&mut self, id: NodeId, geometry: RowGeometry) -> bool {
        self.operand_groups(id)
            .into_iter()
            .any(|g| self.groups[g].kind == GroupKind::Row(geometry) && self.try_join(id, g))
    }

    /// Lets an elementwise node join the group of an operand.
    fn join(&mut self, id: NodeId) -> bool {
        for group in self.operand_groups(id) {
            let fits = match self.groups[group].kind {
                GroupKind::Row(geometry) => self.fits_rows(id, geometry),
                GroupKind::Fold(anchor) => self.fits_epilogue(id, anchor),
                _ => false,
            };
            if !fits {
                self.explain(group, id, "it computes other points");
            } else if self.try_join(id, group) {
                return true;
            }
        }
        false
    }

    fn fits_epilogue(&self, id: NodeId, anchor: NodeId) -> bool {
        let is_map = matches!(self.analysis.structure(id), Structure::Map(_));
        is_map && self.graph.node(id).types[0].shape == self.graph.node(anchor).types[0].shape
    }

    fn fits_rows(&self, id: NodeId, geometry: RowGeometry) -> bool {
        match self.analysis.structure(id) {
            Structure::Map(_) => geometry.kind(self.graph, Value { node: id, result: 0 }).is_some(),
            Structure::Move(movement) => geometry.admits_move(self.graph, id, movement),
            _ => false,
        }
    }

    /// Takes values that only one row kernel uses, several times, into that kernel.
    fn pull_into_rows(&mut self) {
        let results: BTreeSet<Value> = self.graph.results().iter().map(|r| r.value).collect();
        for id in self.order.clone().into_iter().rev() {
            if self.group_of.contains_key(&id) || !self.analysis.is_pointwise(id) {
                continue;
            }
            let value = Value { node: id, result: 0 };
            let users = self.graph.users(value);
            let groups: BTreeSet<Option<GroupIdx>> =
                users.iter().map(|(user, _)| self.group_of.get(user).copied()).collect();
            let [Some(group)] = groups.into_iter().collect::<Vec<_>>()[..] else { continue };
            let GroupKind::Row(geometry) = self.groups[group].kind else { continue };
            let row = geometry.kind(self.graph, value) == Some(RowKind::Row);
            if users.len() >= 2 && !results.contains(&value) && row && self.fits_rows(id, geometry)
            {
                self.group_of.insert(id, group);
                self.groups[group].members.push(id);
            }
        }
        let position: FxHashMap<NodeId, usize> =
            self.order.iter().enumerate().map(|(k, id)| (*id, k)).collect();
        for group in &mut self.groups {
            group.members.sort_by_key(|id| position[id]);
        }
    }

    /// Gives every value in memory that belongs to no group a kernel, or an alias.
    fn add_free_groups(&mut self, in_memory: &BTreeSet<NodeId>) {
        for &id in in_memory {
            let operand = self.graph.operands(id).first().copied();
            let lies_in_memory = |v: Value| {
                self.group_of.contains_key(&v.node)
                    || in_memory.contains(&v.node)
                    || !matches!(self.graph.node(v.node).kind, NodeKind::Op(_))
            };
            let alias = self.analysis.is_alias(id) && operand.is_some_and(lies_in_memory);
            let kind = if alias { GroupKind::Alias } else { GroupKind::Pointwise };
            self.groups.push(Group::new(kind, id));
        }
        for (k, group) in self.groups.iter().enumerate() {
            group.members.iter().for_each(|id| {
                self.group_of.insert(*id, k);
            });
        }
    }

    fn finish(mut self) -> FusionPlan {
        let results: BTreeSet<Value> = self.graph.results().iter().map(|r| r.value).collect();
        for group in 0..self.groups.len() {
            let mut outputs = Vec::new();
            for &id in &self.groups[group].members {
                outputs.extend(self.graph.values(id).filter(|v| {
                    let outside =
                        |(user, _): &(NodeId, usize)| self.group_of.get(user) != Some(&group);
                    results.contains(v) || self.graph.users(*v).iter().any(outside)
                }));
            }
            if let GroupKind::Sort(anchor) = self.groups[group].kind {
                outputs = self.graph.values(anchor).collect();
            }
            self.groups[group].outputs = outputs;
        }
        let order = self.group_order();
        let outputs = self.place_outputs();
        let mut groups: Vec<Option<Group>> = self.groups.into_iter().map(Some).collect();
        let groups = order.into_iter().map(|g| groups[g].take().expect("each once")).collect();
        let groups = chain::join(self.graph, self.analysis, groups);
        let groups = strip::join(self.graph, self.analysis, groups);
        FusionPlan { groups, outputs }
    }

    /// The groups that a group reads, through whatever is computed inside it.
    fn needs(&self, group: GroupIdx) -> BTreeSet<GroupIdx> {
        let mut out = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut stack = self.groups[group].members.clone();
        while let Some(id) = stack.pop() {
            for operand in self.graph.operands(id) {
                match self.group_of.get(&operand.node) {
                    Some(&g) if g == group => {}
                    Some(&g) => {
                        out.insert(g);
                    }
                    None if seen.insert(operand.node) => stack.push(operand.node),
                    None => {}
                }
            }
        }
        out
    }

    fn group_order(&self) -> Vec<GroupIdx> {
        let position: FxHashMap<NodeId, usize> =
            self.order.iter().enumerate().map(|(k, id)| (*id, k)).collect();
        let key = |g: GroupIdx| self.groups[g].members.iter().map(|id| position[id]).max();
        let mut waiting: Vec<usize> = Vec::new();
        let mut users: BTreeMap<GroupIdx, Vec<GroupIdx>> = BTreeMap::new();
        for group in 0..self.groups.len() {
            let needs = self.needs(group);
            waiting.push(needs.len());
            needs.into_iter().for_each(|g| users.entry(g).or_default().push(group));
        }
        let mut ready: BinaryHeap<Reverse<(Option<usize>, GroupIdx)>> = (0..self.groups.len())
            .filter(|&g| waiting[g] == 0)
            .map(|g| Reverse((key(g), g)))
            .collect();
        let mut order = Vec::with_capacity(self.groups.len());
        while let Some(Reverse((_, g))) = ready.pop() {
            order.push(g);
            for &user in users.get(&g).into_iter().flatten() {
                waiting[user] -= 1;
                if waiting[user] == 0 {
                    ready.push(Reverse((key(user), user)));
                }
            }
        }
        assert_eq!(order.len(), self.groups.len(), "groups never wait for each other in a circle");
        order
    }

    /// Chooses for each output of the graph the value computed right into it.
    fn place_outputs(&self) -> FxHashMap<Value, usize> {
        let mut out = FxHashMap::default();
        for (k, result) in self.graph.results().iter().enumerate() {
            let mut value = result.value;
            while let Some(&g) = self.group_of.get(&value.node)
                && self.groups[g].kind == GroupKind::Alias
            {
                value = self.graph.operands(value.node)[0];
            }
            if self.group_of.contains_key(&value.node) {
                out.entry(value).or_insert(k);
            }
        }
        out
    }
}

/// Whether nothing but some nodes reads a value.
fn is_read_by(graph: &Graph, value: Value, nodes: &[NodeId]) -> bool {
    let is_result = graph.results().iter().any(|r| r.value == value);
    !is_result && graph.users(value).iter().all(|(user, _)| nodes.contains(user))
}
