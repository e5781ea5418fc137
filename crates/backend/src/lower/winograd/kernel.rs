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
    blocks::{Run, Span, Window},
    plan::Plan,
};
use crate::lower::{
    KernelBuilder, Lowering, StorageId,
    fold::{FoldOutputs, FoldSpace, store_values},
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
    let rows = layer.lines[0].blocks(m, plan.n_blocks[0]);
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
struct Buffers {
    half: BufferId,
    inputs: BufferId,
    products: BufferId,
}

/// Blocks of equal shape along one axis of the image.
struct Place {
    /// The first tile, over the grid's axis.
    first: IndexExpr,
    /// The number of tiles.
    tiles: usize,
    window: Window,
}

impl Place {
    fn new(block: AxisId, run: &Run<Span>) -> Place {
        let Span { tiles, start, window } = run.window;
        let from = start as i64 - (run.first * tiles) as i64;
        let first = IndexExpr::axis(block).scale(tiles as i64).offset(from);
        Place { first, tiles, window }
    }
}

struct Builder<'k, 'g, 'o> {
    lowering: &'k mut Lowering<'g>,
    kernel: KernelBuilder,
    layer: &'k Layer,
    plan: &'k Plan,
    weights: StorageId,
    outputs: &'k FoldOutputs<'o>,
    group: AxisId,
    /// The result's axes over the kernel's; those of the image are filled in per tile program.
    axes: Vec<IndexExpr>,
    buffers: Buffers,
    /// The channels transformed at a time.
    in_chunk: usize,
    out_chunk: usize,
}

/// Some channels: the first of them and how many.
struct Chunk {
    first: IndexExpr,
    len: usize,
}

