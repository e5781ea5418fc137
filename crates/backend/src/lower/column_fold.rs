//! The general kernel of a fold: vectors along the result's last axis.
//!
//! Depthwise convolution, pooling and reductions over outer axes. Where windows slide along an
//! axis, a tile computes several of them side by side, and what they share is loaded once.

mod tile;

use std::ops::Range;

use tracelift_loops::{AxisId, Stmt};
use tracelift_scalar::{Guard, IndexExpr, IndexTerm};

use super::{
    KernelBuilder, Lowering, Registers,
    column_strips::strip_vectors,
    fold::{FoldOutputs, FoldRead, FoldSpace},
    product::within,
    register_tile::{TileRun, average_rows, tile_runs},
    segments::{
        BlockClass, Segment, Stretch, block_classes, block_size, blocks_apart, segments, stretches,
        window_axes,
    },
};
pub(super) use tile::Point;
use tile::WindowTile;

/// The columns of a tile of one row, in vectors.
pub(super) const TILE_VECTORS: usize = 4;
/// The columns of a tile of several windows, in vectors.
const WINDOW_VECTORS: usize = 2;
/// The most windows of a tile.
const MAX_WINDOWS: usize = 8;
/// The most points of a window along the axis of a tile.
const MAX_TAPS: usize = 8;
/// The most pairs of segments worth tiles of their own.
const MAX_SEGMENTS: usize = 25;
/// The elements a task computes, about, and the fewest where more tasks are wanted.
const TASK_ELEMENTS: usize = 64 << 10;
pub(super) const MIN_TASK_ELEMENTS: usize = 16 << 10;

/// An axis of the result along which windows slide over a folded axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Sliding {
    axis: usize,
    tap: usize,
    /// The distance between windows, in elements of the operand.
    stride: usize,
}

/// Whether the guards of a fold are of windows whose borders cut the result into few segments, so
/// that they need no conditions: points outside are left out.
pub(super) fn cuts_windows(space: &FoldSpace) -> bool {
    let sliding = sliding_axes(space);
    window_axes(space).is_some_and(|axes| {
        let n_segments: usize = axes.iter().map(|&a| segments(space, a).len()).product();
        axes.iter().all(|a| sliding.iter().any(|s| s.axis == *a)) && n_segments <= MAX_SEGMENTS
    })
}

/// Whether windows slide over an operand, so that its elements are read several times.
pub(super) fn reads_repeatedly(space: &FoldSpace) -> bool {
    !sliding_axes(space).is_empty()
}

/// Whether windows of an operand slide and each column of the result is folded by itself.
pub(super) fn slides_by_column(space: &FoldSpace) -> bool {
    let Some(columns) = space.n_result.checked_sub(1) else { return false };
    let has_columns = |read: &FoldRead| match read {
        FoldRead::Value(_, index) => index.iter().any(|e| e.mentions(columns)),
        FoldRead::Memory(read) => read.position.mentions(columns),
    };
    space.reads.iter().all(has_columns) && !sliding_axes(space).is_empty()
}

/// The axes of the result along which windows slide, at most two.
pub(super) fn slides_along(space: &FoldSpace) -> Vec<usize> {
    sliding_axes(space).iter().map(|s| s.axis).collect()
}

/// The two innermost axes of the result, but the last, along which windows of an operand slide.
fn sliding_axes(space: &FoldSpace) -> Vec<Sliding> {
    let mut out: Vec<Sliding> = Vec::new();
    for read in &space.reads {
        let FoldRead::Value(_, index) = read else { continue };
        for e in index {
            let axes = e.terms.iter().filter_map(|(term, _)| match term {
                IndexTerm::Axis(a) => Some(*a),
                _ => None,
            });
            let (own, folded): (Vec<usize>, Vec<usize>) = axes.partition(|&a| a < space.n_result);
            if let ([axis], [tap]) = (own.as_slice(), folded.as_slice())
                && *axis + 1 < space.n_result
                && !out.iter().any(|s| s.axis == *axis)
            {
                let stride = e.stride_of(*axis).unwrap_or(1).unsigned_abs() as usize;
                out.push(Sliding { axis: *axis, tap: *tap, stride });
            }
        }
    }
    out.sort_by_key(|s| s.axis);
    out.drain(..out.len().saturating_sub(2));
    out
}

