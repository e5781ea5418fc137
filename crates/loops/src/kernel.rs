//! Kernels: a parallel grid, loops, and tile programs at their heart.
//!
//! Buffers are flat: an index is one quasi-affine expression counting elements. Axes are numbered
//! across the whole kernel, so that index expressions of any statement speak of the same axes.

use tracelift_scalar::{Guard, IndexExpr};
use tracelift_tensor::DType;

use crate::Tile;

/// An axis of a kernel: a position in [`Kernel::axes`].
pub type AxisId = usize;

/// A buffer of a kernel: a position in [`Kernel::buffers`].
pub type BufferId = usize;

/// A range `0..extent` that a grid, a loop or a tile runs over.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Axis {
    /// The name in text form.
    pub name: String,
    /// The number of coordinates.
    pub extent: usize,
}

/// What a kernel does with a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BufferKind {
    /// An operand it reads.
    Input,
    /// An operand it writes, and may read back what it wrote.
    Output,
    /// Memory of its own, uninitialised at the start of each task.
    Scratch,
}

/// Memory that a kernel reads or writes; no two buffers overlap unless both are inputs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Buffer {
    /// The name in text form.
    pub name: String,
    /// The type of an element.
    pub dtype: DType,
    /// The number of elements.
    pub len: usize,
    /// What the kernel does with it.
    pub kind: BufferKind,
}

/// A step of a kernel's body.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Stmt {
    /// Runs the body for every coordinate of an axis in ascending order.
    For {
        /// The axis.
        axis: AxisId,
        /// What runs.
        body: Vec<Stmt>,
    },
    /// Runs the body where all guards hold.
    If {
        /// Conditions on the axes in scope.
        guards: Vec<Guard>,
        /// What runs.
        body: Vec<Stmt>,
    },
    /// Runs a tile program.
    Tile(Tile),
}

/// A kernel: for every task of the grid, in any order and on any thread, its body.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Kernel {
    /// The name, such as `f32_gemm_4x8`.
    pub name: String,
    /// The operands in the order of the entry's table, then scratch.
    pub buffers: Vec<Buffer>,
    /// Every axis of grid, loops and tiles.
    pub axes: Vec<Axis>,
    /// The axes of the grid, outermost first; a task is a row-major position among them.
    pub grid: Vec<AxisId>,
    /// What each task does.
    pub body: Vec<Stmt>,
}

impl Kernel {
    /// Adds an axis.
    pub fn add_axis(&mut self, name: &str, extent: usize) -> AxisId {
        self.axes.push(Axis { name: name.to_string(), extent });
        self.axes.len() - 1
    }

    /// Adds a buffer.
    pub fn add_buffer(
        &mut self,
        name: &str,
        dtype: DType,
        len: usize,
        kind: BufferKind,
    ) -> BufferId {
        self.buffers.push(Buffer { name: name.to_string(), dtype, len, kind });
        self.buffers.len() - 1
    }

    /// The number of tasks.
    pub fn n_tasks(&self) -> usize {
        self.grid.iter().map(|&a| self.axes[a].extent).product()
    }

    /// The extents of all axes, as index expressions want them.
    pub fn extents(&self) -> Vec<usize> {
        self.axes.iter().map(|a| a.extent).collect()
    }

    /// Calls `f` with every tile program of the body in order.
    pub fn for_each_tile<'k>(&'k self, f: &mut dyn FnMut(&'k Tile)) {
        fn walk<'k>(stmts: &'k [Stmt], f: &mut dyn FnMut(&'k Tile)) {
            for stmt in stmts {
                match stmt {
                    Stmt::For { body, .. } | Stmt::If { body, .. } => walk(body, f),
                    Stmt::Tile(tile) => f(tile),
                }
            }
        }
        walk(&self.body, f);
    }
}

/// The place of one element: `index + Σ stride · value`.
///
/// The dynamic part serves gather and scatter.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    /// The buffer.
    pub buffer: BufferId,
    /// The static part, in elements.
    pub index: IndexExpr,
    /// Values of dtype `i64` with the elements between consecutive ones.
    pub dynamic: Vec<(crate::ValueId, i64)>,
}
