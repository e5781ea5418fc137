//! What the tests of kernels share.

use tracelift_ir::interpret;
use tracelift_loops::{BufferKind, Inst, Kernel, interpret_tasks};
use tracelift_scalar::{Guard, IndexTerm};

use super::*;
use crate::{
    emit::{clif::emit_kernel, x86_64::Assembler},
    target::{CodeModel, target_isa},
};

/// Targets of every width; with caches so small that every panel is folded over in blocks.
fn targets() -> Vec<Target> {
    let widths = [(IsaLevel::X86_64V4, 64), (IsaLevel::X86_64V3, 32), (IsaLevel::X86_64V3, 16)];
    let of = |(level, vector_bytes): (IsaLevel, usize), l2_bytes: usize| Target {
        vector_bytes,
        l2_bytes,
        ..Target::typical(level)
    };
    widths.into_iter().flat_map(|w| [of(w, 1 << 20), of(w, 4096)]).collect()
}

/// Lowers for every target, compares with the graph's interpreter, and gives what was lowered.
pub(super) fn check_everywhere(
    build: impl FnOnce(&mut Builder<'_>, &[Value]) -> Value,
    shapes: &[Vec<usize>],
) -> Vec<Lowered> {
    let mut graph = Graph::new("g");
    let inputs: Vec<Value> = shapes
        .iter()
        .enumerate()
        .map(|(k, s)| graph.add_input(&format!("x{k}"), TensorType::new(DType::F32, s.as_slice())))
        .collect();
    let result = build(&mut Builder::new(&mut graph), &inputs);
    graph.add_result("", result);
    let tensors: Vec<Tensor> =
        shapes.iter().enumerate().map(|(k, s)| input(s, k as u64 + 1)).collect();
    let expected = interpret(&graph, &tensors).unwrap();
    let lower_for = |target: &Target| check_for(&graph, target, &tensors, &expected);
    targets().iter().map(lower_for).collect()
}

/// A convolution of images, channels last.
pub(super) fn conv(stride: usize, pads: [usize; 2], groups: usize) -> Conv {
    let (strides, pads) = (vec![stride; 2], vec![pads; 2]);
    Conv { strides, pads, dilations: vec![1; 2], groups, layout: ConvLayout::ChannelsLast }
}

/// Whether a kernel's tiles are in the form that is assembled: every place an affine sum, columns
/// side by side, no guards but those of a row and a loop, which are decided as the code is made.
pub(super) fn is_plain(kernel: &Kernel) -> bool {
    let mut all = true;
    kernel.for_each_tile(&mut |tile| {
        for inst in &tile.insts {
            let (Inst::Load { place, guards, .. } | Inst::Store { place, guards, .. }) = inst
            else {
                continue;
            };
            let is_affine = |e: &tracelift_scalar::IndexExpr| {
                e.terms.iter().all(|(t, _)| match t {
                    IndexTerm::Axis(_) => true,
                    _ => [tile.rows, tile.columns]
                        .iter()
                        .chain(&tile.loops)
                        .all(|&a| e.stride_of(a).is_some()),
                })
            };
            let column = place.index.stride_of(tile.columns);
            let decided = |guard: &Guard| {
                let is_inside = |a: &usize| *a == tile.rows || tile.loops.contains(a);
                (0..kernel.axes.len()).all(|a| is_inside(&a) || !guard.expr.mentions(a))
            };
            all &= guards.iter().all(decided) && is_affine(&place.index);
            all &= matches!(column, Some(0 | 1));
        }
    });
    all
}

/// Whether the tile assembler compiles all tile programs of a kernel.
pub(super) fn is_assembled(kernel: &Kernel, target: &Target) -> bool {
    let isa = target_isa(target, CodeModel::Object).unwrap();
    !emit_kernel(kernel, &*isa, target, &mut Assembler::new(target)).unwrap().has_tiles
}

/// Whether each element of the output is the work of one task, so that no sum is split.
pub(super) fn keeps_sums_whole(kernel: &Kernel) -> bool {
    const UNTOUCHED: u8 = 0xa5;
    let operands = kernel.buffers.iter().filter(|b| b.kind != BufferKind::Scratch);
    let mut writers: Vec<Vec<usize>> = operands.clone().map(|b| vec![0; b.len]).collect();
    for task in 0..kernel.n_tasks() {
        let mut buffers: Vec<Vec<u8>> = operands
            .clone()
            .map(|b| {
                let byte = if b.kind == BufferKind::Output { UNTOUCHED } else { 0 };
                vec![byte; b.len * b.dtype.size_bytes()]
            })
            .collect();
        interpret_tasks(kernel, &mut buffers, task..task + 1);
        for ((buffer, bytes), writers) in operands.clone().zip(&buffers).zip(&mut writers) {
            for (element, n) in bytes.chunks(buffer.dtype.size_bytes()).zip(writers) {
                let written = element.iter().any(|byte| *byte != UNTOUCHED);
                *n += usize::from(buffer.kind == BufferKind::Output && written);
            }
        }
    }
    let all = operands.zip(&writers).filter(|(b, _)| b.kind == BufferKind::Output);
    all.flat_map(|(_, writers)| writers).all(|n| *n == 1)
}

/// Reproducible numbers.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    pub(super) fn within(&mut self, range: std::ops::RangeInclusive<usize>) -> usize {
        range.start() + self.below(range.end() - range.start() + 1)
    }
}