/// How many windows a tile takes, where each has so many points along the tile's axis: they need
/// accumulators, and one row of weights and elements at a time.
fn windows_of_tile(registers: Registers, taps: usize) -> usize {
    let room = registers.count.saturating_sub(2 * taps + 2) / WINDOW_VECTORS;
    room.clamp(1, MAX_WINDOWS)
}

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
        let n_columns = space.n_result.checked_sub(1).map_or(1, |a| space.extents[a]);
        let n_tasks = kernel.kernel.n_tasks();
        let extent = |k: usize| windows.sliding.get(k).map_or(1, |s| space.extents[s.axis]);
        let row_elements = extent(1) * n_columns;
        // What a task reads stays in the second-level cache while it goes through parts of columns.
        let cached = match windows.goes_down {
            true => usize::MAX,
            false => self.rows_in_cache(space).saturating_mul(row_elements),
        };
        let work = [TASK_ELEMENTS, MIN_TASK_ELEMENTS].map(|n| n.min(cached));
        let size_of = |len: usize| block_size(len, row_elements, work, n_tasks);
        let rows = &windows.cuts[0];
        let longest = rows.iter().map(|s| s.len).max().unwrap_or(1);
        let (size, classes) = match blocks_apart(rows, size_of(longest)) {
            Some(classes) => (size_of(longest), classes),
            None => (size_of(extent(0)), block_classes(rows, size_of(extent(0)))),
        };
        let block = kernel.grid_axis("m", classes.iter().map(|class| class.n_blocks).sum());
        let blocks = Blocks { axes, axis: block, size };
        let (mut kernel, body) =
            self.windows_of_blocks(kernel, space, outputs, windows, blocks, &classes);
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
        self.windows_of_blocks(kernel, space, outputs, windows, blocks, &classes)
    }

    fn windows_of_blocks(
        &mut self,
        kernel: KernelBuilder,
        space: &FoldSpace,
        outputs: &FoldOutputs<'_>,
        windows: Windows,
        blocks: Blocks,
        classes: &[BlockClass],
    ) -> (KernelBuilder, Vec<Stmt>) {
        let guards = if windows.is_cut { Vec::new() } else { space.guards.clone() };
        let mut run =
            ColumnFold { lowering: self, kernel, space, outputs, windows, blocks, guards };
        let body = run.blocks(classes);
        (run.kernel, body)
    }

    /// How windows slide and where borders cut them.
    fn windows(&self, space: &FoldSpace) -> Windows {
        let sliding = sliding_axes(space);
        let is_cut = cuts_windows(space);
        let extent = |k: usize| sliding.get(k).map_or(1, |s| space.extents[s.axis]);
        let mut cuts = [0, 1].map(|k| match sliding.get(k) {
            Some(s) if is_cut => segments(space, s.axis),
            _ => vec![Segment { start: 0, len: extent(k), folded: Vec::new() }],
        });
        let row = self.row_of_tiles(space, &sliding, &cuts);
        if row.is_some() {
            cuts[1] = vec![Segment { start: 0, len: extent(1), folded: Vec::new() }];
        }
        let goes_down = row.is_some() && self.goes_down(space, &sliding);
        Windows { sliding, is_cut, cuts, row, goes_down }
    }

    /// Whether not even one tile's columns of the rows that a window needs stay in the first-level
    /// cache: then a tile goes down the rows, which share some, before the next one along them.
    fn goes_down(&self, space: &FoldSpace, sliding: &[Sliding]) -> bool {
        let [outer, inner] = sliding else { return false };
        let dtype = space.term.dtype();
        let width = WINDOW_VECTORS * self.registers(dtype).lanes(dtype);
        let elements = space.extents[outer.tap] * space.extents[inner.axis] * inner.stride * width;
        elements * dtype.size_bytes() > self.target.l1d_bytes / 2
    }

    /// How many rows of windows have operands that fit into the second-level cache.
    pub(super) fn rows_in_cache(&self, space: &FoldSpace) -> usize {
        let [outer, inner] = sliding_axes(space)[..] else { return usize::MAX };
        let n_columns = space.n_result.checked_sub(1).map_or(1, |a| space.extents[a]);
        let size = space.term.dtype().size_bytes();
        let row = space.extents[inner.axis] * inner.stride * n_columns * size;
        let rows = self.target.l2_bytes * 5 / 8 / row.max(1);
        (rows.saturating_sub(space.extents[outer.tap]) / outer.stride.max(1)).max(1)
    }

    /// Rows of windows that tiles lie along with those at borders among them, if that is as good as
    /// any other way: tiles of windows at borders only would be small.
    fn row_of_tiles(
        &self,
        space: &FoldSpace,
        sliding: &[Sliding],
        cuts: &[Vec<Segment>; 2],
    ) -> Option<Row> {
        let [outer, inner] = sliding else { return None };
        let registers = self.registers(space.term.dtype());
        let most = |s: &Sliding| windows_of_tile(registers, space.extents[s.tap]);
        let longest = |k: usize| cuts[k].iter().max_by_key(|s| s.len);
        let interior = longest(1)?;
        let average = average_rows(space.extents[inner.axis], most(inner));
        let is_best = average >= average_rows(longest(0)?.len, most(outer));
        let guards = space.guards.iter().filter(|g| g.expr.mentions(inner.axis)).cloned();
        let fits = cuts[1].len() > 1 && space.extents[inner.tap] <= MAX_TAPS;
        (fits && is_best).then(|| Row {
            interior: interior.start..interior.start + interior.len,
            guards: guards.collect(),
        })
    }
}

