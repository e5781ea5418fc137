//! Compiles kernels into any Cranelift module, in memory or an object file.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use cranelift_codegen::{
    Context, FinalizedMachReloc, FinalizedRelocTarget,
    control::ControlPlane,
    ir::{ExternalName, Function, LibCall},
    isa::{OwnedTargetIsa, TargetIsa},
};
use cranelift_module::{FuncId, Linkage, Module, ModuleReloc, ModuleRelocTarget};
use rustc_hash::FxHashMap;
use tracelift_loops::{AxisId, BufferKind, Kernel, Stmt};
use tracelift_tensor::{DType, Target};

use crate::{
    BackendError, CodeModel,
    emit::{
        clif::{EmittedKernel, UNIT_NAMESPACE, emit_kernel, entry_signature, unit_signature},
        x86_64::{Assembled, Assembler},
    },
    target::quick_isa,
};

/// How kernels are compiled.
#[derive(Clone, Copy, Debug)]
pub struct CompileOptions {
    /// The machine the code is for.
    pub target: Target,
    /// The number of threads that compile; 1 is the calling thread alone.
    pub threads: usize,
}

/// The machine code of one function.
pub(crate) struct CompiledFunction {
    function: Function,
    pub(crate) code: Vec<u8>,
    /// The code in Cranelift's assembly, where the context wants it.
    pub(crate) text: Option<String>,
    alignment: u64,
    relocations: Vec<FinalizedMachReloc>,
    /// The units that the code calls.
    pub(crate) units: Vec<Assembled>,
}

/// The kernels without their names, and for each kernel which of those it is.
///
/// Kernels that differ only in names have the same code.
pub(crate) fn distinct(kernels: &[Kernel]) -> (Vec<&Kernel>, Vec<usize>) {
    let mut first: FxHashMap<Code<'_>, usize> = FxHashMap::default();
    let mut list = Vec::new();
    let which = kernels.iter().map(|kernel| {
        *first.entry(Code::of(kernel)).or_insert_with(|| {
            list.push(kernel);
            list.len() - 1
        })
    });
    let which = which.collect();
    (list, which)
}

/// A kernel but for its names.
#[derive(PartialEq, Eq, Hash)]
struct Code<'k> {
    buffers: Vec<(DType, usize, BufferKind)>,
    extents: Vec<usize>,
    grid: &'k [AxisId],
    body: &'k [Stmt],
}

impl Code<'_> {
    fn of(kernel: &Kernel) -> Code<'_> {
        let Kernel { name: _, buffers, axes: _, grid, body } = kernel;
        let buffers = buffers.iter().map(|b| (b.dtype, b.len, b.kind)).collect();
        Code { buffers, extents: kernel.extents(), grid, body }
    }
}

/// Declares and defines kernels; returns the function of each.
///
/// Symbols are `prefix`, the number of the first kernel with this code, and its name.
///
/// # Errors
/// When a kernel has no code for the target.
pub fn define_kernels<M: Module>(
    module: &mut M,
    kernels: &[Kernel],
    prefix: &str,
    options: &CompileOptions,
) -> Result<Vec<FuncId>, BackendError> {
    let (list, which) = distinct(kernels);
    let compiled = compile_all(&list, module.isa(), options)?;
    let signature = entry_signature(module.isa());
    let mut ids = Vec::with_capacity(list.len());
    for (k, (kernel, compiled)) in list.iter().zip(&compiled).enumerate() {
        let failed = |e: cranelift_module::ModuleError| {
            BackendError::code_generator(&format!("kernel '{}'", kernel.name), e)
        };
        let name = format!("{prefix}{k}_{}", symbol(&kernel.name));
        let id = module.declare_function(&name, Linkage::Local, &signature).map_err(failed)?;
        let of_unit = unit_signature(module.isa());
        let mut units = Vec::with_capacity(compiled.units.len());
        for (j, unit) in compiled.units.iter().enumerate() {
            let name = format!("{name}_unit{j}");
            let unit_id =
                module.declare_function(&name, Linkage::Local, &of_unit).map_err(failed)?;
            module.define_function_bytes(unit_id, 64, &unit.code, &[]).map_err(failed)?;
            units.push(unit_id);
        }
        let relocations: Vec<ModuleReloc> =
            compiled.relocations.iter().map(|r| relocation(r, compiled, id, &units)).collect();
        module
            .define_function_bytes(id, compiled.alignment, &compiled.code, &relocations)
            .map_err(failed)?;
        ids.push(id);
    }
    Ok(which.into_iter().map(|k| ids[k]).collect())
}

