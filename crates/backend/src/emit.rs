//! From kernels to machine code.

pub mod clif;
pub(crate) mod x86_64;

use tracelift_loops::{BufferKind, Kernel};

/// The alignment of every scratch buffer, in bytes.
pub const SCRATCH_ALIGNMENT: usize = 64;

/// The offset of each scratch buffer (`None` for operands) and the bytes of scratch memory of a
/// kernel, per thread.
pub(crate) fn scratch_layout(kernel: &Kernel) -> (Vec<Option<usize>>, usize) {
    let mut end = 0;
    let offsets = kernel.buffers.iter().map(|buffer| {
        (buffer.kind == BufferKind::Scratch).then(|| {
            let begin = end;
            let bytes = buffer.len * buffer.dtype.size_bytes();
            end += bytes.next_multiple_of(SCRATCH_ALIGNMENT);
            begin
        })
    });
    (offsets.collect(), end)
}

/// The bytes of scratch memory that a kernel needs per thread, aligned to [`SCRATCH_ALIGNMENT`].
pub fn scratch_bytes(kernel: &Kernel) -> usize {
    scratch_layout(kernel).1
}
