//! From a target to Cranelift's description of it.

use cranelift_codegen::{
    isa::{self, OwnedTargetIsa},
    settings::{self, Configurable, Flags},
};
use tracelift_tensor::{IsaLevel, Target};

use crate::BackendError;

/// Where the code will live.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CodeModel {
    /// In memory of this process.
    Jit,
    /// In an object file that may become part of a shared library.
    Object,
}

/// Builds Cranelift's target.
///
/// A JIT uses what this processor has; an object uses exactly the instructions of the level.
///
/// # Errors
/// When Cranelift lacks the architecture, or a JIT is asked for a level above this processor's.
pub fn target_isa(target: &Target, model: CodeModel) -> Result<OwnedTargetIsa, BackendError> {
    build(target, model, "backtracking")
}

/// The same with registers assigned in one pass: several times faster, and the code loads and stores
/// more.
pub(crate) fn quick_isa(target: &Target, model: CodeModel) -> Result<OwnedTargetIsa, BackendError> {
    build(target, model, "single_pass")
}

fn build(
    target: &Target,
    model: CodeModel,
    registers: &str,
) -> Result<OwnedTargetIsa, BackendError> {
    let refused = |reason: String| BackendError::Target { target: target.isa.to_string(), reason };
    if model == CodeModel::Jit && !runs_here(target.isa) {
        return Err(refused("this processor cannot run it".to_string()));
    }
    let triple = match target.isa {
        IsaLevel::Aarch64 => "aarch64-unknown-linux-gnu",
        _ => "x86_64-unknown-linux-gnu",
    };
    let mut builder = isa::lookup_by_name(triple).map_err(|e| refused(e.to_string()))?;
    for feature in features(target.isa) {
        builder.enable(feature).map_err(|e| refused(e.to_string()))?;
    }
    let flags = flags(model, registers).map_err(|e| refused(e.to_string()))?;
    builder.finish(flags).map_err(|e| refused(e.to_string()))
}

/// Cranelift's names of what a level has; its own presets leave AVX out.
fn features(level: IsaLevel) -> Vec<&'static str> {
    let v2 = ["has_cmpxchg16b", "has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"];
    let v3 = ["has_avx", "has_avx2", "has_fma", "has_bmi1", "has_bmi2", "has_lzcnt"];
    let v4 = ["has_avx512f", "has_avx512dq", "has_avx512vl"];
    match level {
        IsaLevel::Aarch64 => Vec::new(),
        IsaLevel::X86_64V2 => v2.to_vec(),
        IsaLevel::X86_64V3 => [&v2[..], &v3].concat(),
        IsaLevel::X86_64V4 => [&v2[..], &v3, &v4].concat(),
    }
}

fn runs_here(level: IsaLevel) -> bool {
    let is_arm = |l: IsaLevel| l == IsaLevel::Aarch64;
    IsaLevel::host().is_some_and(|host| is_arm(host) == is_arm(level) && level <= host)
}

/// Optimisation stays off: Cranelift then keeps our order of instructions, and hoists no constants
/// out of loops whose registers are all taken.
fn flags(model: CodeModel, registers: &str) -> Result<Flags, settings::SetError> {
    let mut flags = settings::builder();
    flags.set("opt_level", "none")?;
    flags.set("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" })?;
    flags.set("regalloc_algorithm", registers)?;
    flags.set("enable_probestack", "false")?;
    flags.set("is_pic", if model == CodeModel::Object { "true" } else { "false" })?;
    flags.set("log2_min_function_alignment", "6")?;
    Ok(Flags::new(flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_has_an_object_target() {
        for level in IsaLevel::ALL {
            for make in [target_isa, quick_isa] {
                let isa = make(&Target::typical(level), CodeModel::Object).unwrap();
                assert!(isa.flags().is_pic());
            }
        }
    }

    #[test]
    fn a_foreign_jit_is_refused_by_name() {
        let foreign = match IsaLevel::host() {
            Some(IsaLevel::Aarch64) => IsaLevel::X86_64V2,
            _ => IsaLevel::Aarch64,
        };
        let error = target_isa(&Target::typical(foreign), CodeModel::Jit).err().unwrap();
        assert!(error.to_string().contains(foreign.name()), "{error}");
    }
}
