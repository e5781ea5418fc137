//! Kernels compiled into memory.

use cranelift_jit::{ArenaMemoryProvider, JITBuilder, JITModule};
use tracelift_loops::Kernel;
use tracelift_runtime::{Entry, Plan, Program};

use crate::{
    BackendError, CodeModel,
    executable::{Executable, program},
    module::{CompileOptions, define_kernels},
    plan_check::{KernelSignature, check_plan},
    target_isa,
};

/// Address space for the code of one program; only what is used is backed by memory.
const RESERVED_BYTES: usize = 256 << 20;

/// The code of kernels in executable memory, which is freed when this is dropped.
pub struct JitCode {
    executable: Executable,
    signatures: Vec<KernelSignature>,
}

impl JitCode {
    /// Compiles kernels for this machine.
    ///
    /// # Errors
    /// When a kernel has no code for the target, or memory cannot be had.
    pub fn compile(kernels: &[Kernel], options: &CompileOptions) -> Result<JitCode, BackendError> {
        let isa = target_isa(&options.target, CodeModel::Jit)?;
        let mut builder = JITBuilder::with_isa(isa, cranelift_module::default_libcall_names());
        let memory = ArenaMemoryProvider::new_with_size(RESERVED_BYTES)
            .map_err(|e| BackendError::code_generator("executable memory", e))?;
        builder.memory_provider(Box::new(memory));
        let mut module = JITModule::new(builder);
        let functions = define_kernels(&mut module, kernels, "kernel", options)?;
        module
            .finalize_definitions()
            .map_err(|e| BackendError::code_generator("executable memory", e))?;
        let signatures = kernels.iter().map(KernelSignature::of).collect();
        Ok(JitCode { executable: Executable::new(module, &functions), signatures })
    }

    /// The entry of each kernel, which may be called while this value lives.
    pub fn entries(&self) -> &[Entry] {
        self.executable.entries()
    }

    /// The program that runs a plan over these kernels, in their order.
    ///
    /// # Errors
    /// When an operand of a launch is smaller than the kernel's buffer or lies where the kernel may
    /// not write, or a launch has another number of operands or tasks than its kernel.
    pub fn into_program(self, plan: Plan) -> Result<Program, BackendError> {
        let checked = check_plan(&plan, &self.signatures)?;
        Ok(program(plan, self.executable, &checked))
    }
}
