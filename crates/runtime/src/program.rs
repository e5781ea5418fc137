//! Compiled programs: launches in order over one arena.

use std::sync::Arc;

use tracelift_tensor::{DType, Tensor};

use crate::{Context, machine::Code};

/// The entry of a kernel: runs the tasks `begin..end` of its grid.
///
/// `operands` points to one address per operand, then one for the scratch memory of this thread.
pub type Entry = unsafe extern "C" fn(operands: *const *mut u8, begin: u64, end: u64);

/// Where an operand of a launch lies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Slot {
    /// At this byte offset of the arena.
    Arena(usize),
    /// The program's input of this number.
    Input(usize),
    /// The program's output of this number.
    Output(usize),
    /// The constant of this number.
    Constant(usize),
}

/// One kernel applied to operands.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The number of its kernel in [`Plan::kernels`].
    pub kernel: usize,
    /// The number of tasks in the grid.
    pub n_tasks: u64,
    /// Its operands in the order of the kernel's buffers.
    pub operands: Vec<Slot>,
    /// The source nodes it computes, for profiles and errors.
    pub label: Arc<str>,
}

/// An input or output of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Port {
    /// The name.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// The extents.
    pub shape: Vec<usize>,
}

impl Port {
    /// The bytes of a tensor of this type.
    pub fn size_bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size_bytes()
    }
}

/// Everything a run needs but the machine code.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The launches in order.
    pub launches: Vec<Launch>,
    /// The name of each kernel, as the profiler and the object file show it.
    pub kernels: Vec<String>,
    /// The inputs in order.
    pub inputs: Vec<Port>,
    /// The outputs in order.
    pub outputs: Vec<Port>,
    /// The constants: weights as packed, tables.
    pub constants: Vec<Tensor>,
    /// The size of the arena in bytes; its start is aligned to 64.
    pub arena_bytes: usize,
    /// The largest scratch any kernel needs per thread, in bytes, aligned to 64.
    pub scratch_bytes: usize,
    /// Whether it is so little work that waking another thread would take longer.
    pub runs_alone: bool,
}

/// A compiled program; cloning shares code and constants.
///
/// Threads may run it at the same time, each with a context of its own.
#[derive(Clone)]
pub struct Program {
    pub(crate) code: Arc<Code>,
}

impl Program {
    /// The launches, inputs, outputs and memory.
    pub fn plan(&self) -> &Plan {
        &self.code.plan
    }

    /// What a caller needs to run this: arena, scratch, and `n_threads` threads with the caller's.
    pub fn context(&self, n_threads: usize) -> Context {
        Context::new(&self.code, n_threads)
    }
}
