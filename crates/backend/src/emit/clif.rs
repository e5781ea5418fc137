//! From a kernel to a Cranelift function; vectors are 128 bits wide.
//!
//! The function has the signature of `tracelift_runtime::Entry`. Values of a tile stay in SSA form,
//! rows and columns unrolled; addresses are sums whose loop-invariant parts are computed outside
//! the loops (see `address`).

mod address;
mod cast;
mod division;
mod expansion;
mod fold;
mod guard;
mod instance;
mod integer;
mod memory;
mod nest;
mod op;
mod tile;
mod unit;
mod vector;

use std::sync::Arc;

use cranelift_codegen::{
    ir::{AbiParam, Function, MemFlagsData, Signature, StackSlot, UserFuncName, Value, types},
    isa::TargetIsa,
};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use rustc_hash::FxHashMap;
use tracelift_loops::Kernel;
use tracelift_scalar::{Expr, Op};
use tracelift_tensor::{DType, Scalar, Target};

use crate::{
    BackendError,
    emit::x86_64::{Assembled, Assembler},
};
use address::Linear;

/// The signature of a kernel's entry.
pub fn entry_signature(isa: &dyn TargetIsa) -> Signature {
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.extend([types::I64; 3].map(AbiParam::new));
    signature
}

/// The signature of a unit of the tile assembler: it takes its table of pointers.
pub(crate) fn unit_signature(isa: &dyn TargetIsa) -> Signature {
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.push(AbiParam::new(types::I64));
    signature
}

/// The namespace of units in the names of called functions; the index is that of the unit.
pub(crate) const UNIT_NAMESPACE: u32 = 1;

/// A kernel as a Cranelift function and the units it calls.
pub(crate) struct EmittedKernel {
    pub(crate) function: Function,
    pub(crate) units: Vec<Assembled>,
    /// Whether the function has tile programs of its own.
    pub(crate) has_tiles: bool,
}

/// Translates a kernel, which must be verified, to a Cranelift function; what the tile assembler
/// has code for becomes units that the function calls.
///
/// # Errors
/// When an operation has no code for its operands on this target.
pub(crate) fn emit_kernel<'k>(
    kernel: &'k Kernel,
    isa: &dyn TargetIsa,
    target: &Target,
    assembler: &mut Assembler<'k>,
) -> Result<EmittedKernel, BackendError> {
    let name = UserFuncName::user(0, 0);
    let mut function = Function::with_name_signature(name, entry_signature(isa));
    let mut context = FunctionBuilderContext::new();
    let b = FunctionBuilder::new(&mut function, &mut context);
    let mut emitter = Emitter::new(b, kernel, isa, target, assembler);
    emitter.kernel()?;
    emitter.b.seal_all_blocks();
    let units = std::mem::take(&mut emitter.units);
    let has_tiles = emitter.has_tiles;
    emitter.b.finalize(isa.frontend_config());
    Ok(EmittedKernel { function, units, has_tiles })
}

/// Whether the target rounds `x · y + z` once in one instruction.
fn has_fma(isa: &dyn TargetIsa) -> bool {
    match isa.triple().architecture.to_string().as_str() {
        "x86_64" => {
            isa.isa_flags().iter().any(|f| f.name == "has_fma" && f.as_bool() == Some(true))
        }
        _ => true,
    }
}

/// The flags of every access: in bounds by the kernel's proof, of any alignment.
pub(crate) fn plain() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// An axis in scope.
#[derive(Clone, Copy)]
struct ScopedAxis {
    /// Its coordinate, an `i64`.
    value: Value,
    /// The number of loops around it; the grid is loop 0.
    depth: usize,
}

/// The state of one kernel's translation.
struct Emitter<'k, 'f> {
    b: FunctionBuilder<'f>,
    kernel: &'k Kernel,
    extents: Vec<usize>,
    has_fma: bool,
    target: &'f Target,
    assembler: &'f mut Assembler<'k>,
    unit_signature: Signature,
    /// What the tile assembler compiled so far.
    units: Vec<Assembled>,
    /// Whether a tile program was compiled here.
    has_tiles: bool,
    /// The address of each buffer.
    bases: Vec<Value>,
    /// The axes of grid and loops that are in scope; axes of extent 1 stay out.
    axes: Vec<Option<ScopedAxis>>,
    /// For each loop in scope, outermost first, the sums computed where it begins.
    known: Vec<FxHashMap<Linear, Value>>,
    /// 16 bytes filled with a guarded load's fill value, by the bits and size of it.
    fills: FxHashMap<(u64, usize), StackSlot>,
    /// The operations that were expanded so far.
    expansions: FxHashMap<(Op, DType), Arc<Expr>>,
}

impl<'k, 'f> Emitter<'k, 'f> {
    fn new(
        b: FunctionBuilder<'f>,
        kernel: &'k Kernel,
        isa: &dyn TargetIsa,
        target: &'f Target,
        assembler: &'f mut Assembler<'k>,
    ) -> Self {
        Emitter {
            b,
            kernel,
            extents: kernel.extents(),
            has_fma: has_fma(isa),
            target,
            assembler,
            unit_signature: unit_signature(isa),
            units: Vec::new(),
            has_tiles: false,
            bases: Vec::new(),
            axes: vec![None; kernel.axes.len()],
            known: Vec::new(),
            fills: FxHashMap::default(),
            expansions: FxHashMap::default(),
        }
    }

    /// The stack slot holding a fill value in every lane.
    fn fill_slot(&self, fill: Scalar) -> StackSlot {
        let key = (fill.to_bits(), fill.dtype().size_bytes());
        *self.fills.get(&key).expect("the entry stores every fill value")
    }

    /// The sum with a constant.
    fn add_constant(&mut self, x: Value, constant: i64) -> Value {
        use cranelift_codegen::ir::InstBuilder;
        if constant == 0 { x } else { self.b.ins().iadd_imm_s(x, constant) }
    }

    /// The product with a constant.
    fn times(&mut self, x: Value, factor: i64) -> Value {
        use cranelift_codegen::ir::InstBuilder;
        if factor == 1 {
            x
        } else if factor > 0 && factor.count_ones() == 1 {
            self.b.ins().ishl_imm_u(x, i64::from(factor.trailing_zeros()))
        } else {
            self.b.ins().imul_imm_s(x, factor)
        }
    }
}
