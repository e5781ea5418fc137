//! Kernels as text: Cranelift's language and the machine's.

use std::fmt::Write;

use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter};
use tracelift_loops::{BufferId, Kernel};
use tracelift_tensor::{IsaLevel, Target};

use crate::{
    BackendError, CodeModel,
    emit::{
        clif::emit_kernel,
        x86_64::{Assembled, Assembler, Stream},
    },
    module::{Workspace, compile_one, distinct},
    target_isa,
};

/// Every distinct kernel in Cranelift's text form, each after a line with its name.
///
/// # Errors
/// When a kernel has no code for the target.
pub fn clif_text(kernels: &[Kernel], target: &Target) -> Result<String, BackendError> {
    let isa = target_isa(target, CodeModel::Object)?;
    let mut out = String::new();
    for kernel in distinct(kernels).0 {
        let function = emit_kernel(kernel, &*isa, target, &mut Assembler::new(target))?.function;
        let _ = writeln!(out, "; {}\n{}", kernel.name, function.display());
    }
    Ok(out)
}

/// What the tile assembler made of a part of a kernel, as tests and tools look at it.
#[derive(Clone, PartialEq, Debug)]
pub struct UnitCode {
    /// The machine code, position independent, then its constants.
    pub code: Vec<u8>,
    /// The bytes of instructions.
    pub n_code: usize,
    /// For each entry of the table of pointers that the code takes: the buffer it points into, none
    /// for a number, and whether it is the buffer's start, or 0, whatever the task.
    pub pointers: Vec<(Option<BufferId>, bool)>,
}

/// The units that the tile assembler compiles of a kernel, in order.
///
/// # Errors
/// When the kernel has no code for the target.
pub fn assembled_units(kernel: &Kernel, target: &Target) -> Result<Vec<UnitCode>, BackendError> {
    let isa = target_isa(target, CodeModel::Object)?;
    let units = emit_kernel(kernel, &*isa, target, &mut Assembler::new(target))?.units;
    let unit = |u: Assembled| {
        let pointers = u.streams.iter().map(|s| (s.buffer, s.outside.is_empty())).collect();
        UnitCode { code: u.code.to_vec(), n_code: u.n_code, pointers }
    };
    Ok(units.into_iter().map(unit).collect())
}

/// Every distinct kernel in assembly, each after a line with its name.
///
/// `sources` has for each kernel the source nodes it computes, written above it; kernels without
/// an entry have none. Units of the tile assembler follow their kernel, with the buffers they take.
///
/// # Errors
/// When a kernel has no code for the target.
pub fn assembly_text(
    kernels: &[Kernel],
    sources: &[Vec<String>],
    target: &Target,
) -> Result<String, BackendError> {
    let isa = target_isa(target, CodeModel::Object)?;
    let mut out = String::new();
    let (list, which) = distinct(kernels);
    let mut workspace = Workspace::new(target, &*isa)?;
    for (k, kernel) in list.into_iter().enumerate() {
        workspace.context.set_disasm(true);
        let own = which.iter().zip(sources).filter(|(w, _)| **w == k);
        for source in own.flat_map(|(_, sources)| sources) {
            let _ = writeln!(out, "; {source}");
        }
        let compiled = compile_one(kernel, &*isa, target, &mut workspace)?;
        let _ = writeln!(out, "{}:", kernel.name);
        match (target.isa, compiled.text) {
            (IsaLevel::Aarch64, Some(text)) => out += &text,
            _ => disassemble(&compiled.code, &mut out),
        }
        for (j, unit) in compiled.units.iter().enumerate() {
            let name = |s: &Stream| match s.buffer {
                Some(buffer) => kernel.buffers[buffer].name.clone(),
                None => "a number".into(),
            };
            let buffers: Vec<String> = unit.streams.iter().map(name).collect();
            let _ = writeln!(out, "; pointers at rdi: {}", buffers.join(", "));
            let _ = writeln!(out, "{}_unit{j}:", kernel.name);
            disassemble(&unit.code[..unit.n_code], &mut out);
        }
        out.push('\n');
    }
    Ok(out)
}

/// Appends x86-64 code in Intel syntax, one instruction a line with its offset.
fn disassemble(code: &[u8], out: &mut String) {
    let mut formatter = IntelFormatter::new();
    let mut instruction = Instruction::default();
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if instruction.is_invalid() {
            // Constants follow the code.
            break;
        }
        let _ = write!(out, "{:6x}  ", instruction.ip());
        formatter.format(&instruction, out);
        out.push('\n');
    }
}
