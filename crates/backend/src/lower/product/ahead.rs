//! What a product reads next of its operands, fetched while it computes.
//!
//! A panel of the right operand, or a block of one, comes from memory when the first tile reads it
//! and from the second-level cache for the others. So that the first one need not wait, the tiles
//! before it fetch it, each a share.
//!
//! Windows over an input of the program, such as an image, read few elements in each of many places,
//! which a processor does not foresee: each tile fetches what the same tile of the next task reads.

use tracelift_scalar::IndexExpr;

use super::{FoldBlocks, Nest, Phase, Product, RightOperand, tile::TilePlan};
use crate::lower::{KernelBuilder, StorageKind};

/// The fewest tiles that what is read next is shared among: fewer have no time for it.
const MIN_TILES: usize = 4;
/// The smallest operand worth fetching, in bytes: others stay in the caches of a core.
const MIN_FETCHED: usize = 256 << 10;
/// The bytes that are fetched at once.
const LINE_BYTES: i64 = 64;
/// The most lines that the elements of a tile's rows at one point lie in: where they lie further
/// apart, a row is read at one place after another.
const MAX_LINES: i64 = 2;
/// The most points of windows whose tiles would wait for memory: longer sums leave it time enough.
const MAX_POINTS: usize = 64;

/// Where what a task reads next lies.
pub(super) struct Next {
    /// From the start of a task's panel to the start of the next task's, in elements.
    to_next_task: IndexExpr,
    /// The elements of a panel at one position of each axis folded over, by axis.
    strides: Vec<(usize, i64)>,
}

impl Next {
    /// What follows a panel of weights, where they are many; `None` where they are few, or no panels.
    /// The grid has all its axes, of which those after that of panels share one.
    pub(super) fn of(product: &Product, kernel: &KernelBuilder, panel: usize) -> Option<Next> {
        let RightOperand::Panels { .. } = product.right else { return None };
        let extents = &product.space.extents;
        let row = product.row_of_panel(product.width);
        let mut strides = Vec::new();
        let mut depth = 1;
        for &a in product.folded.iter().rev() {
            strides.push((a, (depth * row) as i64));
            depth *= extents[a];
        }
        let n_bytes = depth * extents[product.columns] * product.dtype.size_bytes();
        if n_bytes < MIN_FETCHED {
            return None;
        }
        let (mut task, mut n_tasks) = (IndexExpr::default(), 1);
        for &axis in kernel.kernel.grid.iter().skip_while(|&&axis| axis != panel).skip(1) {
            let extent = kernel.kernel.axes[axis].extent;
            task = task.scale(extent as i64).add(&IndexExpr::axis(axis));
            n_tasks *= extent;
        }
        let to_panel = task.offset(1).div(n_tasks as i64, &kernel.kernel.extents());
        Some(Next { to_next_task: to_panel.scale((depth * row) as i64), strides })
    }

    /// From what a tile reads in a phase to what is read after the phase, in elements.
    pub(super) fn distance(&self, blocks: Option<FoldBlocks>, phase: &Phase) -> IndexExpr {
        let Some(blocks) = blocks else { return self.to_next_task.clone() };
        let stride = self.strides.iter().find(|(a, _)| *a == blocks.axis).map_or(0, |(_, s)| *s);
        let to_next_block = stride * blocks.len as i64;
        match phase.completes {
            false => IndexExpr::constant(to_next_block),
            true => self.to_next_task.offset(-to_next_block * (blocks.n_blocks as i64 - 1)),
        }
    }
}

/// A tile's share of what is read next.
#[derive(Clone, Debug)]
pub(super) struct Share {
    /// From what the tile reads to what is read next, in elements.
    pub(super) distance: IndexExpr,
    /// Which of the shares it is.
    pub(super) ordinal: IndexExpr,
    /// The elements of a share for each point folded over.
    pub(super) per_point: usize,
}

impl Share {
    /// The share of the first of some tiles, which are `n_tiles` together, of panels of so many
    /// columns; `None` where they are too few.
    pub(super) fn of(
        distance: IndexExpr,
        ordinal: IndexExpr,
        n_tiles: usize,
        columns: usize,
    ) -> Option<Share> {
        let per_point = columns.div_ceil(n_tiles.max(1));
        (n_tiles >= MIN_TILES).then_some(Share { distance, ordinal, per_point })
    }

    /// The share of a tile so many tiles later.
    pub(super) fn after(self, n_tiles: usize) -> Share {
        Share { ordinal: self.ordinal.offset(n_tiles as i64), ..self }
    }

    /// The share of the tile at a position of an axis.
    pub(super) fn at(self, axis: usize) -> Share {
        Share { ordinal: self.ordinal.add(&IndexExpr::axis(axis)), ..self }
    }
}

impl Nest<'_, '_, '_> {
    /// From what a tile reads of its left operand at a point to what it fetches meanwhile, in
    /// elements: the lines that the same tile of the next task reads, if these come from memory.
    pub(super) fn rows_ahead(&self, plan: &TilePlan<'_>) -> Vec<i64> {
        let product = self.product;
        let storage = &self.lowering.out.storages[product.left.storage];
        let is_far =
            matches!(storage.kind, StorageKind::Input(_)) && storage.size_bytes() >= MIN_FETCHED;
        let [outer, inner] = product.rows[..] else { return Vec::new() };
        let (axis, block) = self.block;
        let is_only_block = self.kernel.kernel.axes[axis].extent == 1;
        let n_points: usize = product.folded.iter().map(|&a| product.space.extents[a]).product();
        let is_short = n_points <= MAX_POINTS && product.tested.is_empty();
        if !is_far || is_only_block || plan.along == 0 || !is_short {
            return Vec::new();
        }
        let strides = [outer, inner].map(|a| product.left.position.stride_of(a));
        let [Some(down), Some(right)] = strides else { return Vec::new() };
        let size = product.dtype.size_bytes() as i64;
        let n_lines = (plan.n_rows as i64 * right * size + LINE_BYTES - 1) / LINE_BYTES;
        if !(1..=MAX_LINES).contains(&n_lines) {
            return Vec::new();
        }
        (0..n_lines).map(|line| down * block as i64 + line * LINE_BYTES / size).collect()
    }
}
