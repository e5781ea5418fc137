//! Joins groups into strips: a fold over windows, a product of what it computes.

use rustc_hash::FxHashMap;
use tracelift_ir::{Graph, NodeId, NodeKind, Structure, Value};
use tracelift_scalar::{IndexExpr, IndexTerm};

use super::{Analysis, Group, GroupKind, is_read_by};
use crate::lower::{
    column_fold::slides_by_column,
    fold::{FoldRead, FoldSpace},
};

/// The groups, those of each strip as one, in an order that computes every value before its use.
pub(super) fn join(graph: &Graph, analysis: &Analysis, groups: Vec<Group>) -> Vec<Group> {
    let mut group_of: FxHashMap<Value, usize> = FxHashMap::default();
    for (k, group) in groups.iter().enumerate() {
        if let (GroupKind::Fold(_), [value]) = (group.kind, group.outputs.as_slice()) {
            group_of.insert(*value, k);
        }
    }
    let joiner = Joiner { graph, analysis, groups: &groups, group_of };
    let pairs: Vec<(usize, usize)> =
        (0..groups.len()).filter_map(|last| Some((last, joiner.before(last)?))).collect();
    let mut groups: Vec<Option<Group>> = groups.into_iter().map(Some).collect();
    for (last, first) in pairs {
        // What ends one strip does not begin another: it folds over no windows.
        let parts = [first, last].map(|k| groups[k].take().expect("a group has one place"));
        groups[last] = Some(Group::of_parts(GroupKind::Strip, parts.into()));
    }
    groups.into_iter().flatten().collect()
}

struct Joiner<'j> {
    graph: &'j Graph,
    analysis: &'j Analysis,
    groups: &'j [Group],
    /// The folds by their results.
    group_of: FxHashMap<Value, usize>,
}

impl Joiner<'_> {
    /// The fold over windows that a product continues, by weights that are known.
    fn before(&self, last: usize) -> Option<usize> {
        let (anchor, space) = self.space(last)?;
        let operand = |k: usize| match &space.reads[k] {
            FoldRead::Value(value, index) => (*value, index),
            FoldRead::Memory(_) => unreachable!("nothing is padded yet"),
        };
        if !space.is_product() || !space.guards.is_empty() {
            return None;
        }
        // Of windows, several axes make up one coordinate.
        let is_long = |term: &IndexTerm| match term {
            IndexTerm::Axis(a) => space.extents[*a] > 1,
            _ => true,
        };
        let slides = |e: &IndexExpr| e.terms.iter().filter(|(term, _)| is_long(term)).count() > 1;
        (0..2).find_map(|k| {
            let ((value, index), (weights, _)) = (operand(k), operand(1 - k));
            if index.iter().any(slides) {
                return None;
            }
            let first = *self.group_of.get(&value)?;
            let (founder, windows) = self.space(first)?;
            let slides =
                slides_by_column(&windows) || self.analysis.reads_windows(self.graph, founder);
            let alone = is_read_by(self.graph, value, &[anchor]);
            let fits = self.is_known(weights) && alone && self.graph.users(value).len() == 1;
            (fits && slides).then_some(first)
        })
    }

    /// The fold that a group is founded by.
    fn space(&self, group: usize) -> Option<(NodeId, FoldSpace)> {
        let GroupKind::Fold(anchor) = self.groups[group].kind else { return None };
        let (Structure::Reduce(fold) | Structure::Contract(fold) | Structure::Window(fold)) =
            self.analysis.structure(anchor)
        else {
            return None;
        };
        let value = Value { node: anchor, result: 0 };
        let extents = self.graph.ty(value).extents();
        Some((anchor, FoldSpace::new(&extents, &self.graph.operands(anchor), fold)))
    }

    /// Whether a value is a constant under another shape.
    fn is_known(&self, value: Value) -> bool {
        let mut node = value.node;
        while self.analysis.is_plain_move(node) {
            node = self.graph.operands(node)[0].node;
        }
        matches!(self.graph.node(node).kind, NodeKind::Constant(_))
    }
}
