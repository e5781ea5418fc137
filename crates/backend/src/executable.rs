//! Executable memory: the one place of this crate that is not safe Rust.
#![allow(unsafe_code)]

use std::sync::Arc;

use cranelift_jit::JITModule;
use cranelift_module::FuncId;
use tracelift_runtime::{Entry, Plan, Program};

use crate::plan_check::Checked;

/// Finished machine code; its memory is readable and executable, never writable.
pub(crate) struct Executable {
    /// Taken when dropped.
    module: Option<JITModule>,
    entries: Vec<Entry>,
}

impl Executable {
    /// Takes over a module whose definitions are final, with functions of the entry's signature.
    pub(crate) fn new(module: JITModule, functions: &[FuncId]) -> Executable {
        let entries = functions.iter().map(|&id| {
            let address = module.get_finalized_function(id);
            // SAFETY: The address is that of finished code emitted with the signature of `Entry`.
            unsafe { std::mem::transmute::<*const u8, Entry>(address) }
        });
        let entries = entries.collect();
        Executable { module: Some(module), entries }
    }

    /// The functions given; they may be called while this value lives.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// Puts a plan and the code of its kernels together.
pub(crate) fn program(plan: Plan, executable: Executable, checked: &Checked) -> Program {
    debug_assert_eq!(checked.n_launches(), plan.launches.len(), "the plan is the one checked");
    let entries = executable.entries.clone();
    // SAFETY: There is one entry per kernel, and the executable owns them. Kernels are verified
    // and access their buffers only, whose sizes and kinds were checked against the plan.
    unsafe { Program::new(plan, entries, Arc::new(executable)) }
}

// SAFETY: After construction the module is only touched by `drop`, which has exclusive access, and
// the code it holds is immutable.
unsafe impl Sync for Executable {}

impl Drop for Executable {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: Calling an entry after its owner is gone is excluded by the contract of
            // whoever calls entries, so no code of this module runs.
            unsafe { module.free_memory() }
        }
    }
}
