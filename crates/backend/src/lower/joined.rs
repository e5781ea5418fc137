//! Concatenations without copies: operands are computed right where they end up.
//!
//! A value that a concatenation reads lies inside the concatenation's storage, if the kernel that
//! computes it can store at any place and all that read it can load from there.

use tracelift_ir::{NodeId, Structure, Value};
use tracelift_scalar::{IndexExpr, linearise};

use super::{Group, GroupKind, Lowering, StorageId};

/// Where a value lies within another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Part {
    whole: Value,
    axis: usize,
    /// The position along the axis at which the value begins.
    start: i64,
}

impl Lowering<'_> {
    /// Finds the values that are computed inside a concatenation's storage.
    pub(super) fn find_joined(&mut self, groups: &[Group]) {
        let computed_freely = |value: Value| {
            groups.iter().any(|g| {
                let stores_anywhere =
                    matches!(g.kind, GroupKind::Fold(_) | GroupKind::Strip | GroupKind::Pointwise);
                stores_anywhere && g.outputs.contains(&value)
            })
        };
        for group in groups.iter().filter(|g| g.kind == GroupKind::Pointwise) {
            let whole = group.outputs[0];
            for (operand, axis, start) in self.parts(whole) {
                let is_free = computed_freely(operand) && !self.outputs.contains_key(&operand);
                let is_part = is_free && self.reads_anywhere(operand, whole.node);
                if is_part && !self.joined.contains_key(&operand) {
                    self.joined.insert(operand, Part { whole, axis, start });
                }
            }
        }
    }

    /// Whether all users of a value, the concatenation being one, can read it between others.
    fn reads_anywhere(&self, value: Value, concatenation: NodeId) -> bool {
        let users = self.graph.users(value);
        let once = users.iter().filter(|(user, _)| *user == concatenation).count() == 1;
        let loads = |id: NodeId| {
            let by_index = matches!(
                self.analysis.structure(id),
                Structure::Map(_)
                    | Structure::Move(_)
                    | Structure::Reduce(_)
                    | Structure::Contract(_)
                    | Structure::Window(_)
            );
            by_index && !self.analysis.is_alias(id)
        };
        once && users.iter().all(|(user, _)| loads(*user))
    }

    pub(super) fn is_joined(&self, value: Value) -> bool {
        self.joined.contains_key(&value)
    }

    /// The value that a value lies in, itself where it lies alone.
    pub(super) fn whole_of(&self, mut value: Value) -> Value {
        while let Some(part) = self.joined.get(&value) {
            value = part.whole;
        }
        value
    }

    /// Whether a value lies in memory.
    pub(super) fn is_in_memory(&mut self, value: Value) -> bool {
        self.joined.contains_key(&value) || self.storage(value).is_some()
    }

    /// The element of memory that an element of a value is, if the value lies in memory; not
    /// simplified.
    pub(super) fn element(
        &mut self,
        mut value: Value,
        index: &[IndexExpr],
    ) -> Option<(StorageId, IndexExpr)> {
        let mut index = index.to_vec();
        while let Some(Part { whole, axis, start }) = self.joined.get(&value).copied() {
            index[axis] = index[axis].offset(start);
            value = whole;
        }
        let storage = self.storage(value)?;
        Some((storage, linearise(&index, &self.extents(value))))
    }
}
