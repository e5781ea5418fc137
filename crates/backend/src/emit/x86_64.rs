//! The tile assembler for x86-64: loops around tile programs as AVX-512 or AVX2 code.
//!
//! In: a unit, that is `For` loops and tile programs without conditions, whose places are affine in
//! the axes that run inside it.  Out: machine code for `fn(pointers: *mut *mut u8)`, position
//! independent, with its constants behind it.
//! Not here: grids, conditions and the remaining index arithmetic, which Cranelift compiles; it
//! stores the address where each stream begins and calls the unit.
//!
//! A unit becomes virtual instructions over as many registers as it likes (`select`, `ops`, and
//! `wide` for what is computed in 64 bits), memory operands are folded in (`peephole`), registers
//! are assigned by linear scan (`allocate`), and instructions encoded (`encode`). Every value of a
//! tile is a vector: what does not vary over columns has the same number in every lane.

mod allocate;
mod encode;
mod nest;
mod ops;
mod peephole;
mod piece;
mod program;
mod select;
mod split;
mod stream;
mod table;
mod transpose;
mod wide;

use std::sync::Arc;

use rustc_hash::FxHashMap;
use tracelift_loops::{BufferId, Kernel, Stmt};
use tracelift_scalar::IndexTerms;
use tracelift_tensor::{IsaLevel, Target};

use piece::Piece;

/// The width of the vectors in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Width {
    /// AVX2 with FMA: 16 registers of 32 bytes.
    Ymm,
    /// AVX-512: 32 registers of 64 bytes and 7 of masks.
    Zmm,
}

impl Width {
    /// The assembler's width for a target; `None` where the CLIF emitter compiles everything.
    pub(crate) fn of(target: &Target) -> Option<Width> {
        match (target.isa, target.vector_bytes) {
            (IsaLevel::X86_64V4, 64) => Some(Width::Zmm),
            (IsaLevel::X86_64V3 | IsaLevel::X86_64V4, 32) => Some(Width::Ymm),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Width::Ymm => 32,
            Width::Zmm => 64,
        }
    }

    /// The 32-bit lanes of a vector.
    fn lanes(self) -> usize {
        self.bytes() / 4
    }

    fn n_registers(self) -> usize {
        match self {
            Width::Ymm => 16,
            Width::Zmm => 32,
        }
    }
}

/// Machine code of a unit.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Assembled {
    /// The code, then its constants.
    pub(crate) code: Arc<[u8]>,
    /// The bytes of instructions; constants follow.
    pub(crate) n_code: usize,
    /// What the caller puts into the table of pointers, in order.
    pub(crate) streams: Vec<Stream>,
}

/// A pointer that a unit moves: the address of an element where all axes inside the unit are 0; or
/// a number that it counts with.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Stream {
    /// The buffer; none for a number.
    pub(crate) buffer: Option<BufferId>,
    /// Terms of axes outside the unit with their factors, in bytes where there is a buffer.
    pub(crate) outside: IndexTerms,
}

/// Why a unit is left to the CLIF emitter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unsupported(pub(crate) &'static str);

/// Assembles statements for one target, those of different kernels that only differ in numbers of
/// axes and buffers once.
pub(crate) struct Assembler<'k> {
    width: Option<Width>,
    /// What was assembled so far, by hashes of the statements.
    known: FxHashMap<u64, Vec<Known<'k>>>,
}

/// A statement with its machine code.
struct Known<'k> {
    kernel: &'k Kernel,
    stmt: &'k Stmt,
    assembled: Assembled,
}

