//! How the windows of a fold slide, what a tile takes of them and what a task.

use std::ops::Range;

use tracelift_loops::AxisId;
use tracelift_scalar::{Guard, IndexTerm};

use crate::lower::{
    KernelBuilder, Lowering, Registers,
    column_strips::strip_vectors,
    fold::{FoldRead, FoldSpace},
    register_tile::{TileRun, average_rows, tile_runs},
    segments::{Segment, segments, window_axes},
};

/// The columns of a tile of one row, in vectors.
pub(in crate::lower) const TILE_VECTORS: usize = 4;
/// The columns of a tile of several windows, in vectors.
const WINDOW_VECTORS: usize = 2;
/// The most windows of a tile.
const MAX_WINDOWS: usize = 8;
/// The most points of a window along the axis of a tile.
pub(super) const MAX_TAPS: usize = 11;
/// The most pairs of segments worth tiles of their own.
const MAX_SEGMENTS: usize = MAX_TAPS * MAX_TAPS;
/// The columns of a part in bytes, about: pairs of cache lines are fetched together.
const PART_BYTES: usize = 128;
/// The fewest points that a task of some columns folds over.
const MIN_TASK_POINTS: usize = 64 << 10;

/// An axis of the result along which windows slide over a folded axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sliding {
    pub(super) axis: usize,
    pub(super) tap: usize,
    /// The distance between windows, in elements of the operand.
    pub(super) stride: usize,
}

impl Sliding {
    /// Whether neighbouring windows share elements.
    fn overlaps(&self, space: &FoldSpace) -> bool {
        space.extents[self.tap] > self.stride
    }
}

/// Whether the guards of a fold are of windows whose borders cut the result into few segments, so
/// that they need no conditions: points outside are left out.
pub(in crate::lower) fn cuts_windows(space: &FoldSpace) -> bool {
    let sliding = sliding_axes(space);
    window_axes(space).is_some_and(|axes| {
        let n_segments: usize = axes.iter().map(|&a| segments(space, a).len()).product();
        axes.iter().all(|a| sliding.iter().any(|s| s.axis == *a)) && n_segments <= MAX_SEGMENTS
    })
}

/// Whether windows slide over an operand, so that its elements are read several times.
pub(in crate::lower) fn reads_repeatedly(space: &FoldSpace) -> bool {
    !sliding_axes(space).is_empty()
}

/// Whether windows of an operand slide and each column of the result is folded by itself.
pub(in crate::lower) fn slides_by_column(space: &FoldSpace) -> bool {
    let Some(columns) = space.n_result.checked_sub(1) else { return false };
    let has_columns = |read: &FoldRead| match read {
        FoldRead::Value(_, index) => index.iter().any(|e| e.mentions(columns)),
        FoldRead::Memory(read) => read.position.mentions(columns),
    };
    space.reads.iter().all(has_columns) && !sliding_axes(space).is_empty()
}

/// The axes of the result along which windows slide, at most two.
pub(in crate::lower) fn slides_along(space: &FoldSpace) -> Vec<usize> {
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
pub(super) fn windows_of_tile(registers: Registers, taps: usize) -> usize {
    let room = registers.count.saturating_sub(2 * taps + 2) / WINDOW_VECTORS;
    room.clamp(1, MAX_WINDOWS)
}

impl Lowering<'_> {
    /// How windows slide and where borders cut them.
    pub(super) fn windows(&self, space: &FoldSpace) -> Windows {
        let sliding = sliding_axes(space);
        let is_cut = cuts_windows(space);
        let extent = |k: usize| sliding.get(k).map_or(1, |s| space.extents[s.axis]);
        let mut cuts = [0, 1].map(|k| match sliding.get(k) {
            Some(s) if is_cut => segments(space, s.axis),
            _ => vec![Segment { start: 0, len: extent(k), folded: Vec::new() }],
        });
        let row = self.row_of_tiles(space, &sliding, &cuts).filter(|_| is_cut);
        if row.is_some() {
            cuts[1] = vec![Segment { start: 0, len: extent(1), folded: Vec::new() }];
        }
        let parts = self.parts(space, &sliding, row.as_ref());
        Windows { sliding, is_cut, cuts, row, parts }
    }

    /// Whether a tile goes down the rows, which share some, before the next one along them.
    fn down(&self, space: &FoldSpace, [outer, inner]: [&Sliding; 2]) -> Option<Down> {
        let dtype = space.term.dtype();
        let cache = self.target.l1d_bytes / dtype.size_bytes();
        let [taps, points] = [outer, inner].map(|s| space.extents[s.tap]);
        if !outer.overlaps(space) {
            return None;
        }
        let positions = (MAX_WINDOWS - 1) * inner.stride + points;
        // Of the operand, of the result and of the weights.
        let pixels = taps * positions + MAX_WINDOWS + taps * points;
        // Elements at such distances lie in few sets of the cache.
        let shares_sets = (n_columns(space) * dtype.size_bytes()).is_multiple_of(1024);
        if pixels * n_columns(space) <= cache * 3 / 4 || shares_sets {
            return Some(Down::Pixels);
        }
        let width = WINDOW_VECTORS * self.registers(dtype).lanes(dtype);
        let rows = taps * space.extents[inner.axis] * inner.stride * width;
        (rows > cache / 2).then_some(Down::Tiles)
    }

    /// Cuts the columns into tiles, and those into parts so narrow that what their windows share
    /// stays in the first-level cache while they slide over the rows of the result. All columns are
    /// one part where that is not lost by it.
    fn parts(&self, space: &FoldSpace, sliding: &[Sliding], row: Option<&Row>) -> Parts {
        let len = n_columns(space);
        let registers = self.registers(space.term.dtype());
        let vectors = match sliding.iter().any(|s| space.extents[s.tap] <= MAX_TAPS) {
            true => WINDOW_VECTORS,
            false if sliding.is_empty() => strip_vectors(registers),
            false => TILE_VECTORS,
        };
        let width = (vectors * registers.bytes / 4).min(len.max(1));
        let shares_rows = matches!(sliding, [outer, _] if outer.overlaps(space));
        let whole = !shares_rows || row.is_some_and(|row| row.down == Some(Down::Pixels));
        let n_all = len / width;
        let most = match whole {
            true => n_all,
            false => PART_BYTES / (width * space.term.dtype().size_bytes()),
        };
        let n_tiles = (1..=most.min(n_all)).rev().find(|n| n_all.is_multiple_of(*n)).unwrap_or(1);
        let (n_parts, rest) = (n_all / n_tiles, len % width);
        Parts { width, n_tiles, n_parts, rest }
    }

    /// How many rows of windows have operands that fit into the second-level cache.
    pub(in crate::lower) fn rows_in_cache(&self, space: &FoldSpace) -> usize {
        let [outer, inner] = sliding_axes(space)[..] else { return usize::MAX };
        let size = space.term.dtype().size_bytes();
        let row = space.extents[inner.axis] * inner.stride * n_columns(space) * size;
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
        let extent = space.extents[inner.axis];
        let average = average_rows(extent, most(inner));
        // Windows at borders have tiles of their own along the outer axis.
        let of_segments = |s: &Segment| s.len as f64 / average_rows(s.len, most(outer));
        let n_tiles: f64 = cuts[0].iter().map(of_segments).sum();
        let is_best = average >= space.extents[outer.axis] as f64 / n_tiles;
        let guards = space.guards.iter().filter(|g| g.expr.mentions(inner.axis)).cloned();
        let fits = space.extents[inner.tap] <= MAX_TAPS;
        (fits && is_best).then(|| Row {
            interior: interior.start..interior.start + interior.len,
            guards: guards.collect(),
            n_tiles: tile_runs(extent, most(inner)).iter().map(|run| run.n_tiles).sum(),
            down: self.down(space, [outer, inner]),
        })
    }
}

