//! The tile program of windows side by side.

use std::ops::Range;

use tracelift_ir::Value;
use tracelift_loops::{Tile, ValueId};
use tracelift_scalar::{Guard, IndexExpr, Op};
use tracelift_tensor::DType;

use super::{Blocks, ColumnFold};
use crate::lower::{
    fold::{FoldRead, FoldSpace, store_results},
    row::fold_op,
    tile_builder::TileBuilder,
};

/// What a tile computes.
#[derive(Clone)]
pub(super) struct WindowTile {
    /// The first position along the outer (within the block) and the inner sliding axis.
    pub(super) at: [IndexExpr; 2],
    /// Which of the two its windows lie along.
    pub(super) along: usize,
    pub(super) n_windows: usize,
    /// The folded axis whose points are spelt out, where there is one.
    pub(super) tap: Option<usize>,
    /// What is folded over.
    pub(super) ranges: Vec<(usize, Range<usize>)>,
    /// Where that starts later, by axis.
    pub(super) shifts: Vec<(usize, IndexExpr)>,
    /// The first column.
    pub(super) from: IndexExpr,
    pub(super) columns: usize,
}

impl ColumnFold<'_, '_, '_> {
    pub(super) fn tile(&mut self, plan: &WindowTile) -> Tile {
        let space = self.space;
        let (row, column) = (self.kernel.axis("r", 1), self.kernel.axis("c", plan.columns));
        let mut axes = self.blocks.axes.clone();
        if space.n_result > 0 {
            axes[space.n_result - 1] = plan.from.add(&IndexExpr::axis(column));
        }
        let shifted = |axis: usize, at: usize| {
            let shift = plan.shifts.iter().find(|(a, _)| *a == axis);
            shift.map_or(IndexExpr::default(), |(_, shift)| shift.clone()).offset(at as i64)
        };
        let mut loops = Vec::new();
        for (axis, range) in plan.ranges.iter().filter(|(a, _)| Some(*a) != plan.tap) {
            axes[*axis] = shifted(*axis, range.start);
            if range.len() > 1 {
                loops.push(self.kernel.axis("k", range.len()));
                axes[*axis] = axes[*axis].add(&IndexExpr::axis(loops[loops.len() - 1]));
            }
        }
        if loops.is_empty() {
            loops.push(self.kernel.axis("k", 1));
        }
        let extents = self.kernel.kernel.extents();
        let windows: Vec<Vec<IndexExpr>> =
            (0..plan.n_windows).map(|n| self.axes_of_window(plan, &axes, n, &extents)).collect();
        let is_empty = plan.ranges.iter().any(|(_, range)| range.is_empty());
        let taps = plan.tap.map(|tap| {
            let range = plan.ranges.iter().find(|(a, _)| *a == tap).map(|(_, r)| r.clone());
            (tap, range.unwrap_or(0..1))
        });
        let (outputs, guards) = (self.outputs, &self.guards);
        let borders = self.windows.row.as_ref().map_or(&[][..], |row| &row.guards);
        let mut b = TileBuilder::new(self.lowering, &mut self.kernel, row, column, &loops);
        let dtype = space.term.dtype();
        let identity = space.kind.identity(dtype);
        let mut totals = Vec::with_capacity(windows.len());
        for axes in &windows {
            // Nothing may be read where nothing is folded over: the operands can be empty.
            if is_empty {
                totals.push(b.constant(identity));
                continue;
            }
            let total = b.accumulator(identity);
            let mut next = total;
            let (tap, points) = taps.clone().unwrap_or((usize::MAX, 0..1));
            for point in points {
                let mut axes = axes.clone();
                if tap != usize::MAX {
                    axes[tap] = shifted(tap, point);
                }
                let point = Point { space, axes: &axes, guards, extents: &extents };
                if !point.lies_outside(borders) {
                    next = point.fold_in(&mut b, next, dtype);
                }
            }
            b.update(total, next);
            totals.push(total);
        }
        for (axes, total) in windows.iter().zip(totals) {
            let over = |e: &IndexExpr| e.substitute(&|a| axes[a].clone(), &extents);
            let index: Vec<IndexExpr> = space.index.iter().map(over).collect();
            store_results(&mut b, outputs, total, &index);
        }
        b.finish(1)
    }

    /// The space's axes at a window of a tile.
    fn axes_of_window(
        &self,
        plan: &WindowTile,
        axes: &[IndexExpr],
        n: usize,
        extents: &[usize],
    ) -> Vec<IndexExpr> {
        let Blocks { axis: block, size, .. } = self.blocks;
        let mut axes = axes.to_vec();
        for (k, sliding) in self.windows.sliding.iter().enumerate() {
            let mut at = plan.at[k].clone();
            if k == plan.along {
                at = at.offset(n as i64);
            }
            if k == 0 {
                at = at.add(&IndexExpr::axis(block).scale(size as i64));
            }
            axes[sliding.axis] = at.simplify(extents);
        }
        axes
    }
}

/// A point of the fold.
pub(in crate::lower) struct Point<'p> {
    pub(in crate::lower) space: &'p FoldSpace,
    pub(in crate::lower) axes: &'p [IndexExpr],
    pub(in crate::lower) guards: &'p [Guard],
    pub(in crate::lower) extents: &'p [usize],
}

impl Point<'_> {
    /// Whether one of the guards does not hold.
    fn lies_outside(&self, guards: &[Guard]) -> bool {
        guards.iter().any(|guard| {
            let expr = guard.expr.substitute(&|a| self.axes[a].clone(), self.extents);
            Guard { expr, extent: guard.extent }.decide(self.extents) == Some(false)
        })
    }

    /// The fold's value after this point.
    pub(in crate::lower) fn fold_in(
        &self,
        b: &mut TileBuilder<'_, '_>,
        total: ValueId,
        dtype: DType,
    ) -> ValueId {
        let over = |e: &IndexExpr| e.substitute(&|a| self.axes[a].clone(), self.extents);
        let guards: Vec<Guard> = self
            .guards
            .iter()
            .map(|g| Guard { expr: over(&g.expr), extent: g.extent })
            .filter(|g| g.decide(self.extents) != Some(true))
            .collect();
        let mut read = |k: usize, value: Value, index: &[IndexExpr]| {
            let at: Vec<IndexExpr> = index.iter().map(over).collect();
            let guards = if k == 0 { guards.as_slice() } else { &[] };
            let x = b.value(value, &at, guards);
            b.zero_unless(guards, x)
        };
        let inputs: Vec<ValueId> = self
            .space
            .reads
            .iter()
            .enumerate()
            .map(|(k, operand)| match operand {
                FoldRead::Value(value, index) => read(k, *value, index),
                FoldRead::Memory(_) => unreachable!("only contractions read padded copies"),
            })
            .collect();
        if self.space.is_product() && dtype.is_float() {
            return b.apply(Op::Fma, &[inputs[0], inputs[1], total]);
        }
        let term = b.expression(&self.space.term, &[], &mut |_, k| inputs[k]);
        b.apply(fold_op(self.space.kind, dtype), &[total, term])
    }
}
