//! Executable memory: the one place of this crate that is not safe Rust.
#![allow(unsafe_code)]

use cranelift_jit::JITModule;
use cranelift_module::FuncId;
use tracelift_runtime::Entry;

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
