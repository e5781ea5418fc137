//! The kernel that transforms filters when the program runs.
//!
//! Transformed filters are larger than the weights by 16/9 or 4. Where that is much memory, the
//! program keeps the weights and transforms them anew for every run, into memory that other values
//! share.
//!
//! In: taps as `[panel][input channel][tap][column]`.  Out: transformed filters as [`Filters::pack`]
//! has them.

use tracelift_loops::Stmt;
use tracelift_scalar::IndexExpr;
use tracelift_tensor::DType;

use super::{
    algorithm::{Algorithm, TAPS},
    plan::Plan,
    weights::Filters,
};
use crate::{
    lower::{KernelBuilder, Lowering, StorageId, product::within, tile_builder::TileBuilder},
    recipe::{Pack, StridedCopy},
};

/// The most input channels that a task transforms.
const TASK_CHANNELS: usize = 32;

/// How the weights are laid out for the kernel: a panel's taps side by side.
pub(super) fn pack_taps(filters: &Filters, panel: usize) -> Pack {
    let [row, column, input, output] = filters.strides;
    let taps = [(filters.n_in, input), (TAPS, row), (TAPS, column)];
    let (n_full, rest) = (filters.n_out / panel, filters.n_out % panel);
    let copy = |first: usize, n_panels: usize, width: usize| StridedCopy {
        base: filters.base + first as i64 * output,
        dims: [(n_panels, panel as i64 * output)]
            .into_iter()
            .chain(taps)
            .chain([(width, output)])
            .collect(),
        pad: 0,
    };
    let whole = (n_full > 0).then(|| copy(0, n_full, panel));
    let last = (rest > 0).then(|| copy(n_full * panel, 1, rest));
    Pack::Copies(whole.into_iter().chain(last).collect())
}

/// The kernel from `taps` to `transformed`; a task has a panel and some input channels.
pub(super) fn build(
    lowering: &mut Lowering<'_>,
    filters: &Filters,
    plan: &Plan,
    taps: StorageId,
    transformed: StorageId,
) -> KernelBuilder {
    let mut kernel = KernelBuilder::new();
    let m = plan.algorithm.n_outputs();
    kernel.kernel.name = format!("f32_winograd_{m}x{m}_filters");
    let Filters { n_in, n_out, .. } = *filters;
    let (n_full, rest) = (n_out / plan.panel, n_out % plan.panel);
    let n_panels = n_full + usize::from(rest > 0);
    let n_channels = (1..=TASK_CHANNELS.min(n_in)).rev().find(|n| n_in.is_multiple_of(*n));
    let n_channels = n_channels.unwrap_or(1);
    let panel = kernel.grid_axis("p", n_panels);
    let block = kernel.grid_axis("q", n_in / n_channels);
    let mut this = Builder { lowering, kernel, filters, plan, taps, transformed, n_channels };
    let first = IndexExpr::axis(block).scale(n_channels as i64);
    let mut body = Vec::new();
    if n_full > 0 {
        let tiles = this.panel(&IndexExpr::axis(panel), &first, plan.panel);
        body.extend(within(panel, 0..n_full, n_panels, tiles));
    }
    if rest > 0 {
        let tiles = this.panel(&IndexExpr::constant(n_full as i64), &first, rest);
        body.extend(within(panel, n_full..n_panels, n_panels, tiles));
    }
    let mut kernel = this.kernel;
    kernel.kernel.body = body;
    kernel
}

struct Builder<'k, 'g> {
    lowering: &'k mut Lowering<'g>,
    kernel: KernelBuilder,
    filters: &'k Filters,
    plan: &'k Plan,
    taps: StorageId,
    transformed: StorageId,
    /// The input channels of a task.
    n_channels: usize,
}

impl Builder<'_, '_> {
    /// Transforms a panel of `width` columns for the task's input channels.
    fn panel(&mut self, panel: &IndexExpr, channel: &IndexExpr, width: usize) -> Vec<Stmt> {
        let lanes = self.lowering.registers(DType::F32).lanes(DType::F32);
        let (n_full, rest) = (width / lanes, width % lanes);
        let mut out = Vec::new();
        if n_full > 0 {
            out.push(self.tiles(panel, channel, width, (0, n_full, lanes)));
        }
        if rest > 0 {
            out.push(self.tiles(panel, channel, width, (n_full * lanes, 1, rest)));
        }
        out
    }

    /// The same for `count` times `columns` columns from `from` on: lines of a product that follow
    /// each other in memory are written one after another.
    fn tiles(
        &mut self,
        panel: &IndexExpr,
        channel: &IndexExpr,
        width: usize,
        (from, count, columns): (usize, usize, usize),
    ) -> Stmt {
        let n_lines = self.filters.n_lines();
        let algorithm = self.plan.algorithm;
        let n = algorithm.n_products();
        let taps = self.kernel.read(self.taps, &self.lowering.out.storages);
        let transformed = self.kernel.write(self.transformed, &self.lowering.out.storages);
        let (row, column) = (self.kernel.axis("r", 1), self.kernel.axis("c", columns));
        let (k, v) = (self.kernel.axis("k", self.n_channels), self.kernel.axis("v", count));
        let channel = channel.add(&IndexExpr::axis(k));
        let part = IndexExpr::axis(v).scale(columns as i64).offset(from as i64);
        let column_at = part.add(&IndexExpr::axis(column));
        let panel_columns = panel.scale(self.plan.panel as i64);
        let mut b = TileBuilder::new(self.lowering, &mut self.kernel, row, column, &[k, v]);
        let half = [0, 1, 2].map(|j| {
            let tap = |b: &mut TileBuilder<'_, '_>, i: usize| {
                let line = channel.scale((TAPS * TAPS) as i64).offset((i * TAPS + j) as i64);
                let first = panel_columns.scale((self.filters.n_in * TAPS * TAPS) as i64);
                let at = first.add(&line.scale(width as i64));
                let at = at.add(&column_at).simplify(b.extents());
                b.load(taps, at, &[], None)
            };
            let column = [0, 1, 2].map(|i| tap(&mut b, i));
            algorithm.transform_filter(&mut b, column)
        });
        for i in 0..n {
            let row = half.each_ref().map(|column| column[i]);
            let line = algorithm.transform_filter(&mut b, row);
            for (j, value) in line.into_iter().enumerate() {
                let line = channel.offset(((i * n + j) * n_lines) as i64);
                let first = panel_columns.scale((n * n * n_lines) as i64);
                let at = first.add(&line.scale(width as i64));
                let at = at.add(&column_at).simplify(b.extents());
                b.store(transformed, at, value);
            }
        }
        Stmt::Tile(b.finish(1))
    }
}

/// The bytes of transformed filters.
pub(super) fn transformed_bytes(filters: &Filters, algorithm: Algorithm) -> usize {
    4 * algorithm.n_products().pow(2) * filters.n_lines() * filters.n_out
}
