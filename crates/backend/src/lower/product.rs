//! The kernel of a sum of products: a grid of panels and blocks of rows around register tiles.
//!
//! A task computes some rows of one panel of columns, or of all where they stay in cache together:
//! then it walks through the result row by row, as memory is best read and written. Where a panel's part of the right operand
//! would not stay in cache while rows pass by, the task folds over it block by block and keeps
//! partial sums in scratch, so that a sum is never split between tasks. Windows at borders are
//! tiles of their own, over shorter ranges, or rows of a tile that leave out some points.

mod ahead;
mod tile;

use std::ops::Range;

use tracelift_loops::{AxisId, Stmt};
use tracelift_scalar::{Guard, IndexExpr};
use tracelift_tensor::DType;

use super::{
    KernelBuilder, Lowering, StorageId,
    column_fold::Blocks,
    fold::{FoldOutputs, FoldSpace},
    register_tile::{average_rows, most_rows, most_rows_of, tile_runs},
    resolve::MemoryRead,
    segments::{BlockClass, Segment, block_classes, block_size, segments},
};
use ahead::{Next, Share};
use tile::TilePlan;

/// The rows of a task, about: enough to pay for fetching a panel.
const TASK_ROWS: usize = 224;
/// The tasks that a kernel must have where all panels are one task's.
const MIN_TASKS: usize = 8;
/// The fewest rows of a task that is made smaller for the sake of more tasks.
const MIN_TASK_ROWS: usize = 48;

/// A fold that fits a register tile.
pub(super) struct Product {
    pub(super) space: FoldSpace,
    pub(super) left: MemoryRead,
    pub(super) right: RightOperand,
    /// The axes of the result that rows run along, at most two, outermost first.
    pub(super) rows: Vec<usize>,
    /// Conditions on the inner rows and the points folded over, which tiles decide row by row.
    pub(super) tested: Vec<Guard>,
    /// The axis of columns.
    pub(super) columns: usize,
    /// The columns of a panel.
    pub(super) width: usize,
    /// The folded axes, outermost first.
    pub(super) folded: Vec<usize>,
    pub(super) dtype: DType,
}

impl Product {
    /// From a row of a panel of so many columns to the next, in elements.
    pub(super) fn row_of_panel(&self, n_columns: usize) -> usize {
        let last = self.space.extents[self.columns] % self.width;
        let last = if last == 0 { self.width } else { last };
        match self.right {
            RightOperand::Panels { pad, .. } if n_columns == last => n_columns + pad,
            _ => n_columns,
        }
    }
}

/// How the right operand is read.
pub(super) enum RightOperand {
    /// In place, contiguous along columns.
    InPlace(MemoryRead),
    /// From panels: `[others][panel][folded][columns]`, the last panel narrower, whose rows have
    /// `pad` elements after them.
    Panels { storage: StorageId, others: Vec<usize>, pad: usize },
}

impl RightOperand {
    pub(super) fn mentions(&self, a: usize) -> bool {
        match self {
            RightOperand::InPlace(read) => read.position.mentions(a),
            RightOperand::Panels { others, .. } => others.contains(&a),
        }
    }
}

/// A folded axis done block by block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct FoldBlocks {
    axis: usize,
    /// The points of a block; the last may have fewer.
    len: usize,
    n_blocks: usize,
}

/// The part of a folded axis that a tile folds over.
#[derive(Clone, PartialEq, Debug)]
struct FoldRange {
    axis: usize,
    start: IndexExpr,
    len: usize,
}

/// A block of a folded axis, and where partial sums come from and go to.
#[derive(Clone, PartialEq, Debug)]
struct Phase {
    range: Option<FoldRange>,
    /// Whether sums begin in scratch, or at zero.
    resumes: bool,
    /// Whether sums are complete, or go to scratch.
    completes: bool,
}

/// One panel of columns, or all panels of one width.
#[derive(Clone, PartialEq, Debug)]
struct Panel {
    index: IndexExpr,
    columns: usize,
}

