//! The four transforms of the kernel: down the columns and along the rows, in and out.

use tracelift_loops::{AxisId, Stmt, Tile};
use tracelift_scalar::IndexExpr;
use tracelift_tensor::Scalar;

use super::{
    blocks::Window,
    kernel::{Buffers, Builder, Chunk, Place},
};
use crate::lower::{fold::store_values, tile_builder::TileBuilder};

impl Builder<'_, '_, '_> {
    /// Sets the columns of `half` outside the image to 0.
    pub(super) fn clear_borders(&mut self, columns: &Place) -> Vec<Stmt> {
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

    /// Down the columns: image to `half`.
    pub(super) fn inputs_down(
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
    pub(super) fn inputs_along(
        &mut self,
        y: AxisId,
        rows: &Place,
        columns: &Place,
        chunk: &Chunk,
    ) -> Tile {
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

    /// Down the columns: `products` to `half`, `[row][tile][product]`.
    pub(super) fn outputs_down(
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
    pub(super) fn outputs_along(
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
