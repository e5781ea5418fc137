//! The kernel: transforms the inputs of a block of tiles, multiplies, transforms back.
//!
//! A task computes a block of tiles and a group of output channels:
//!
//! 1. For some channels at a time, each row of tiles is transformed down the columns of the image
//!    into `half` (`[product][column][channel]`), where columns outside the image stay 0, and from
//!    there along the rows into `inputs` (`[product][tile][channel]`).
//! 2. For each panel of output channels, register tiles multiply: `products`
//!    (`[product][tile][column]`).
//! 3. These are transformed down the columns into `half` again, and from there along the rows into
//!    the result, with the epilogue.
//!
//! Rows of tiles that lack inputs above or below, or have fewer outputs, run tile programs of their
//! own, so that no access is guarded.

use tracelift_loops::{AxisId, BufferId, Stmt, Tile};
use tracelift_scalar::{Guard, IndexExpr, Op};
use tracelift_tensor::{DType, Scalar};

use super::{
    Layer,
    blocks::{Run, Span, Window, equal_sizes},
    plan::Plan,
};
use crate::lower::{
    KernelBuilder, Lowering, StorageId,
    fold::{FoldOutputs, FoldSpace},
    register_tile::tile_runs,
    tile_builder::TileBuilder,
};

/// The most vectors of channels transformed at a time.
const MAX_CHUNK_VECTORS: usize = 4;

/// The kernel of a layer.
pub(super) fn build<'g>(
    lowering: &mut Lowering<'g>,
    layer: &Layer,
    plan: &Plan,
    weights: StorageId,
    space: &FoldSpace,
    outputs: &FoldOutputs<'_>,
) -> KernelBuilder {
    let mut kernel = KernelBuilder::new();
    let (m, n) = (plan.algorithm.n_outputs(), plan.algorithm.n_products());
    kernel.kernel.name = format!("f32_winograd_{m}x{m}_{}x{}", plan.tile_rows, plan.panel);
    let group = kernel.grid_axis("g", plan.n_groups);
    let mut axes = vec![IndexExpr::default(); layer.n_result];
    for (a, _) in &layer.batch {
        axes[*a] = IndexExpr::axis(kernel.grid_axis("i", space.extents[*a]));
    }
    let block = plan.n_blocks.map(|n| kernel.grid_axis("b", n));
    let lanes = lowering.registers(DType::F32).lanes(DType::F32);
    // Rows of tiles tell their windows apart inside.
    let rows = equal_sizes(layer.lines[0].blocks(m, plan.n_blocks[0]));
    let columns = layer.lines[1].blocks(m, plan.n_blocks[1]);
    let widest = columns.iter().map(|run| run.window.tiles).max().unwrap_or(1);
    let half_vectors = |per_lane: usize| {
        let fit = lowering.target.l1d_bytes * 3 / 4 / (4 * lanes * per_lane);
        fit.clamp(1, MAX_CHUNK_VECTORS)
    };
    let input_columns = n * (widest * m + 2);
    let in_chunk = (half_vectors(input_columns) * lanes).min(layer.filters.n_in);
    let output_columns = m * widest * n;
    let out_chunk = (half_vectors(output_columns) * lanes).min(plan.panel);
    let half = (input_columns * in_chunk).max(output_columns * out_chunk);
    let buffers = Buffers {
        half: kernel.scratch(DType::F32, half),
        inputs: kernel.scratch(DType::F32, n * n * plan.n_tiles * layer.filters.n_in),
        products: kernel.scratch(DType::F32, n * n * plan.n_tiles * plan.panel),
    };
    let mut this = Builder {
        lowering,
        kernel,
        layer,
        plan,
        weights,
        outputs,
        group,
        axes,
        buffers,
        in_chunk,
        out_chunk,
    };
    let mut body = Vec::new();
    for row_run in &rows {
        for column_run in &columns {
            let rows = Place::new(block[0], row_run);
            let columns = Place::new(block[1], column_run);
            let inner = this.block(&rows, &columns);
            let guards = guard(block[0], row_run, plan.n_blocks[0]).into_iter().chain(guard(
                block[1],
                column_run,
                plan.n_blocks[1],
            ));
            body.extend(when(guards.collect(), inner));
        }
    }
    let mut kernel = this.kernel;
    kernel.kernel.body = body;
    kernel
}

