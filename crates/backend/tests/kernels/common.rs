//! Runs kernels in memory that notices accesses outside its buffers.

use std::sync::Arc;

use tracelift_backend::{CompileOptions, JitCode, scratch_bytes};
use tracelift_loops::{AxisId, BufferId, BufferKind, Inst, Kernel, Place, Stmt, Tile, ValueId};
use tracelift_runtime::Entry;
use tracelift_scalar::IndexExpr;
use tracelift_tensor::{Scalar, Target};

/// Bytes of canary on both sides of a buffer.
const MARGIN: usize = 64;
const CANARY: u8 = 0xa5;

/// How the tests compile.
pub fn options() -> CompileOptions {
    CompileOptions { target: Target::host().expect("a supported machine"), threads: 1 }
}

/// This machine with each width of vectors it has: the CLIF emitter and the tile assembler's.
pub fn targets() -> Vec<Target> {
    let host = Target::host().expect("a supported machine");
    let widths = [16, 32, 64].into_iter().filter(|&bytes| bytes <= host.vector_bytes);
    widths.map(|vector_bytes| Target { vector_bytes, ..host }).collect()
}

/// A load of an element that is always there.
pub fn load(kernel: &Kernel, buffer: BufferId, index: IndexExpr) -> Inst {
    let fill = Scalar::zero(kernel.buffers[buffer].dtype);
    Inst::Load { place: Place { buffer, index, dynamic: Vec::new() }, guards: Vec::new(), fill }
}

/// A store of an element.
pub fn store(buffer: BufferId, index: IndexExpr, value: ValueId) -> Inst {
    let place = Place { buffer, index, dynamic: Vec::new() };
    Inst::Store { place, guards: Vec::new(), condition: None, value }
}

/// The kernel of one tile without loops.
pub fn of_tile(mut kernel: Kernel, rows: AxisId, columns: AxisId, insts: Vec<Inst>) -> Kernel {
    let n_init = insts.len();
    let tile = Tile { rows, columns, loops: Vec::new(), unroll: 1, insts, n_init, n_body: 0 };
    kernel.body = vec![Stmt::Tile(tile)];
    kernel
}

/// Compiles kernels for this machine.
pub fn compile(kernels: &[Kernel], target: Target) -> Arc<JitCode> {
    match JitCode::compile(kernels, &CompileOptions { target, threads: 1 }) {
        Ok(code) => Arc::new(code),
        Err(error) => panic!("{error}"),
    }
}

/// Runs all tasks of a kernel on its operands' bytes; panics where it writes outside them.
pub fn run(entry: Entry, kernel: &Kernel, operands: &mut [Vec<u8>]) {
    let mut padded: Vec<Vec<u8>> = operands
        .iter()
        .map(|bytes| {
            // An odd start, so that nothing relies on alignment.
            let canary = vec![CANARY; MARGIN + 4];
            [canary.as_slice(), bytes, &[CANARY; MARGIN]].concat()
        })
        .collect();
    let mut scratch = vec![0u64; scratch_bytes(kernel) / 8 + 16];
    let scratch_start = scratch.as_mut_ptr().cast::<u8>();
    let aligned = scratch_start.wrapping_add(scratch_start.align_offset(64));
    let mut table: Vec<*mut u8> =
        padded.iter_mut().map(|p| p.as_mut_ptr().wrapping_add(MARGIN + 4)).collect();
    table.push(aligned);
    // SAFETY: The table has one address per operand of the kernel's sizes, then scratch.
    unsafe { entry(table.as_ptr(), 0, kernel.n_tasks() as u64) };
    let kinds = kernel.buffers.iter().filter(|b| b.kind != BufferKind::Scratch);
    for ((operand, padded), buffer) in operands.iter_mut().zip(&padded).zip(kinds) {
        let (before, rest) = padded.split_at(MARGIN + 4);
        let (bytes, after) = rest.split_at(operand.len());
        let intact = |part: &[u8]| part.iter().all(|&b| b == CANARY);
        assert!(intact(before) && intact(after), "{}: wrote outside", buffer.name);
        if buffer.kind == BufferKind::Input {
            assert_eq!(bytes, operand.as_slice(), "{}: an input changed", buffer.name);
        }
        operand.copy_from_slice(bytes);
    }
}

/// The bytes of `f32` numbers.
pub fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// The `f32` numbers of bytes.
pub fn floats_of(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().expect("4 bytes"))).collect()
}
