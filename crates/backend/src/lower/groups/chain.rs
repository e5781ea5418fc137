//! Joins groups into chains: a sum of products, rows of its result, a sum of products of these.

use rustc_hash::FxHashMap;
use tracelift_ir::{Graph, NodeId, Structure};

use super::{Analysis, Group, GroupKind, is_read_by};

/// The groups, those of each chain as one, in an order that computes every value before its use.
pub(super) fn join(graph: &Graph, analysis: &Analysis, groups: Vec<Group>) -> Vec<Group> {
    let mut group_of: FxHashMap<NodeId, usize> = FxHashMap::default();
    for (k, group) in groups.iter().enumerate() {
        group.members.iter().for_each(|id| {
            group_of.insert(*id, k);
        });
    }
    let joiner = Joiner { graph, analysis, groups: &groups, group_of };
    let mut chains: FxHashMap<usize, [usize; 2]> = FxHashMap::default();
    let mut is_taken = vec![false; groups.len()];
    for last in 0..groups.len() {
        // What ends one chain could begin the next: a group belongs to the first.
        let before = joiner.before(last).filter(|[a, b]| ![*a, *b].iter().any(|k| is_taken[*k]));
        if let Some([first, rows]) = before {
            [first, rows, last].iter().for_each(|k| is_taken[*k] = true);
            chains.insert(last, [first, rows]);
        }
    }
    let mut taken: Vec<Option<Group>> = groups.into_iter().map(Some).collect();
    let mut parts: FxHashMap<usize, Vec<Group>> = FxHashMap::default();
    for (&last, before) in &chains {
        let part = |k: &usize| taken[*k].take().expect("only one chain reads a group's result");
        parts.insert(last, before.iter().map(part).collect());
    }
    let rest = taken.into_iter().enumerate().filter_map(|(k, group)| Some((k, group?)));
    rest.map(|(k, group)| match parts.remove(&k) {
        Some(mut parts) => {
            parts.push(group);
            Group::of_parts(GroupKind::Chain, parts)
        }
        None => group,
    })
    .collect()
}

struct Joiner<'j> {
    graph: &'j Graph,
    analysis: &'j Analysis,
    groups: &'j [Group],
    group_of: FxHashMap<NodeId, usize>,
}

impl Joiner<'_> {
    /// The sum of products and the row group that a group continues.
    fn before(&self, last: usize) -> Option<[usize; 2]> {
        let anchor = self.product(last)?;
        self.graph.operands(anchor).into_iter().find_map(|read| {
            let rows = *self.group_of.get(&read.node)?;
            let group = &self.groups[rows];
            let is_row = matches!(group.kind, GroupKind::Row(_));
            let alone = group.outputs == [read] && is_read_by(self.graph, read, &[anchor]);
            if !is_row || !alone || self.graph.users(read).len() != 1 {
                return None;
            }
            let operands = group.members.iter().flat_map(|id| self.graph.operands(*id));
            operands.into_iter().find_map(|scores| {
                let first = *self.group_of.get(&scores.node)?;
                let alone = self.groups[first].outputs == [scores];
                self.product(first)?;
                (alone && is_read_by(self.graph, scores, &group.members)).then_some([first, rows])
            })
        })
    }

    /// The contraction that a group is founded by.
    fn product(&self, group: usize) -> Option<NodeId> {
        let GroupKind::Fold(anchor) = self.groups[group].kind else { return None };
        matches!(self.analysis.structure(anchor), Structure::Contract(_)).then_some(anchor)
    }
}