/// A row of windows, of which some lie at borders.
struct Row {
    /// The windows that lie inside.
    interior: Range<usize>,
    /// Which points of each window do.
    guards: Vec<Guard>,
}

impl Row {
    /// Tiles one after another, those with windows at borders apart.
    fn runs(&self, runs: Vec<TileRun>) -> Vec<TileRun> {
        let mut out: Vec<TileRun> = Vec::new();
        for TileRun { start, n_tiles, rows } in runs {
            let mut joins = false;
            for start in (start..start + n_tiles * rows).step_by(rows) {
                let is_inside = self.interior.start <= start && start + rows <= self.interior.end;
                match out.last_mut().filter(|_| joins && is_inside) {
                    Some(run) => run.n_tiles += 1,
                    None => out.push(TileRun { start, n_tiles: 1, rows }),
                }
                joins = is_inside;
            }
        }
        out
    }
}

/// How the windows of a fold slide and where borders cut them.
struct Windows {
    /// The axes that tiles may lie along, at most two, outermost first.
    sliding: Vec<Sliding>,
    /// Whether segments and tiles decide all conditions.
    is_cut: bool,
    /// The segments of each sliding axis.
    cuts: [Vec<Segment>; 2],
    /// What tiles along the inner sliding axis know of borders there, which then are no segments.
    row: Option<Row>,
    /// Whether a tile goes down all rows of a task before the next one along the row.
    goes_down: bool,
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
    blocks: Blocks,
    /// Conditions that neither segments nor tiles decide.
    guards: Vec<Guard>,
}

