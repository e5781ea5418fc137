//! The tile assembler for x86-64: loops around tile programs as AVX-512 or AVX2 code.
//!
//! In: a unit, that is `For` loops and tile programs without conditions, whose places are affine in
//! the axes that run inside it.  Out: machine code for `fn(pointers: *mut *mut u8)`, position
//! independent, with its constants behind it.
//! Not here: grids, conditions and the remaining index arithmetic, which Cranelift compiles; it
//! stores the address where each stream begins and calls the unit.
//!
//! A unit becomes virtual instructions over as many registers as it likes (`select`, `ops`), memory
//! operands are folded in (`peephole`), registers are assigned by linear scan (`allocate`), and
//! instructions encoded (`encode`). Every value of a tile is a vector: what does not vary over
//! columns has the same number in every lane.

mod allocate;
mod encode;
mod nest;
mod ops;
mod peephole;
mod program;
mod select;
mod stream;
mod table;
mod transpose;

use tracelift_loops::{BufferId, Kernel, Stmt};
use tracelift_scalar::IndexTerms;
use tracelift_tensor::{IsaLevel, Target};

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
    pub(crate) code: Vec<u8>,
    /// The bytes of instructions; constants follow.
    pub(crate) n_code: usize,
    /// What the caller puts into the table of pointers, in order.
    pub(crate) streams: Vec<Stream>,
}

/// A pointer that a unit moves: the address of an element where all axes inside the unit are 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Stream {
    /// The buffer.
    pub(crate) buffer: BufferId,
    /// Terms of axes outside the unit with their factors in bytes.
    pub(crate) outside: IndexTerms,
}

/// Why a unit is left to the CLIF emitter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unsupported(pub(crate) &'static str);

/// Assembles a statement.
///
/// # Errors
/// When something in it has no code here; the caller then compiles it through Cranelift.
pub(crate) fn assemble(
    kernel: &Kernel,
    stmt: &Stmt,
    width: Width,
) -> Result<Assembled, Unsupported> {
    nest::Nest::new(kernel, width).assemble(stmt)
}
