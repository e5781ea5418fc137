//! What a product reads next of its right operand, fetched while it computes.
//!
//! A panel, or a block of one, comes from memory when the first tile reads it and from the
//! second-level cache for the others. So that the first one need not wait, the tiles before it fetch
//! it, each a share.

use tracelift_scalar::IndexExpr;

use super::{FoldBlocks, Phase, Product, RightOperand};
use crate::lower::KernelBuilder;

/// The fewest tiles that what is read next is shared among: fewer have no time for it.
const MIN_TILES: usize = 4;
/// The smallest right operand worth fetching, in bytes: others stay in the caches of a core.
const MIN_FETCHED: usize = 256 << 10;

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