impl<'k> Assembler<'k> {
    /// An assembler that knows nothing yet.
    pub(crate) fn new(target: &Target) -> Assembler<'k> {
        Assembler { width: Width::of(target), known: FxHashMap::default() }
    }

    /// Assembles a statement.
    ///
    /// # Errors
    /// When something in it has no code here; the caller then compiles it through Cranelift.
    pub(crate) fn assemble(
        &mut self,
        kernel: &'k Kernel,
        stmt: &'k Stmt,
    ) -> Result<Assembled, Unsupported> {
        let width = self.width.ok_or(Unsupported("the target"))?;
        if has_condition(stmt) {
            return Err(Unsupported("a condition"));
        }
        let known = self.known.entry(piece::hash(kernel, stmt)).or_default();
        if !known.is_empty() {
            let piece = Piece::of(kernel, stmt);
            let others = known.iter().map(|k| (Piece::of(k.kernel, k.stmt), &k.assembled));
            for (other, assembled) in others {
                if other.kernel == piece.kernel {
                    return Ok(Assembled {
                        streams: piece.adopt(&other, &assembled.streams),
                        ..assembled.clone()
                    });
                }
            }
        }
        let assembled = nest::Nest::new(kernel, width).assemble(stmt)?;
        known.push(Known { kernel, stmt, assembled: assembled.clone() });
        Ok(assembled)
    }
}

fn has_condition(stmt: &Stmt) -> bool {
    match stmt {
        Stmt::For { body, .. } => body.iter().any(has_condition),
        Stmt::If { .. } => true,
        Stmt::Tile(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions, Register};
    use tracelift_loops::parse;

    use super::*;

    /// Kernels whose bodies are the same but for numbers, and one that reads elsewhere.
    fn kernels() -> [Kernel; 3] {
        let kernel = |first: &str, grid: &str, step: usize| {
            let text = format!(
                "kernel @copy({first}%x: f32[64] input, %y: f32[64] output) {{
                  grid ({grid}m: 4)
                  for v in 0..2 {{
                    tile (r: 1, c: 8) {{
                      %0: f32 = load %x[{step}*m + 8*v + c]
                      store %y[16*m + 8*v + c] = %0
                    }}
                  }}
                }}"
            );
            parse(&text).unwrap()
        };
        [kernel("", "", 16), kernel("%n: f32[9] input, ", "i: 3, ", 16), kernel("", "", 8)]
    }

    #[test]
    fn equal_statements_of_different_kernels_are_assembled_once() {
        let target = Target::typical(IsaLevel::X86_64V4);
        let kernels = kernels();
        let mut assembler = Assembler::new(&target);
        for (kernel, n_known) in kernels.iter().zip([1, 1, 2]) {
            let stmt = &kernel.body[0];
            let found = assembler.assemble(kernel, stmt).unwrap();
            let alone = nest::Nest::new(kernel, Width::Zmm).assemble(stmt).unwrap();
            assert_eq!(found, alone);
            assert_eq!(assembler.known.values().map(Vec::len).sum::<usize>(), n_known);
        }
    }

    /// Whether a unit keeps anything in its frame.
    fn uses_stack(unit: &Assembled) -> bool {
        let code = &unit.code[..unit.n_code];
        let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
        decoder.iter().any(|inst| inst.memory_base() == Register::RSP)
    }

    #[test]
    fn partial_sums_take_turns_where_registers_are_few() {
        let text = "kernel @dot(%x: f32[192] input, %w: f32[1024] input, %y: f32[48] output) {
              grid ()
              tile (r: 3, c: 16) {
                %0: f32 = 0.0
                %1: f32 = accumulator(%0)
                %2: f32 = accumulator(%0)
                loop k in 0..32 unroll 2 {
                  %3: f32 = load %x[64*r + 2*k]
                  %4: f32 = load %w[32*k + c]
                  %5: f32 = fma(%3, %4, %1)
                  update %1 = %5
                  %7: f32 = load %x[64*r + 2*k + 1]
                  %8: f32 = load %w[32*k + c + 16]
                  %9: f32 = fma(%7, %8, %2)
                  update %2 = %9
                }
                %11: f32 = add(%1, %2)
                store %y[16*r + c] = %11
              }
            }";
        let kernel = parse(text).unwrap();
        let unit = nest::Nest::new(&kernel, Width::Ymm).assemble(&kernel.body[0]).unwrap();
        assert!(!uses_stack(&unit));
    }
}