/// That an axis of `n` items is within a run of them; nothing where it always is.
fn guard<W>(axis: AxisId, run: &Run<W>, n: usize) -> Option<Guard> {
    let expr = IndexExpr::axis(axis).offset(-(run.first as i64));
    (run.count < n).then_some(Guard { expr, extent: run.count as i64 })
}

fn when(guards: Vec<Guard>, body: Vec<Stmt>) -> Vec<Stmt> {
    if guards.is_empty() || body.is_empty() { body } else { vec![Stmt::If { guards, body }] }
}

#[derive(Clone, Copy)]
pub(super) struct Buffers {
    pub(super) half: BufferId,
    pub(super) inputs: BufferId,
    pub(super) products: BufferId,
}

/// Blocks of equal shape along one axis of the image.
pub(super) struct Place {
    /// The first tile, over the grid's axis.
    pub(super) first: IndexExpr,
    /// The number of tiles.
    pub(super) tiles: usize,
    pub(super) window: Window,
}

impl Place {
    fn new(block: AxisId, run: &Run<Span>) -> Place {
        let Span { tiles, start, window } = run.window;
        let from = start as i64 - (run.first * tiles) as i64;
        let first = IndexExpr::axis(block).scale(tiles as i64).offset(from);
        Place { first, tiles, window }
    }
}

pub(super) struct Builder<'k, 'g, 'o> {
    pub(super) lowering: &'k mut Lowering<'g>,
    pub(super) kernel: KernelBuilder,
    pub(super) layer: &'k Layer,
    pub(super) plan: &'k Plan,
    pub(super) weights: StorageId,
    pub(super) outputs: &'k FoldOutputs<'o>,
    pub(super) group: AxisId,
    /// The result's axes over the kernel's; those of the image are filled in per tile program.
    pub(super) axes: Vec<IndexExpr>,
    pub(super) buffers: Buffers,
    /// The channels transformed at a time.
    pub(super) in_chunk: usize,
    pub(super) out_chunk: usize,
}

/// Some channels: the first of them and how many.
pub(super) struct Chunk {
    pub(super) first: IndexExpr,
    pub(super) len: usize,
}

