//! Folds over rows: their columns in strips, a task each.

use super::{
    Lowering, Registers,
    column_fold::{MIN_TASK_ELEMENTS, TILE_VECTORS, reads_repeatedly},
    fold::FoldSpace,
};

/// The tasks from which on no more are wanted.
const FEW_TASKS: usize = 8;

/// The columns of a tile over which nothing slides, in vectors: the longer the pieces in which rows
/// are read, the closer to the speed of memory.
pub(super) fn strip_vectors(registers: Registers) -> usize {
    // Narrow registers are those of a compiler that also keeps other things in them.
    if registers.bytes > 16 { registers.count / 2 } else { TILE_VECTORS }
}

impl Lowering<'_> {
    /// The same fold with its columns in strips, a task each, where there are few tasks otherwise.
    pub(super) fn in_strips(&self, space: &FoldSpace) -> Option<FoldSpace> {
        let last = space.n_result.checked_sub(1)?;
        let (outer, len) = (&space.extents[..last], space.extents[last]);
        let n_folded: usize = space.extents[last + 1..].iter().product();
        let registers = self.registers(space.term.dtype());
        let widest = strip_vectors(registers) * registers.lanes(space.term.dtype());
        let worth = MIN_TASK_ELEMENTS.div_ceil(n_folded.max(1));
        let fewest = worth.max(2 * registers.lanes(space.term.dtype()));
        if outer.iter().product::<usize>() >= FEW_TASKS || reads_repeatedly(space) {
            return None;
        }
        let widths = (fewest..=widest.min(len / 2)).rev();
        let width = widths.into_iter().find(|&n| len.is_multiple_of(n))?;
        let mut strips = space.clone();
        strips.split(last, width);
        Some(strips)
    }
}