/// The extent of the result's last axis.
pub(super) fn n_columns(space: &FoldSpace) -> usize {
    space.n_result.checked_sub(1).map_or(1, |a| space.extents[a])
}

/// A row of windows, of which some lie at borders.
pub(super) struct Row {
    /// The windows that lie inside.
    pub(super) interior: Range<usize>,
    /// Which points of each window do.
    pub(super) guards: Vec<Guard>,
    pub(super) n_tiles: usize,
    /// Whether a tile goes down all rows of a task before the next one along the row.
    pub(super) down: Option<Down>,
}

/// How a tile goes down the rows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Down {
    /// With all columns of its windows, which stay in the first-level cache: memory is read and
    /// written from one end of a pixel to the other.
    Pixels,
    /// With its own columns, which would not stay there along whole rows.
    Tiles,
}

impl Row {
    /// Tiles one after another, those with windows at borders apart.
    pub(super) fn runs(&self, runs: Vec<TileRun>) -> Vec<TileRun> {
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
pub(super) struct Windows {
    /// The axes that tiles may lie along, at most two, outermost first.
    pub(super) sliding: Vec<Sliding>,
    /// Whether segments and tiles decide all conditions.
    pub(super) is_cut: bool,
    /// The segments of each sliding axis.
    pub(super) cuts: [Vec<Segment>; 2],
    /// What tiles along the inner sliding axis know of borders there, which then are no segments.
    pub(super) row: Option<Row>,
    pub(super) parts: Parts,
}

/// How the columns of a result are cut.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    /// The columns of a tile.
    pub(super) width: usize,
    /// The tiles of a part.
    pub(super) n_tiles: usize,
    pub(super) n_parts: usize,
    /// The columns after the last part, fewer than a tile has.
    pub(super) rest: usize,
}

impl Windows {
    pub(super) fn goes_down(&self) -> bool {
        self.row.as_ref().is_some_and(|row| row.down.is_some())
    }

    /// Makes tiles or parts of columns tasks of their own where windows slide over rows. Then a task
    /// has many rows, and few rows are read by two of them.
    pub(super) fn apart(&self, kernel: &mut KernelBuilder, space: &FoldSpace) -> Apart {
        let [outer, inner] = &self.sliding[..] else { return Apart::Nothing };
        if let Some(row) = self.row.as_ref().filter(|row| row.down.is_some()) {
            return match row.n_tiles {
                0 | 1 => Apart::Nothing,
                n => Apart::Tiles(kernel.grid_axis("t", n)),
            };
        }
        let Parts { width, n_tiles, n_parts, .. } = self.parts;
        let points: usize = space.extents[space.n_result..].iter().product();
        let windows = space.extents[outer.axis] * space.extents[inner.axis];
        let part = n_tiles * width * windows * points;
        let fits = |n: &usize| n_parts.is_multiple_of(*n) && n_parts / n * part >= MIN_TASK_POINTS;
        match (2..=n_parts).rev().find(fits) {
            Some(n) => Apart::Columns(kernel.grid_axis("p", n)),
            None => Apart::Nothing,
        }
    }
}

/// What tasks differ in besides their rows, with the grid axis of it.
#[derive(Clone, Copy)]
pub(super) enum Apart {
    Nothing,
    /// Tiles along a row.
    Tiles(AxisId),
    /// Parts of columns, as many each; those left belong to the last.
    Columns(AxisId),
}

impl Apart {
    pub(super) fn axis(self) -> Option<AxisId> {
        match self {
            Apart::Nothing => None,
            Apart::Tiles(axis) | Apart::Columns(axis) => Some(axis),
        }
    }
}