impl Builder<'_, '_, '_> {
    fn m(&self) -> usize {
        self.plan.algorithm.n_outputs()
    }

    fn n(&self) -> usize {
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
    fn tile<const N: usize>(
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

    /// Sets the columns of `half` outside the image to 0.
    fn clear_borders(&mut self, columns: &Place) -> Vec<Stmt> {
        let (n, chunk, half) = (self.n(), self.in_chunk, self.buffers.half);
        let width = columns.tiles * self.m() + 2;
        let Window { before, present, .. } = columns.window;
        let gaps = [(0, before), (before + present, width)];
        let mut out = Vec::new();
        for (from, to) in gaps.into_iter().filter(|(from, to)| from < to) {
            let tile = self.tile(chunk, [("u", n), ("x", to - from)], |b, c, [u, x]| {
                let zero = b.constant(Scalar::F32(0.0));
                let column = u.scale(width as i64).add(&x).offset(from as i64);
                b.store(half, column.scale(chunk as i64).add(c), zero);
            });
            out.push(Stmt::Tile(tile));
        }
        out
    }

    /// Transforms some channels of all tiles of a block.
    fn transform_inputs(&mut self, rows: &Place, columns: &Place, chunk: &Chunk) -> Vec<Stmt> {
        let y = self.kernel.axis("y", rows.tiles);
        let row = rows.first.add(&IndexExpr::axis(y));
        let mut body = Vec::new();
        for (guards, run) in self.row_runs(&row, rows) {
            let down = self.inputs_down(&row, columns, chunk, run);
            body.extend(when(guards, vec![Stmt::Tile(down)]));
        }
        let along = self.inputs_along(y, rows, columns, chunk);
        body.push(Stmt::Tile(along));
        vec![Stmt::For { axis: y, body }]
    }

    /// The kinds of rows of tiles that a block may have, with the condition for each.
    fn row_runs(&self, row: &IndexExpr, rows: &Place) -> Vec<(Vec<Guard>, Window)> {
        let line = self.layer.lines[0];
        let extents = self.kernel.kernel.extents();
        let (low, high) = row.bounds(&extents);
        let reached =
            |run: &Run<Window>| run.first as i64 <= high && low < (run.first + run.count) as i64;
        let runs: Vec<Run<Window>> = line.tiles(self.m()).into_iter().filter(reached).collect();
        let _ = rows;
        let alone = runs.len() == 1;
        runs.into_iter()
            .map(|run| {
                let expr = row.offset(-(run.first as i64));
                let guard = Guard { expr, extent: run.count as i64 };
                (if alone { Vec::new() } else { vec![guard] }, run.window)
            })
            .collect()
    }

    /// Down the columns: image to `half`.
    fn inputs_down(
        &mut self,
        row: &IndexExpr,
        columns: &Place,
        chunk: &Chunk,
        window: Window,
    ) -> Tile {
        let (layer, algorithm) = (self.layer, self.plan.algorithm);
        let (m, n, stride) = (self.m(), self.n(), self.in_chunk as i64);
        let (half, before, present) =
            (self.buffers.half, columns.window.before, columns.window.present);
        let width = (columns.tiles * m + 2) as i64;
        let image = self.kernel.read(layer.image, &self.lowering.out.storages);
        let [down, along] = layer.distances;
        let batch = layer.batch.iter().fold(IndexExpr::constant(layer.base), |sum, (a, stride)| {
            sum.add(&self.axes[*a].scale(*stride))
        });
        let first_row = row.scale(m as i64).offset(-layer.lines[0].pad);
        let first_column = columns.first.scale(m as i64).offset(before as i64 - layer.lines[1].pad);
        let corner =
            batch.add(&first_row.scale(down)).add(&first_column.scale(along)).add(&chunk.first);
        self.tile(chunk.len, [("x", present)], |b, c, [x]| {
            let at = corner.add(&x.scale(along)).add(c);
            let inputs: Vec<_> = (0..n)
                .map(|i| {
                    let inside = (window.before..window.before + window.present).contains(&i);
                    inside.then(|| {
                        let at = at.offset(i as i64 * down).simplify(b.extents());
                        b.load(image, at, &[], None)
                    })
                })
                .collect();
            let results = algorithm.transform_input(b, &inputs);
            for (u, value) in results.into_iter().enumerate() {
                let column = x.offset(u as i64 * width + before as i64);
                b.store(half, column.scale(stride).add(c), value);
            }
        })
    }

    /// Along the rows: `half` to `inputs`.
    fn inputs_along(&mut self, y: AxisId, rows: &Place, columns: &Place, chunk: &Chunk) -> Tile {
        let algorithm = self.plan.algorithm;
        let (m, n, stride) = (self.m(), self.n(), self.in_chunk as i64);
        let Buffers { half, inputs, .. } = self.buffers;
        let width = (columns.tiles * m + 2) as i64;
        let n_tiles = (rows.tiles * columns.tiles) as i64;
        let n_in = self.layer.filters.n_in as i64;
        self.tile(chunk.len, [("u", n), ("x", columns.tiles)], |b, c, [u, x]| {
            let column = u.scale(width).add(&x.scale(m as i64));
            let window: Vec<_> = (0..n as i64)
                .map(|j| {
                    let at = column.offset(j).scale(stride).add(c);
                    Some(b.load(half, at, &[], None))
                })
                .collect();
            let results = algorithm.transform_input(b, &window);
            let tile = IndexExpr::axis(y).scale(columns.tiles as i64).add(&x);
            for (v, value) in results.into_iter().enumerate() {
                let product = u.scale(n as i64).offset(v as i64);
                let at = product.scale(n_tiles).add(&tile).scale(n_in);
                b.store(inputs, at.add(&chunk.first).add(c), value);
            }
        })
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
        let n_blocks = n_tiles.div_ceil(self.plan.tile_rows);
        let (size, n_larger) = (n_tiles / n_blocks, n_tiles % n_blocks);
        let runs = [(0, n_larger, size + 1), (n_larger, n_blocks - n_larger, size)];
        let mut body = Vec::new();
        for (before, count, size) in runs.into_iter().filter(|(_, count, _)| *count > 0) {
            let axis = self.kernel.axis("m", count);
            let start = IndexExpr::constant((before * (size + 1)) as i64);
            let first = IndexExpr::axis(axis).scale(size as i64).add(&start);
            let tile = self.multiply(panel, width, product, &first, (size, n_tiles));
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
        let start = panel.scale((n_products * n_in * self.plan.panel) as i64);
        let inner = product.scale(n_in as i64).add(&IndexExpr::axis(k)).scale(width as i64);
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
        let mut kinds: Vec<(Vec<Guard>, usize)> = Vec::new();
        for (guards, window) in self.output_runs(&row, rows) {
            kinds.push((guards, window));
        }
        let mut body = Vec::new();
        for (guards, n_rows) in kinds {
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
    fn output_runs(&self, row: &IndexExpr, _rows: &Place) -> Vec<(Vec<Guard>, usize)> {
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

    /// Down the columns: `products` to `half`, `[row][tile][product]`.
    fn outputs_down(
        &mut self,
        y: AxisId,
        rows: &Place,
        columns: &Place,
        chunk: &Chunk,
        n_rows: usize,
    ) -> Tile {
        let algorithm = self.plan.algorithm;
        let (n, panel, stride) = (self.n(), self.plan.panel as i64, self.out_chunk as i64);
        let Buffers { half, products, .. } = self.buffers;
        let n_tiles = (rows.tiles * columns.tiles) as i64;
        let n_across = columns.tiles as i64;
        self.tile(chunk.len, [("u", n), ("x", columns.tiles)], |b, c, [u, x]| {
            let tile = IndexExpr::axis(y).scale(n_across).add(&x);
            let column: Vec<_> = (0..n)
                .map(|i| {
                    let product = u.offset((i * n) as i64);
                    let at = product.scale(n_tiles).add(&tile).scale(panel);
                    b.load(products, at.add(&chunk.first).add(c), &[], None)
                })
                .collect();
            let results = algorithm.transform_output(b, &column, n_rows);
            for (o, value) in results.into_iter().enumerate() {
                let at = x.offset(o as i64 * n_across).scale(n as i64).add(&u);
                b.store(half, at.scale(stride).add(c), value);
            }
        })
    }

    /// Along the rows: `half` to the result, with the epilogue, for `count` tiles from `first` with
    /// `n_columns` outputs each.
    fn outputs_along(
        &mut self,
        row: &IndexExpr,
        columns: &Place,
        channel: &IndexExpr,
        chunk: &Chunk,
        n_rows: usize,
        (first, count, n_columns): (usize, usize, usize),
    ) -> Tile {
        let (algorithm, outputs, layer) = (self.plan.algorithm, self.outputs, self.layer);
        let (m, n, stride) = (self.m() as i64, self.n() as i64, self.out_chunk as i64);
        let half = self.buffers.half;
        let n_across = columns.tiles as i64;
        let (r, c) = (self.kernel.axis("r", 1), self.kernel.axis("c", chunk.len));
        let axes = [self.kernel.axis("o", n_rows), self.kernel.axis("x", count)];
        let [o, x] = axes.map(IndexExpr::axis);
        let (c_at, x) = (IndexExpr::axis(c), x.offset(first as i64));
        let mut index = self.axes.clone();
        index[layer.axes[0]] = row.scale(m).add(&o);
        index[layer.n_result - 1] = channel.add(&c_at);
        let mut b = TileBuilder::new(self.lowering, &mut self.kernel, r, c, &axes);
        let products: Vec<_> = (0..n)
            .map(|u| {
                let at = o.scale(n_across).add(&x).scale(n).offset(u);
                b.load(half, at.scale(stride).add(&c_at), &[], None)
            })
            .collect();
        let results = algorithm.transform_output(&mut b, &products, n_columns);
        for (j, value) in results.into_iter().enumerate() {
            index[layer.axes[1]] = columns.first.add(&x).scale(m).offset(j as i64);
            store_values(&mut b, outputs, value, &index);
        }
        b.finish(1)
    }
}