/// The panels that a task computes.
#[derive(Clone, PartialEq, Debug)]
enum Panels {
    One(Panel),
    /// All of them for each tile's rows.
    All,
}

impl Lowering<'_> {
    pub(super) fn contraction_kernel(
        &mut self,
        product: &Product,
        outputs: &FoldOutputs<'_>,
    ) -> KernelBuilder {
        let space = &product.space;
        let mut kernel = KernelBuilder::new();
        let extent = |k: usize| product.rows.get(k).map_or(1, |&a| space.extents[a]);
        // Panels outside the other rows, so that a panel stays in cache while rows pass by.
        let mut axes: Vec<IndexExpr> = vec![IndexExpr::default(); space.n_result];
        let is_outer = |a: usize| !product.rows.contains(&a) && a != product.columns;
        let shared = |a: usize| product.right.mentions(a);
        for a in (0..space.n_result).filter(|&a| is_outer(a) && shared(a)) {
            axes[a] = IndexExpr::axis(kernel.grid_axis("b", space.extents[a]));
        }
        let fewest = match space.guards.is_empty() {
            true => MIN_TASK_ROWS,
            // Blocks of windows have borders, where tiles are small.
            false => MIN_TASK_ROWS * 4 / 3,
        };
        let block_of = |others| block_size(extent(0), extent(1), [TASK_ROWS, fewest], others);
        let unshared = |a: &usize| is_outer(*a) && !shared(*a);
        let n_unshared: usize =
            (0..space.n_result).filter(unshared).map(|a| space.extents[a]).product();
        let n_others = kernel.kernel.n_tasks() * n_unshared;
        let by_rows = n_others * extent(0).div_ceil(block_of(n_others));
        let n_panels = space.extents[product.columns].div_ceil(product.width);
        let all_panels = n_panels > 1 && by_rows >= MIN_TASKS && self.panels_fit_cache(product);
        let panel = (!all_panels).then(|| kernel.grid_axis("p", n_panels));
        for a in (0..space.n_result).filter(unshared) {
            axes[a] = IndexExpr::axis(kernel.grid_axis("i", space.extents[a]));
        }
        let block = block_of(kernel.kernel.n_tasks());
        let rows = kernel.grid_axis("m", extent(0).div_ceil(block));
        let task_rows = block * extent(1);
        let fold_blocks = self.fold_blocks(product, task_rows).filter(|_| !all_panels);
        let next = panel.and_then(|panel| Next::of(product, &kernel, panel));
        let scratch = fold_blocks.map(|_| kernel.scratch(product.dtype, task_rows * product.width));
        let mut nest = Nest::new(self, kernel, product, outputs, (axes, rows, block));
        (nest.fold_blocks, nest.next, nest.scratch) = (fold_blocks, next, scratch);
        let body = match panel {
            Some(axis) => nest.panels(axis),
            None => nest.blocks(&Panels::All),
        };
        let (n_rows, n_columns) = nest.largest;
        let mut kernel = nest.kernel;
        kernel.kernel.name = format!("{}_contract_{n_rows}x{n_columns}", product.dtype);
        kernel.kernel.body = body;
        kernel
    }

    /// The statements of a kernel whose tasks compute blocks of rows of a product, all its columns
    /// each, and the rows and columns of the largest tile. The first of the rows' axes goes in blocks.
    pub(super) fn product_of_blocks(
        &mut self,
        kernel: KernelBuilder,
        product: &Product,
        outputs: &FoldOutputs<'_>,
        Blocks { axes, axis, size }: Blocks,
    ) -> (KernelBuilder, Vec<Stmt>, (usize, usize)) {
        let mut nest = Nest::new(self, kernel, product, outputs, (axes, axis, size));
        let body = match product.space.extents[product.columns] > product.width {
            true => nest.blocks(&Panels::All),
            false => {
                let index = IndexExpr::default();
                nest.blocks(&Panels::One(Panel { index, columns: product.width }))
            }
        };
        (nest.kernel, body, nest.largest)
    }

    /// Whether all panels of a product stay in cache while rows pass by.
    pub(super) fn panels_fit_cache(&self, product: &Product) -> bool {
        let space = &product.space;
        let axes = product.folded.iter().chain([&product.columns]);
        let count: usize = axes.map(|&a| space.extents[a]).product();
        count * product.dtype.size_bytes() <= self.target.l2_bytes / 4
    }

    /// The blocks to fold by, where a panel is too large to stay in cache.
    fn fold_blocks(&self, product: &Product, task_rows: usize) -> Option<FoldBlocks> {
        let space = &product.space;
        let registers = self.registers(product.dtype);
        let lanes = registers.lanes(product.dtype);
        if task_rows <= most_rows(registers, product.width.div_ceil(lanes)) {
            return None;
        }
        let guarded =
            |a: usize| space.guards.iter().chain(&product.tested).any(|g| g.expr.mentions(a));
        let axis = product.folded.iter().copied().filter(|&a| !guarded(a));
        let axis = axis.max_by_key(|&a| space.extents[a])?;
        let depth: usize = product.folded.iter().map(|&a| space.extents[a]).product();
        let panel_bytes = depth * product.width * product.dtype.size_bytes();
        let budget = match space.guards.is_empty() {
            true => self.target.l2_bytes / 4,
            // Windows read the panel with fewer rows between, and the operand several times.
            false => self.target.l2_bytes * 3 / 8,
        };
        let n_blocks = panel_bytes.div_ceil(budget.max(1));
        let len = space.extents[axis].div_ceil(n_blocks).next_multiple_of(4);
        let n_blocks = space.extents[axis].div_ceil(len);
        (n_blocks > 1).then_some(FoldBlocks { axis, len, n_blocks })
    }
}