/// A relocation of a kernel's code; calls of units go to the functions defined for them.
fn relocation(
    reloc: &FinalizedMachReloc,
    compiled: &CompiledFunction,
    kernel: FuncId,
    units: &[FuncId],
) -> ModuleReloc {
    let unit = match &reloc.target {
        FinalizedRelocTarget::ExternalName(ExternalName::User(name)) => {
            let name = &compiled.function.params.user_named_funcs()[*name];
            (name.namespace == UNIT_NAMESPACE).then(|| units[name.index as usize])
        }
        _ => None,
    };
    match unit {
        Some(unit) => ModuleReloc {
            offset: reloc.offset,
            kind: reloc.kind,
            name: ModuleRelocTarget::user(0, unit.as_u32()),
            addend: reloc.addend,
        },
        None => ModuleReloc::from_mach_reloc(reloc, &compiled.function, kernel),
    }
}

/// A name as part of a symbol.
pub(crate) fn symbol(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// Compiles kernels on as many threads as asked for; the result does not depend on their number.
fn compile_all(
    kernels: &[&Kernel],
    isa: &dyn TargetIsa,
    options: &CompileOptions,
) -> Result<Vec<CompiledFunction>, BackendError> {
    let target = &options.target;
    let n_threads = options.threads.min(kernels.len());
    if n_threads <= 1 {
        let mut workspace = Workspace::new(target, isa)?;
        return kernels.iter().map(|k| compile_one(k, isa, target, &mut workspace)).collect();
    }
    let workspaces: Vec<Workspace<'_>> =
        (0..n_threads).map(|_| Workspace::new(target, isa)).collect::<Result<_, _>>()?;
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<CompiledFunction, BackendError>>>> =
        kernels.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for mut workspace in workspaces {
            let (next, results) = (&next, &results);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(kernel) = kernels.get(at) else { break };
                    let result = compile_one(kernel, isa, target, &mut workspace);
                    *results[at].lock().expect("no thread panics with the lock") = Some(result);
                }
            });
        }
    });
    let done = results.into_iter().map(|r| {
        let result = r.into_inner().expect("no thread panics with the lock");
        result.expect("every kernel is compiled")
    });
    done.collect()
}

/// What compiling one kernel leaves for the next; it changes no code.
pub(crate) struct Workspace<'k> {
    /// Lends its memory and settings.
    pub(crate) context: Context,
    assembler: Assembler<'k>,
    /// For functions without tiles, but short ones: what runs in units takes most of their time.
    quick: OwnedTargetIsa,
}

impl<'k> Workspace<'k> {
    pub(crate) fn new(target: &Target, isa: &dyn TargetIsa) -> Result<Workspace<'k>, BackendError> {
        let model = if isa.flags().is_pic() { CodeModel::Object } else { CodeModel::Jit };
        let quick = quick_isa(target, model)?;
        Ok(Workspace { context: Context::new(), assembler: Assembler::new(target), quick })
    }
}

/// Compiles a kernel.
pub(crate) fn compile_one<'k>(
    kernel: &'k Kernel,
    isa: &dyn TargetIsa,
    target: &Target,
    workspace: &mut Workspace<'k>,
) -> Result<CompiledFunction, BackendError> {
    let Workspace { context, assembler, quick } = workspace;
    let EmittedKernel { function, units, has_tiles } = emit_kernel(kernel, isa, target, assembler)?;
    // A single task may be so short that what is around its unit counts.
    let is_short = kernel.n_tasks() == 1 && units.len() == 1;
    let isa = if has_tiles || is_short { isa } else { &**quick };
    context.func = function;
    let compiled = context
        .compile(isa, &mut ControlPlane::default())
        .map_err(|e| BackendError::code_generator(&format!("kernel '{}'", kernel.name), e.inner))?;
    if let Some(call) = compiled.buffer.relocs().iter().find_map(library_call) {
        return Err(BackendError::MissingInstruction {
            kernel: kernel.name.clone(),
            target: target.isa.to_string(),
            operation: call.to_string(),
        });
    }
    Ok(CompiledFunction {
        code: compiled.code_buffer().to_vec(),
        text: compiled.vcode.clone(),
        alignment: u64::from(compiled.buffer.alignment).max(64),
        relocations: compiled.buffer.relocs().to_vec(),
        function: take_function(context),
        units,
    })
}

/// The library function that a relocation calls; code calls none, because objects link nothing.
fn library_call(relocation: &FinalizedMachReloc) -> Option<LibCall> {
    match relocation.target {
        FinalizedRelocTarget::ExternalName(ExternalName::LibCall(call)) => Some(call),
        _ => None,
    }
}

/// Takes the function out and readies the context for the next.
fn take_function(context: &mut Context) -> Function {
    let function = std::mem::replace(&mut context.func, Function::new());
    context.clear();
    function
}
