//! Folds whose operands lie side by side along a folded axis: vectors along that axis.
//!
//! Sums over all but the channels of an image, for one. A task computes one element of the result;
//! it folds vectors, and their lanes at the end.

use tracelift_loops::{AxisId, BufferId, Inst, Stmt, Tile, ValueId};
use tracelift_scalar::IndexExpr;

use super::{
    KernelBuilder, Lowering,
    column_fold::{Point, reads_repeatedly},
    fold::{FoldOutputs, FoldRead, FoldSpace, store_results},
    pointwise::index_position,
    row::{columns_of_part, fold_op},
    tile_builder::TileBuilder,
};

/// The columns of a tile, in vectors.
const TILE_VECTORS: usize = 4;
/// The fewest elements side by side that are worth it.
const MIN_COLUMNS: usize = 8;

impl Lowering<'_> {
    /// The kernel of a fold whose operands lie apart along the result's last axis, and side by side
    /// along the last of the folded ones; `None` for others.
    pub(super) fn lane_fold(
        &mut self,
        space: &FoldSpace,
        outputs: &FoldOutputs<'_>,
    ) -> Option<KernelBuilder> {
        let is_empty = space.extents.contains(&0);
        if is_empty || !space.guards.is_empty() || reads_repeatedly(space) {
            return None;
        }
        let mut space = space.clone();
        self.find_lanes(&space)?;
        while self.is_one_with_next(&space) {
            space.merge(space.extents.len() - 2);
        }
        let len = *space.extents.last()?;
        if len < MIN_COLUMNS {
            return None;
        }
        let mut kernel = KernelBuilder::new();
        kernel.kernel.name = format!("{}_fold", space.term.dtype());
        let axes = (0..space.n_result)
            .map(|a| IndexExpr::axis(kernel.grid_axis(&format!("i{a}"), space.extents[a])))
            .collect();
        let dtype = space.term.dtype();
        let most = (TILE_VECTORS * self.registers(dtype).lanes(dtype)).min(len);
        // Equal tiles, if they are not much narrower.
        let equal = columns_of_part(len, most);
        let columns = if equal * 4 >= most * 3 { equal } else { most };
        let mut run = LaneFold { lowering: self, kernel, space: &space, outputs, axes, cell: None };
        let body = run.tiles(len, columns);
        let mut kernel = run.kernel;
        kernel.kernel.body = body;
        Some(kernel)
    }

    /// The last folded axis, if the elements of all operands lie side by side along it, or are the
    /// same, and do not along the result's last axis.
    fn find_lanes(&self, space: &FoldSpace) -> Option<usize> {
        let strides = |a: usize| self.strides(space, a);
        let is_unit = |a: usize| {
            let strides = strides(a).unwrap_or_default();
            strides.first() == Some(&1) && strides.iter().all(|s| matches!(s, 0 | 1))
        };
        let affine = (0..space.extents.len()).all(|a| strides(a).is_some());
        let kept = space.n_result.checked_sub(1).is_some_and(is_unit);
        let lanes = space.extents.len().checked_sub(1).filter(|&a| a >= space.n_result)?;
        (affine && !kept && is_unit(lanes)).then_some(lanes)
    }

    /// How far apart the elements of each operand lie along an axis.
    fn strides(&self, space: &FoldSpace, axis: usize) -> Option<Vec<i64>> {
        let stride = |read: &FoldRead| match read {
            FoldRead::Value(value, index) => {
                let position = index_position(index, &self.extents(*value));
                position.simplify(&space.extents).stride_of(axis)
            }
            FoldRead::Memory(_) => None,
        };
        space.reads.iter().map(stride).collect()
    }

    /// Whether the last two folded axes are one axis of all operands.
    fn is_one_with_next(&self, space: &FoldSpace) -> bool {
        let n = space.extents.len();
        if n < space.n_result + 2 {
            return false;
        }
        let pair = [n - 2, n - 1].map(|a| self.strides(space, a));
        let [Some(outer), Some(inner)] = pair else { return false };
        let extent = space.extents[n - 1] as i64;
        outer.iter().zip(&inner).all(|(outer, inner)| *outer == extent * inner)
    }
}

struct LaneFold<'r, 'g, 'o> {
    lowering: &'r mut Lowering<'g>,
    kernel: KernelBuilder,
    space: &'r FoldSpace,
    outputs: &'r FoldOutputs<'o>,
    /// The axes of the result over the kernel's.
    axes: Vec<IndexExpr>,
    /// Where the fold over whole tiles lies while the rest is folded.
    cell: Option<BufferId>,
}

impl LaneFold<'_, '_, '_> {
    /// The tiles that fold over all, the last of which gives the results.
    fn tiles(&mut self, len: usize, columns: usize) -> Vec<Stmt> {
        let (n_full, rest) = (len / columns, len % columns);
        if rest == 0 {
            return vec![Stmt::Tile(self.tile(0, n_full, columns, true))];
        }
        self.cell = Some(self.kernel.scratch(self.space.term.dtype(), 1));
        let full = self.tile(0, n_full, columns, false);
        vec![Stmt::Tile(full), Stmt::Tile(self.tile(n_full * columns, 1, rest, true))]
    }

    /// A tile that folds over so many pieces of all outer folded axes.
    fn tile(&mut self, start: usize, n: usize, columns: usize, is_last: bool) -> Tile {
        let space = self.space;
        let mut axes = self.axes.clone();
        let mut loops: Vec<AxisId> = Vec::new();
        for &extent in &space.extents[space.n_result..space.extents.len() - 1] {
            let axis = self.kernel.axis("k", extent);
            loops.push(axis);
            axes.push(IndexExpr::axis(axis));
        }
        let step = self.kernel.axis("t", n);
        loops.push(step);
        let (row, column) = (self.kernel.axis("r", 1), self.kernel.axis("c", columns));
        let at = IndexExpr::axis(step).scale(columns as i64).add(&IndexExpr::axis(column));
        axes.push(at.offset(start as i64));
        let extents = self.kernel.kernel.extents();
        let (outputs, cell) = (self.outputs, self.cell);
        let mut b = TileBuilder::new(self.lowering, &mut self.kernel, row, column, &loops);
        let dtype = space.term.dtype();
        let total = b.accumulator(space.kind.identity(dtype));
        let point = Point { space, axes: &axes, guards: &[], extents: &extents };
        let next = point.fold_in(&mut b, total, dtype);
        b.update(total, next);
        b.start_finish();
        let op = fold_op(space.kind, dtype);
        let mut total: ValueId = b.push(Inst::FoldColumns(op, total));
        let cell = cell.map(|cell| (cell, IndexExpr::default()));
        match (cell, is_last) {
            (Some((cell, at)), false) => b.store(cell, at, total),
            (cell, _) => {
                if let Some((cell, at)) = cell {
                    let before = b.load(cell, at, &[], None);
                    total = b.apply(op, &[before, total]);
                }
                let over = |e: &IndexExpr| e.substitute(&|a| axes[a].clone(), &extents);
                let index: Vec<IndexExpr> = space.index.iter().map(over).collect();
                store_results(&mut b, outputs, total, &index);
            }
        }
        b.finish(1)
    }
}