/// The statements that run where a grid axis is in a range.
pub(super) fn within(
    axis: usize,
    range: Range<usize>,
    extent: usize,
    body: Vec<Stmt>,
) -> Vec<Stmt> {
    if range == (0..extent) {
        return body;
    }
    let expr = IndexExpr::axis(axis).offset(-(range.start as i64));
    vec![Stmt::If { guards: vec![Guard { expr, extent: range.len() as i64 }], body }]
}

struct Nest<'n, 'g, 'o> {
    lowering: &'n mut Lowering<'g>,
    kernel: KernelBuilder,
    product: &'n Product,
    outputs: &'n FoldOutputs<'o>,
    /// The result's axes over the kernel's; rows and columns are filled in per tile.
    axes: Vec<IndexExpr>,
    /// The segments of the outer and the inner row axis.
    cuts: [Vec<Segment>; 2],
    /// The extent of the inner row axis.
    inner_rows: usize,
    /// The grid axis of blocks of the outer row axis, and the positions of a block.
    block: (usize, usize),
    fold_blocks: Option<FoldBlocks>,
    /// What a task's panel is followed by, where that is worth fetching.
    next: Option<Next>,
    scratch: Option<usize>,
    /// The rows and columns of the largest tile.
    largest: (usize, usize),
}