impl Builder<'_, '_, '_> {
    pub(super) fn m(&self) -> usize {
        self.plan.algorithm.n_outputs()
    }

    pub(super) fn n(&self) -> usize {
        self.plan.algorithm.n_products()
    }

    /// A block of tiles, start to end.
    fn block(&mut self, rows: &Place, columns: &Place) -> Vec<Stmt> {
        let mut out = self.clear_borders(columns);
        let n_in = self.layer.filters.n_in;
        out.extend(self.chunks(n_in, self.in_chunk, &mut |this, chunk| {
            this.transform_inputs(rows, columns, chunk)
        }));
        let panel = self.plan.panel;
        let n_full = self.layer.filters.n_out / panel;
        let rest = self.layer.filters.n_out % panel;
        if n_full > 0 {
            let per_group = n_full / self.plan.n_groups;
            let axis = self.kernel.axis("p", per_group);
            let index =
                IndexExpr::axis(self.group).scale(per_group as i64).add(&IndexExpr::axis(axis));
            let body = self.panel(rows, columns, &index, panel);
            out.push(Stmt::For { axis, body });
        }
        if rest > 0 {
            let last = Run { first: self.plan.n_groups - 1, count: 1, window: () };
            let index = IndexExpr::constant(n_full as i64);
            let body = self.panel(rows, columns, &index, rest);
            let guards = guard(self.group, &last, self.plan.n_groups).into_iter().collect();
            out.extend(when(guards, body));
        }
        out
    }

    /// Runs something for `len` channels, `chunk` at a time.
    fn chunks(
        &mut self,
        len: usize,
        chunk: usize,
        body: &mut dyn FnMut(&mut Self, &Chunk) -> Vec<Stmt>,
    ) -> Vec<Stmt> {
        let (n_full, rest) = (len / chunk, len % chunk);
        let mut out = Vec::new();
        if n_full > 0 {
            let axis = self.kernel.axis("q", n_full);
            let first = IndexExpr::axis(axis).scale(chunk as i64);
            let body = body(self, &Chunk { first, len: chunk });
            out.push(Stmt::For { axis, body });
        }
        if rest > 0 {
            let first = IndexExpr::constant((n_full * chunk) as i64);
            out.extend(body(self, &Chunk { first, len: rest }));
        }
        out
    }

    /// A tile program of one row of `columns` channels with inner loops, given their coordinates.
    pub(super) fn tile<const N: usize>(
        &mut self,
        columns: usize,
        loops: [(&str, usize); N],
        emit: impl FnOnce(&mut TileBuilder<'_, '_>, &IndexExpr, [IndexExpr; N]),
    ) -> Tile {
        let (row, column) = (self.kernel.axis("r", 1), self.kernel.axis("c", columns));
        let axes = loops.map(|(name, extent)| self.kernel.axis(name, extent));
        let mut b = TileBuilder::new(self.lowering, &mut self.kernel, row, column, &axes);
        emit(&mut b, &IndexExpr::axis(column), axes.map(IndexExpr::axis));
        b.finish(1)
    }

    /// Transforms some channels of all tiles of a block.
    fn transform_inputs(&mut self, rows: &Place, columns: &Place, chunk: &Chunk) -> Vec<Stmt> {
        let y = self.kernel.axis("y", rows.tiles);
        let row = rows.first.add(&IndexExpr::axis(y));
        let mut body = Vec::new();
        for (guards, run) in self.row_runs(&row) {
            let down = self.inputs_down(&row, columns, chunk, run);
            body.extend(when(guards, vec![Stmt::Tile(down)]));
        }
        let along = self.inputs_along(y, rows, columns, chunk);
        body.push(Stmt::Tile(along));
        vec![Stmt::For { axis: y, body }]
    }

    /// The kinds of rows of tiles that a block may have, with the condition for each.
    fn row_runs(&self, row: &IndexExpr) -> Vec<(Vec<Guard>, Window)> {
        let line = self.layer.lines[0];
        let extents = self.kernel.kernel.extents();
        let (low, high) = row.bounds(&extents);
        let reached =
            |run: &Run<Window>| run.first as i64 <= high && low < (run.first + run.count) as i64;
        let runs: Vec<Run<Window>> = line.tiles(self.m()).into_iter().filter(reached).collect();
        let alone = runs.len() == 1;
        runs.into_iter()
            .map(|run| {
                let expr = row.offset(-(run.first as i64));
                let guard = Guard { expr, extent: run.count as i64 };
                (if alone { Vec::new() } else { vec![guard] }, run.window)
            })
            .collect()
    }

    /// Products and results of one panel of output channels.
    fn panel(
        &mut self,
        rows: &Place,
        columns: &Place,
        panel: &IndexExpr,
        width: usize,
    ) -> Vec<Stmt> {
        let n_tiles = rows.tiles * columns.tiles;
        let product = self.kernel.axis("u", self.n() * self.n());
        let mut body = Vec::new();
        for run in tile_runs(n_tiles, self.plan.tile_rows) {
            let axis = self.kernel.axis("m", run.n_tiles);
            let first = IndexExpr::axis(axis).scale(run.rows as i64).offset(run.start as i64);
            let tile = self.multiply(panel, width, product, &first, (run.rows, n_tiles));
            body.push(Stmt::For { axis, body: vec![Stmt::Tile(tile)] });
        }
        let mut out = vec![Stmt::For { axis: product, body }];
        out.extend(self.chunks(width, self.out_chunk, &mut |this, chunk| {
            this.transform_outputs(rows, columns, panel, chunk)
        }));
        out
    }

    /// A register tile: some tiles of the block times a panel, for one product.
    fn multiply(
        &mut self,
        panel: &IndexExpr,
        width: usize,
        product: AxisId,
        first: &IndexExpr,
        (n_rows, n_tiles): (usize, usize),
    ) -> Tile {
        let Buffers { inputs, products, .. } = self.buffers;
        let n_in = self.layer.filters.n_in;
        let n_products = self.n() * self.n();
        let product = IndexExpr::axis(product);
        let weights = self.kernel.read(self.weights, &self.lowering.out.storages);
        let (row, column) = (self.kernel.axis("r", n_rows), self.kernel.axis("c", width));
        let k = self.kernel.axis("k", n_in);
        let mut b = TileBuilder::new(self.lowering, &mut self.kernel, row, column, &[k]);
        let sum = b.accumulator(Scalar::F32(0.0));
        let tile = product.scale(n_tiles as i64).add(first).add(&IndexExpr::axis(row));
        let x = b.load(inputs, tile.scale(n_in as i64).add(&IndexExpr::axis(k)), &[], None);
        let n_lines = self.layer.filters.n_lines();
        let start = panel.scale((n_products * n_lines * self.plan.panel) as i64);
        let inner = product.scale(n_lines as i64).add(&IndexExpr::axis(k)).scale(width as i64);
        let at = start.add(&inner).add(&IndexExpr::axis(column)).simplify(b.extents());
        let y = b.load(weights, at, &[], None);
        let next = b.apply(Op::Fma, &[x, y, sum]);
        b.update(sum, next);
        b.start_finish();
        let at = tile.scale(self.plan.panel as i64).add(&IndexExpr::axis(column));
        b.store(products, at, sum);
        b.finish(4)
    }

    /// Transforms some output channels of all tiles of a block.
    fn transform_outputs(
        &mut self,
        rows: &Place,
        columns: &Place,
        panel: &IndexExpr,
        chunk: &Chunk,
    ) -> Vec<Stmt> {
        let y = self.kernel.axis("y", rows.tiles);
        let row = rows.first.add(&IndexExpr::axis(y));
        let channel = panel.scale(self.plan.panel as i64).add(&chunk.first);
        let mut body = Vec::new();
        for (guards, n_rows) in self.output_runs(&row) {
            let mut inner = vec![Stmt::Tile(self.outputs_down(y, rows, columns, chunk, n_rows))];
            let m = self.m();
            let last = columns.window.outputs;
            let n_whole = columns.tiles - usize::from(last < m);
            let parts = [(0, n_whole, m), (n_whole, columns.tiles - n_whole, last)];
            for part in parts.into_iter().filter(|(_, count, _)| *count > 0) {
                let tile = self.outputs_along(&row, columns, &channel, chunk, n_rows, part);
                inner.push(Stmt::Tile(tile));
            }
            body.extend(when(guards, inner));
        }
        vec![Stmt::For { axis: y, body }]
    }

    /// The rows of tiles that a block may have, by the number of their outputs.
    fn output_runs(&self, row: &IndexExpr) -> Vec<(Vec<Guard>, usize)> {
        let line = self.layer.lines[0];
        let m = self.m();
        let n_tiles = line.n_tiles(m);
        let last = line.n_outputs - (n_tiles - 1) * m;
        let (low, high) = row.bounds(&self.kernel.kernel.extents());
        let n_whole = (n_tiles - usize::from(last < m)) as i64;
        let at = |from: i64, count: i64| Guard { expr: row.offset(-from), extent: count };
        match (low < n_whole, high >= n_whole) {
            (true, false) => vec![(Vec::new(), m)],
            (false, _) => vec![(Vec::new(), last)],
            (true, true) => {
                vec![(vec![at(0, n_whole)], m), (vec![at(n_whole, n_tiles as i64 - n_whole)], last)]
            }
        }
    }
}
