//! The general kernel of a fold: vectors along the result's last axis.
//!
//! Depthwise convolution, pooling and reductions over outer axes. Where windows slide along an
//! axis, a tile computes several of them side by side, and what they share is loaded once.

mod tile;
mod windows;

use std::ops::Range;

use tracelift_loops::{AxisId, Stmt};
use tracelift_scalar::{Guard, IndexExpr};

use super::{
    KernelBuilder, Lowering,
    fold::{FoldOutputs, FoldSpace},
    product::within,
    register_tile::{TileRun, average_rows, tile_runs},
    segments::{BlockClass, Stretch, block_classes, block_size, blocks_apart, stretches},
};
pub(super) use tile::Point;
use tile::WindowTile;
use windows::{Apart, MAX_TAPS, Parts, Windows, n_columns, windows_of_tile};
pub(super) use windows::{
    TILE_VECTORS, cuts_windows, reads_repeatedly, slides_along, slides_by_column,
};

/// The elements a task computes, about, and the fewest where more tasks are wanted.
const TASK_ELEMENTS: usize = 64 << 10;
pub(super) const MIN_TASK_ELEMENTS: usize = 16 << 10;

impl Lowering<'_> {
    pub(super) fn column_fold(
        &mut self,
        space: &FoldSpace,
        outputs: &FoldOutputs<'_>,
    ) -> KernelBuilder {
        let mut kernel = KernelBuilder::new();
        let windows = self.windows(space);
        let mut axes: Vec<IndexExpr> = vec![IndexExpr::default(); space.extents.len()];
        let outer = axes.iter_mut().enumerate().take(space.n_result.saturating_sub(1));
        for (a, over) in outer.filter(|(a, _)| !windows.sliding.iter().any(|s| s.axis == *a)) {
            *over = IndexExpr::axis(kernel.grid_axis(&format!("i{a}"), space.extents[a]));
        }
        let extent = |k: usize| windows.sliding.get(k).map_or(1, |s| space.extents[s.axis]);
        let apart = windows.apart(&mut kernel, space);
        let n_apart = apart.axis().map_or(1, |axis| kernel.kernel.axes[axis].extent);
        let row_elements = (extent(1) * n_columns(space)).div_ceil(n_apart);
        // What a task reads stays in the second-level cache while it goes through parts of columns.
        let cached = match apart {
            Apart::Nothing => self.rows_in_cache(space).saturating_mul(row_elements),
            Apart::Tiles(_) | Apart::Columns(_) => usize::MAX,
        };
        let work = [TASK_ELEMENTS, MIN_TASK_ELEMENTS].map(|n| n.min(cached));
        let n_tasks = kernel.kernel.n_tasks();
        let size_of = |len: usize| block_size(len, row_elements, work, n_tasks);
        let rows = &windows.cuts[0];
        let longest = rows.iter().map(|s| s.len).max().unwrap_or(1);
        // Tiles that go down the rows read those at borders while they pass.
        let goes_down = matches!(apart, Apart::Tiles(_));
        let (size, classes) = match blocks_apart(rows, size_of(longest)).filter(|_| !goes_down) {
            Some(classes) => (size_of(longest), classes),
            None => (size_of(extent(0)), block_classes(rows, size_of(extent(0)))),
        };
        let block = kernel.grid_axis("m", classes.iter().map(|class| class.n_blocks).sum());
        let blocks = Blocks { axes, axis: block, size };
        let (mut kernel, body) =
            self.windows_of_blocks(kernel, space, outputs, (windows, apart), blocks, &classes);
        kernel.kernel.name = format!("{}_fold", space.term.dtype());
        kernel.kernel.body = body;
        kernel
    }

    /// The statements of a kernel whose tasks compute blocks of rows of a fold's result, in order.
    pub(super) fn column_fold_of_blocks(
        &mut self,
        kernel: KernelBuilder,
        space: &FoldSpace,
        outputs: &FoldOutputs<'_>,
        blocks: Blocks,
    ) -> (KernelBuilder, Vec<Stmt>) {
        let windows = self.windows(space);
        let classes = block_classes(&windows.cuts[0], blocks.size);
        let windows = (windows, Apart::Nothing);
        self.windows_of_blocks(kernel, space, outputs, windows, blocks, &classes)
    }

    fn windows_of_blocks(
        &mut self,
        kernel: KernelBuilder,
        space: &FoldSpace,
        outputs: &FoldOutputs<'_>,
        (windows, apart): (Windows, Apart),
        blocks: Blocks,
        classes: &[BlockClass],
    ) -> (KernelBuilder, Vec<Stmt>) {
        let guards = if windows.is_cut { Vec::new() } else { space.guards.clone() };
        let mut run =
            ColumnFold { lowering: self, kernel, space, outputs, windows, apart, blocks, guards };
        let body = run.blocks(classes);
        (run.kernel, body)
    }
}

