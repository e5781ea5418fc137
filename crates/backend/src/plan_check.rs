//! Checks that a plan gives every kernel the operands it was compiled for.

use tracelift_loops::{BufferKind, Kernel};
use tracelift_runtime::{Launch, Plan, Port, Slot};

use crate::{BackendError, scratch_bytes};

/// What a kernel expects of a launch.
#[derive(Clone, Debug)]
pub(crate) struct KernelSignature {
    n_tasks: u64,
    /// The bytes of each operand and whether it is written.
    operands: Vec<(usize, bool)>,
    scratch_bytes: usize,
}

impl KernelSignature {
    pub(crate) fn of(kernel: &Kernel) -> KernelSignature {
        let operands = kernel.buffers.iter().filter(|b| b.kind != BufferKind::Scratch);
        KernelSignature {
            n_tasks: kernel.n_tasks() as u64,
            operands: operands
                .map(|b| (b.len * b.dtype.size_bytes(), b.kind == BufferKind::Output))
                .collect(),
            scratch_bytes: scratch_bytes(kernel),
        }
    }
}

/// Proof that a plan was checked.
pub(crate) struct Checked {
    n_launches: usize,
}

impl Checked {
    pub(crate) fn n_launches(&self) -> usize {
        self.n_launches
    }
}

/// Checks every launch.
///
/// # Errors
/// At the first launch that does not fit its kernel.
pub(crate) fn check_plan(
    plan: &Plan,
    kernels: &[KernelSignature],
) -> Result<Checked, BackendError> {
    for (number, launch) in plan.launches.iter().enumerate() {
        check_launch(plan, launch, kernels).map_err(|reason| BackendError::Plan {
            launch: number,
            label: launch.label.to_string(),
            reason,
        })?;
    }
    Ok(Checked { n_launches: plan.launches.len() })
}

fn check_launch(plan: &Plan, launch: &Launch, kernels: &[KernelSignature]) -> Result<(), String> {
    let kernel = kernels
        .get(launch.kernel)
        .ok_or_else(|| format!("kernel {} of {}", launch.kernel, kernels.len()))?;
    let same = |what: &str, expected: u64, found: u64| match expected == found {
        true => Ok(()),
        false => Err(format!("the kernel has {expected} {what}, found {found}")),
    };
    same("tasks", kernel.n_tasks, launch.n_tasks)?;
    same("operands", kernel.operands.len() as u64, launch.operands.len() as u64)?;
    if kernel.scratch_bytes > plan.scratch_bytes {
        let found = plan.scratch_bytes;
        return Err(format!(
            "the kernel needs {} bytes of scratch, found {found}",
            kernel.scratch_bytes
        ));
    }
    for (k, (&(bytes, is_written), &slot)) in
        kernel.operands.iter().zip(&launch.operands).enumerate()
    {
        let found = slot_bytes(plan, slot).ok_or_else(|| format!("operand {k}: no {slot:?}"))?;
        if found < bytes {
            return Err(format!("operand {k} has {bytes} bytes, {slot:?} has {found}"));
        }
        if is_written && matches!(slot, Slot::Input(_) | Slot::Constant(_)) {
            return Err(format!("operand {k} is written, but is {slot:?}"));
        }
    }
    Ok(())
}

/// The bytes from the begin of a slot to the end of what it lies in.
fn slot_bytes(plan: &Plan, slot: Slot) -> Option<usize> {
    match slot {
        Slot::Arena(offset) => plan.arena_bytes.checked_sub(offset),
        Slot::Input(k) => plan.inputs.get(k).map(Port::size_bytes),
        Slot::Output(k) => plan.outputs.get(k).map(Port::size_bytes),
        Slot::Constant(k) => plan.constants.get(k).map(|c| c.bytes().len()),
    }
}

#[cfg(test)]
mod tests {
    use tracelift_tensor::DType;

    use super::*;

    #[test]
    fn launches_that_do_not_fit_are_refused() {
        let mut kernel = Kernel::default();
        kernel.add_buffer("x", DType::F32, 4, BufferKind::Input);
        kernel.add_buffer("y", DType::F32, 4, BufferKind::Output);
        let kernels = [KernelSignature::of(&kernel)];
        let port = Port { name: "x".into(), dtype: DType::F32, shape: vec![4] };
        let refused = |operands: &[Slot], n_tasks| {
            let operands = operands.to_vec();
            let launch = Launch { kernel: 0, n_tasks, operands, label: "l".into() };
            let launches = vec![launch];
            let inputs = vec![port.clone()];
            let plan = Plan { launches, inputs, arena_bytes: 24, ..Plan::default() };
            check_plan(&plan, &kernels).err().map(|e| e.to_string())
        };
        assert_eq!(refused(&[Slot::Input(0), Slot::Arena(8)], 1), None);
        let cases = [
            (refused(&[Slot::Input(0), Slot::Arena(16)], 1), "has 16 bytes"),
            (refused(&[Slot::Input(0), Slot::Arena(99)], 1), "no Arena"),
            (refused(&[Slot::Arena(0), Slot::Input(0)], 1), "is written"),
            (refused(&[Slot::Input(0)], 1), "2 operands"),
            (refused(&[Slot::Input(0), Slot::Arena(8)], 2), "1 tasks"),
        ];
        for (error, part) in cases {
            assert!(error.clone().is_some_and(|e| e.contains(part)), "{error:?} has '{part}'");
        }
    }
}