/// Tiles of equally many columns.
struct Columns {
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
            for columns in self.column_parts() {
                let mut part = Vec::new();
                for outer in &stretches(&class.pieces) {
                    for inner in &inner {
                        part.extend(self.region([outer, inner], class.origin, &columns));
                    }
                }
                body.extend(looped(columns.around, part));
            }
            out.extend(within(axis, class.first..class.first + class.n_blocks, n_blocks, body));
        }
        out
    }

    /// The columns in whole tiles, in parts whose windows stay in the first-level cache where all
    /// columns would not, and the columns that are left.
    fn column_parts(&mut self) -> Vec<Columns> {
        let len = match self.space.n_result {
            0 => 1,
            n => self.space.extents[n - 1],
        };
        let slides = self.windows.sliding.iter().any(|s| self.space.extents[s.tap] <= MAX_TAPS);
        let registers = self.lowering.registers(self.space.term.dtype());
        let vectors = match slides {
            true => WINDOW_VECTORS,
            false if self.windows.sliding.is_empty() => strip_vectors(registers),
            false => TILE_VECTORS,
        };
        let width = (vectors * registers.bytes / 4).min(len.max(1));
        let (n_tiles, rest) = (len / width, len % width);
        let mut out = Vec::new();
        if n_tiles > 0 {
            let most = self.tiles_in_cache(len, width);
            let n = (1..=n_tiles.min(most)).rev().find(|n| n_tiles.is_multiple_of(*n)).unwrap_or(1);
            let around = (n < n_tiles).then(|| self.kernel.axis("p", n_tiles / n));
            let from = around.map_or(IndexExpr::default(), |axis| {
                IndexExpr::axis(axis).scale((n * width) as i64)
            });
            out.push(Columns { around, from, n_tiles: n, width });
        }
        if rest > 0 {
            let from = IndexExpr::constant((n_tiles * width) as i64);
            out.push(Columns { around: None, from, n_tiles: 1, width: rest });
        }
        out
    }

    /// How many tiles of columns, of `width` each, have windows that stay in the first-level cache
    /// while they slide over a row of the result, which has `len` columns.
    fn tiles_in_cache(&self, len: usize, width: usize) -> usize {
        let [outer, inner] = self.windows.sliding[..] else { return usize::MAX };
        let size = self.space.term.dtype().size_bytes();
        // Elements at such distances would all lie in few sets of the cache.
        if (len * size).is_multiple_of(2048) {
            return usize::MAX;
        }
        let [taps, points] = [outer, inner].map(|s| self.space.extents[s.tap]);
        let windows =
            if self.windows.goes_down { MAX_WINDOWS } else { self.space.extents[inner.axis] };
        let positions = (windows - 1) * inner.stride + points;
        // Rows of the operand, a row of the result, the weights.
        let elements = (taps * positions + windows + taps * points) * width;
        let cache = self.lowering.target.l1d_bytes * 5 / 8;
        (cache / (elements * size).max(1)).max(1)
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
        let mut around = None;
        if n_around > 1 && !self.windows.goes_down {
            let step = self.kernel.axis("n", n_around);
            at[1 - along] = at[1 - along].add(&IndexExpr::axis(step));
            around = Some(step);
        }
        let mut body = Vec::new();
        let runs = tile_runs(cut[along].len, most);
        let runs = match &self.windows.row {
            Some(row) => row.runs(runs),
            None => runs,
        };
        for run in runs {
            let mut at = at.clone();
            at[along] = at[along].offset(run.start as i64);
            let mut step = None;
            if run.n_tiles > 1 {
                let axis = self.kernel.axis("t", run.n_tiles);
                at[along] = at[along].add(&IndexExpr::axis(axis).scale(run.rows as i64));
                step = Some(axis);
            }
            let mut down = None;
            if n_around > 1 && self.windows.goes_down {
                let axis = self.kernel.axis("n", n_around);
                at[1 - along] = at[1 - along].add(&IndexExpr::axis(axis));
                down = Some(axis);
            }
            let ranges = ranges.clone();
            let mut from = columns.from.clone();
            let over = (columns.n_tiles > 1).then(|| self.kernel.axis("v", columns.n_tiles));
            if let Some(axis) = over {
                from = from.add(&IndexExpr::axis(axis).scale(columns.width as i64));
            }
            let (n_windows, columns, shifts) = (run.rows, columns.width, shifts.clone());
            let plan = WindowTile { at, along, n_windows, tap, ranges, shifts, from, columns };
            let tile = vec![Stmt::Tile(self.tile(&plan))];
            body.extend(looped(step, looped(down, looped(over, tile))));
        }
        let body = looped(around, body);
        again.into_iter().fold(body, |body, axis| looped(Some(axis), body))
    }
}

fn looped(axis: Option<usize>, body: Vec<Stmt>) -> Vec<Stmt> {
    match axis {
        Some(axis) => vec![Stmt::For { axis, body }],
        None => body,
    }
}