/// The blocks of a result's rows that tasks compute.
pub(super) struct Blocks {
    /// The axes of the space over the kernel's; those of rows, of what lies inside a row and of what
    /// is folded over are filled in per tile.
    pub(super) axes: Vec<IndexExpr>,
    /// The grid axis of blocks.
    pub(super) axis: AxisId,
    /// The rows of a block; the last may have fewer.
    pub(super) size: usize,
}

struct ColumnFold<'r, 'g, 'o> {
    lowering: &'r mut Lowering<'g>,
    kernel: KernelBuilder,
    space: &'r FoldSpace,
    outputs: &'r FoldOutputs<'o>,
    windows: Windows,
    apart: Apart,
    blocks: Blocks,
    /// Conditions that neither segments nor tiles decide.
    guards: Vec<Guard>,
}

/// Tiles of equally many columns.
struct Columns {
    /// The axis and the number of the task that computes them, where others do not.
    task: Option<(AxisId, usize)>,
    /// The axis of parts, where there are several.
    around: Option<usize>,
    /// The first column of a part.
    from: IndexExpr,
    /// The tiles of a part.
    n_tiles: usize,
    /// The columns of a tile.
    width: usize,
}

impl ColumnFold<'_, '_, '_> {
    fn blocks(&mut self, classes: &[BlockClass]) -> Vec<Stmt> {
        let axis = self.blocks.axis;
        let n_blocks = self.kernel.kernel.axes[axis].extent;
        let inner = stretches(&self.windows.cuts[1]);
        let mut out = Vec::new();
        for class in classes {
            let mut body = Vec::new();
            for columns in self.columns() {
                let mut part = Vec::new();
                for outer in &stretches(&class.pieces) {
                    for inner in &inner {
                        part.extend(self.region([outer, inner], class.origin, &columns));
                    }
                }
                let part = looped(columns.around, part);
                body.extend(match columns.task {
                    Some((axis, n)) => {
                        within(axis, n..n + 1, self.kernel.kernel.axes[axis].extent, part)
                    }
                    None => part,
                });
            }
            out.extend(within(axis, class.first..class.first + class.n_blocks, n_blocks, body));
        }
        out
    }

    /// The columns in whole tiles, part by part, and the columns that are left.
    fn columns(&mut self) -> Vec<Columns> {
        let Parts { width, n_tiles, n_parts, rest } = self.windows.parts;
        let mut out = Vec::new();
        let tasks = match self.apart {
            Apart::Columns(axis) => Some((axis, self.kernel.kernel.axes[axis].extent)),
            Apart::Nothing | Apart::Tiles(_) => None,
        };
        if n_parts > 0 {
            let n_tasks = tasks.map_or(1, |(_, n)| n);
            let len = n_parts / n_tasks;
            let mut from = IndexExpr::default();
            if let Some((axis, _)) = tasks {
                from = IndexExpr::axis(axis).scale((len * n_tiles * width) as i64);
            }
            let around = (len > 1).then(|| self.kernel.axis("p", len));
            if let Some(axis) = around {
                from = from.add(&IndexExpr::axis(axis).scale((n_tiles * width) as i64));
            }
            out.push(Columns { task: None, around, from, n_tiles, width });
        }
        if rest > 0 {
            let from = IndexExpr::constant((n_parts * n_tiles * width) as i64);
            let task = tasks.map(|(axis, n)| (axis, n - 1));
            out.push(Columns { task, around: None, from, n_tiles: 1, width: rest });
        }
        out
    }

    /// The tiles of a rectangle of windows that fold over the same points.
    fn region(&mut self, stretches: [&Stretch; 2], origin: i64, columns: &Columns) -> Vec<Stmt> {
        let space = self.space;
        let cut = stretches.map(|s| &s.segment);
        let folded = space.n_result..space.extents.len();
        let ranges: Vec<(usize, Range<usize>)> = folded
            .map(|a| {
                let cut = cut.iter().flat_map(|s| &s.folded).find(|(axis, _)| *axis == a);
                cut.cloned().unwrap_or((a, 0..space.extents[a]))
            })
            .collect();
        let points = |a: usize| ranges.iter().find(|(axis, _)| *axis == a).map_or(1, |r| r.1.len());
        let registers = self.lowering.registers(space.term.dtype());
        let taps = |k: usize| self.windows.sliding.get(k).map(|s| (s.tap, points(s.tap)));
        let most = |k: usize| match taps(k) {
            Some((_, n)) if n <= MAX_TAPS => windows_of_tile(registers, n),
            _ => 1,
        };
        let average = |k: usize| average_rows(cut[k].len, most(k));
        let along = if self.windows.row.is_none() && average(0) > average(1) { 0 } else { 1 };
        let tap = taps(along).filter(|(_, n)| *n <= MAX_TAPS).map(|(tap, _)| tap);
        let most = most(along);
        let mut at = cut.map(|s| IndexExpr::constant(s.start as i64));
        at[0] = at[0].offset(origin);
        let (mut again, mut shifts) = (Vec::new(), Vec::new());
        for (at, stretch) in at.iter_mut().zip(stretches) {
            let Some(shift) = &stretch.again else { continue };
            let axis = self.kernel.axis("s", 2);
            again.push(axis);
            *at = at.add(&IndexExpr::axis(axis).scale(shift.at));
            shifts
                .extend(shift.folded.iter().map(|(a, by)| (*a, IndexExpr::axis(axis).scale(*by))));
        }
        let n_around = cut[1 - along].len;
        let goes_down = self.windows.goes_down();
        let around = (n_around > 1 && !goes_down).then(|| self.kernel.axis("n", n_around));
        if let Some(axis) = around {
            at[1 - along] = at[1 - along].add(&IndexExpr::axis(axis));
        }
        let n_down = if goes_down { n_around } else { 1 };
        let runs = tile_runs(cut[along].len, most);
        let runs = match &self.windows.row {
            Some(row) => row.runs(runs),
            None => runs,
        };
        let (from, width) = (columns.from.clone(), columns.width);
        let tile =
            WindowTile { at, along, n_windows: 0, tap, ranges, shifts, from, columns: width };
        let mut body = Vec::new();
        let mut first_tile = 0;
        for run in &runs {
            body.extend(self.run(run, first_tile, n_down, columns.n_tiles, tile.clone()));
            first_tile += run.n_tiles;
        }
        let body = looped(around, body);
        again.into_iter().fold(body, |body, axis| looped(Some(axis), body))
    }

    /// Tiles of as many windows along an axis, the first of which is known by its number among all
    /// along it, each over so many rows and tiles of columns; `tile` is where they start.
    fn run(
        &mut self,
        run: &TileRun,
        first_tile: usize,
        n_down: usize,
        n_over: usize,
        mut tile: WindowTile,
    ) -> Vec<Stmt> {
        let along = tile.along;
        let tasks = match self.apart {
            Apart::Tiles(axis) => Some(axis),
            Apart::Nothing | Apart::Columns(_) => None,
        };
        tile.n_windows = run.rows;
        tile.at[along] = tile.at[along].offset(run.start as i64);
        let mut step = None;
        // Where there is one tile, its place is known, and with it what lies outside.
        if run.n_tiles > 1 {
            let axis = tasks.unwrap_or_else(|| self.kernel.axis("t", run.n_tiles));
            let first = tasks.map_or(0, |_| first_tile as i64);
            let steps = IndexExpr::axis(axis).offset(-first).scale(run.rows as i64);
            tile.at[along] = tile.at[along].add(&steps);
            step = tasks.is_none().then_some(axis);
        }
        let down = (n_down > 1).then(|| self.kernel.axis("n", n_down));
        if let Some(axis) = down {
            tile.at[1 - along] = tile.at[1 - along].add(&IndexExpr::axis(axis));
        }
        let over = (n_over > 1).then(|| self.kernel.axis("v", n_over));
        if let Some(axis) = over {
            tile.from = tile.from.add(&IndexExpr::axis(axis).scale(tile.columns as i64));
        }
        let body = vec![Stmt::Tile(self.tile(&tile))];
        let body = looped(step, looped(down, looped(over, body)));
        match tasks {
            Some(axis) => {
                let tiles = first_tile..first_tile + run.n_tiles;
                within(axis, tiles, self.kernel.kernel.axes[axis].extent, body)
            }
            None => body,
        }
    }
}

fn looped(axis: Option<usize>, body: Vec<Stmt>) -> Vec<Stmt> {
    match axis {
        Some(axis) => vec![Stmt::For { axis, body }],
        None => body,
    }
}
