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
        let pointwise = groups.iter().filter(|g| g.kind == GroupKind::Pointwise);
        let parts_of = |g: &Group| (g.outputs[0], self.analysis.parts(self.graph, g.outputs[0]));
        let mut wholes: Vec<_> =
            pointwise.map(parts_of).filter(|(_, parts)| !parts.is_empty()).collect();
        // A value of several concatenations lies in the largest, which others may be parts of.
        wholes.sort_by_key(|(whole, _)| std::cmp::Reverse(self.count(*whole)));
        for (whole, parts) in &wholes {
            for &(operand, axis, start) in parts {
                let is_free = computed_freely(operand) && !self.outputs.contains_key(&operand);
                let is_part = is_free && self.reads_anywhere(operand, whole.node);
                if is_part && !self.joined.contains_key(&operand) {
                    self.joined.insert(operand, Part { whole: *whole, axis, start });
                }
            }
        }
        for (value, parts) in &wholes {
            let is_free = !self.joined.contains_key(value) && !self.outputs.contains_key(value);
            if let Some(part) = self.stretch(parts)
                && is_free
                && part.whole != *value
                && self.is_loaded_by_index(*value)
            {
                self.joined.insert(*value, part);
            }
        }
    }

    /// What lies side by side in a storage already, as a part of it.
    fn stretch(&self, parts: &[(Value, usize, i64)]) -> Option<Part> {
        let (first, ..) = parts.first()?;
        let Part { whole, axis, start } = *self.joined.get(first)?;
        let follows = |(value, own_axis, own_start): &(Value, usize, i64)| {
            let expected = Part { whole, axis, start: start + own_start };
            *own_axis == axis && self.joined.get(value) == Some(&expected)
        };
        parts.iter().all(follows).then_some(Part { whole, axis, start })
    }

    /// Whether all users of a value, the concatenation being one, can read it between others.
    fn reads_anywhere(&self, value: Value, concatenation: NodeId) -> bool {
        let users = self.graph.users(value);
        let once = users.iter().filter(|(user, _)| *user == concatenation).count() == 1;
        once && self.is_loaded_by_index(value)
    }

    /// Whether all users of a value load its elements one by one.
    fn is_loaded_by_index(&self, value: Value) -> bool {
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
        self.graph.users(value).iter().all(|(user, _)| loads(*user))
    }

    /// Whether a concatenation has an operand where that is computed.
    pub(super) fn lies_in(&self, operand: Value, whole: Value) -> bool {
        let Some(part) = self.joined.get(&operand) else { return false };
        // A concatenation that lies in another one with all its operands is there already.
        part.whole == whole || self.joined.get(&whole).is_some_and(|of| of.whole == part.whole)
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