impl<'n, 'g, 'o> Nest<'n, 'g, 'o> {
    /// Of tasks that fold over everything at once. Blocks are given as the result's axes over the
    /// kernel's, their grid axis, and their positions along the outer row axis.
    fn new(
        lowering: &'n mut Lowering<'g>,
        kernel: KernelBuilder,
        product: &'n Product,
        outputs: &'n FoldOutputs<'o>,
        (axes, axis, size): (Vec<IndexExpr>, AxisId, usize),
    ) -> Nest<'n, 'g, 'o> {
        let space = &product.space;
        let cuts = [0, 1].map(|k| match product.rows.get(k) {
            Some(&a) => segments(space, a),
            None => vec![Segment { start: 0, len: 1, folded: Vec::new() }],
        });
        let inner_rows = product.rows.get(1).map_or(1, |&a| space.extents[a]);
        Nest {
            lowering,
            kernel,
            product,
            outputs,
            axes,
            cuts,
            inner_rows,
            block: (axis, size),
            fold_blocks: None,
            next: None,
            scratch: None,
            largest: (0, 0),
        }
    }

    fn panels(&mut self, axis: usize) -> Vec<Stmt> {
        let (len, width) = (self.product.space.extents[self.product.columns], self.product.width);
        let (n_full, rest) = (len / width, len % width);
        let n_panels = len.div_ceil(width);
        let mut out = Vec::new();
        if n_full > 0 {
            let index = if n_panels > 1 { IndexExpr::axis(axis) } else { IndexExpr::default() };
            let body = self.blocks(&Panels::One(Panel { index, columns: width }));
            out.extend(within(axis, 0..n_full, n_panels, body));
        }
        if rest > 0 {
            let index = IndexExpr::constant(n_full as i64);
            let body = self.blocks(&Panels::One(Panel { index, columns: rest }));
            out.extend(within(axis, n_full..n_panels, n_panels, body));
        }
        out
    }

    fn blocks(&mut self, panels: &Panels) -> Vec<Stmt> {
        let (axis, size) = self.block;
        let classes = block_classes(&self.cuts[0], size);
        let n_blocks = self.kernel.kernel.axes[axis].extent;
        let mut out = Vec::new();
        for class in classes {
            let body = self.phases(panels, &class);
            out.extend(within(axis, class.first..class.first + class.n_blocks, n_blocks, body));
        }
        out
    }

    /// Folds over all blocks of the folded axis one after another, each for all rows.
    fn phases(&mut self, panels: &Panels, class: &BlockClass) -> Vec<Stmt> {
        let Some(FoldBlocks { axis, len, n_blocks }) = self.fold_blocks else {
            let phase = Phase { range: None, resumes: false, completes: true };
            return self.pieces(panels, class, &phase);
        };
        let range = |start: IndexExpr, len: usize| Some(FoldRange { axis, start, len });
        let first = range(IndexExpr::default(), len);
        let mut out =
            self.pieces(panels, class, &Phase { range: first, resumes: false, completes: false });
        if n_blocks > 2 {
            let step = self.kernel.axis("kb", n_blocks - 2);
            let start = IndexExpr::axis(step).offset(1).scale(len as i64);
            let phase = Phase { range: range(start, len), resumes: true, completes: false };
            let body = self.pieces(panels, class, &phase);
            out.push(Stmt::For { axis: step, body });
        }
        let done = (n_blocks - 1) * len;
        let rest = range(IndexExpr::constant(done as i64), self.product.space.extents[axis] - done);
        let phase = Phase { range: rest, resumes: true, completes: true };
        out.extend(self.pieces(panels, class, &phase));
        out
    }

    fn pieces(&mut self, panels: &Panels, class: &BlockClass, phase: &Phase) -> Vec<Stmt> {
        let inner = self.cuts[1].clone();
        let pairs = class.pieces.iter().flat_map(|p| inner.iter().map(move |s| [p, s]));
        let pairs: Vec<[&Segment; 2]> = pairs.collect();
        let size = |cut: &[&Segment; 2]| cut[0].len * cut[1].len;
        let largest = pairs.iter().copied().max_by_key(size);
        let regions = pairs.iter().flat_map(|cut| {
            let distance = match &self.next {
                Some(next) if largest == Some(*cut) => Some(next.distance(self.fold_blocks, phase)),
                _ => None,
            };
            self.region(panels, *cut, phase, distance)
        });
        regions.collect()
    }

    /// The tiles of a rectangle of rows that fold over the same points. At a distance lies what
    /// they fetch, if anything.
    fn region(
        &mut self,
        panels: &Panels,
        cut: [&Segment; 2],
        phase: &Phase,
        distance: Option<IndexExpr>,
    ) -> Vec<Stmt> {
        let ranges = self.ranges(cut, phase);
        let is_empty = ranges.iter().any(|r| r.len == 0);
        if is_empty && !phase.completes {
            return Vec::new();
        }
        let registers = self.lowering.registers(self.product.dtype);
        let lanes = registers.lanes(self.product.dtype);
        let columns = match panels {
            Panels::One(panel) => panel.columns,
            Panels::All => self.product.width,
        };
        let most = |k: usize| most_rows_of(registers, columns.div_ceil(lanes), cut[k].len);
        let average = |k: usize| average_rows(cut[k].len, most(k));
        let along = if average(0) > average(1) && self.product.tested.is_empty() { 0 } else { 1 };
        let mut at = cut.map(|s| IndexExpr::constant(s.start as i64));
        let mut around = None;
        if cut[1 - along].len > 1 {
            let step = self.kernel.axis("n", cut[1 - along].len);
            at[1 - along] = at[1 - along].add(&IndexExpr::axis(step));
            around = Some(step);
        }
        let mut body = Vec::new();
        let runs = tile_runs(cut[along].len, most(along));
        let n_tiles: usize = runs.iter().map(|run| run.n_tiles).sum();
        let mut share = distance.and_then(|distance| {
            let first = around.map_or(IndexExpr::default(), IndexExpr::axis);
            let first = first.scale(n_tiles as i64);
            Share::of(distance, first, n_tiles * cut[1 - along].len, columns)
        });
        for run in runs {
            let mut plan = TilePlan {
                panel: Panel { index: IndexExpr::default(), columns },
                at: at.clone(),
                along,
                n_rows: run.rows,
                ranges: &ranges,
                is_empty,
                phase,
                share: share.clone(),
            };
            share = share.map(|share| share.after(run.n_tiles));
            plan.at[along] = plan.at[along].offset(run.start as i64);
            if run.n_tiles == 1 {
                body.extend(self.tiles(panels, &mut plan));
                continue;
            }
            let step = self.kernel.axis("t", run.n_tiles);
            plan.share = plan.share.map(|share| share.at(step));
            let from = IndexExpr::axis(step).scale(run.rows as i64);
            plan.at[along] = plan.at[along].add(&from);
            let tiles = self.tiles(panels, &mut plan);
            body.push(Stmt::For { axis: step, body: tiles });
        }
        match around {
            Some(axis) => vec![Stmt::For { axis, body }],
            None => body,
        }
    }

    /// The tiles of some rows in all panels of a task.
    fn tiles(&mut self, panels: &Panels, plan: &mut TilePlan<'_>) -> Vec<Stmt> {
        if let Panels::One(panel) = panels {
            plan.panel = panel.clone();
            return vec![Stmt::Tile(self.tile(plan))];
        }
        let (len, width) = (self.product.space.extents[self.product.columns], self.product.width);
        let (n_full, rest) = (len / width, len % width);
        let step = self.kernel.axis("p", n_full);
        plan.panel = Panel { index: IndexExpr::axis(step), columns: width };
        let mut out = vec![Stmt::For { axis: step, body: vec![Stmt::Tile(self.tile(plan))] }];
        if rest > 0 {
            plan.panel = Panel { index: IndexExpr::constant(n_full as i64), columns: rest };
            out.push(Stmt::Tile(self.tile(plan)));
        }
        out
    }

    /// What is folded over, outermost first.
    fn ranges(&self, cut: [&Segment; 2], phase: &Phase) -> Vec<FoldRange> {
        let space = &self.product.space;
        let cuts = cut.iter().flat_map(|s| &s.folded);
        let mut out: Vec<FoldRange> = Vec::new();
        // An axis of one point is folded over only where windows at a border leave it out.
        let all =
            (space.n_result..space.extents.len()).filter(|a| !self.product.folded.contains(a));
        for axis in self.product.folded.iter().copied().chain(all) {
            let whole = FoldRange { axis, start: IndexExpr::default(), len: space.extents[axis] };
            let cut = cuts.clone().find(|(a, _)| *a == axis).map(|(_, range)| FoldRange {
                axis,
                start: IndexExpr::constant(range.start as i64),
                len: range.len(),
            });
            let block = phase.range.clone().filter(|r| r.axis == axis);
            out.push(block.or(cut).unwrap_or(whole));
        }
        out
    }
}
