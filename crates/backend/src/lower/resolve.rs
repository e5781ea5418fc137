//! Follows a read through movements down to memory.

use tracelift_ir::{Structure, Value};
use tracelift_scalar::IndexExpr;

use super::{Lowering, StorageId};

/// An element of a storage as a function of some axes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct MemoryRead {
    pub(super) storage: StorageId,
    /// The row-major position of the element.
    pub(super) position: IndexExpr,
}

impl Lowering<'_> {
    /// The element of memory that an element of a value is, through plain movements; `axes` are the
    /// extents of the axes that the index speaks of.
    pub(super) fn resolve(
        &mut self,
        mut value: Value,
        mut index: Vec<IndexExpr>,
        axes: &[usize],
    ) -> Option<MemoryRead> {
        loop {
            if let Some((storage, position)) = self.element(value, &index) {
                return Some(MemoryRead { storage, position: position.simplify(axes) });
            }
            if !self.analysis.is_plain_move(value.node) {
                return None;
            }
            let Structure::Move(movement) = self.analysis.structure(value.node) else {
                return None;
            };
            let read = &movement.pieces[0].read;
            let at = read.index.iter().map(|e| e.substitute(&|a| index[a].clone(), axes));
            let at = at.collect();
            value = self.graph.operands(value.node)[read.operand];
            index = at;
        }
    }
}
