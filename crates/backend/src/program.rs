//! Turns a lowered graph into the plan that the runtime runs.

use std::collections::BTreeMap;

use tracelift_runtime::{Launch, Plan, Slot};

use crate::{
    MemoryPlan, emit,
    lower::{Lowered, StorageId, StorageKind},
};

/// The plan of a lowered graph: launches over the arena, and the constants in use.
pub fn make_plan(lowered: &Lowered, memory: &MemoryPlan) -> Plan {
    let mut constants = Vec::new();
    let mut placed: BTreeMap<StorageId, usize> = BTreeMap::new();
    let mut slot = |id: StorageId| match &lowered.storages[id].kind {
        StorageKind::Input(k) => Slot::Input(*k),
        StorageKind::Output(k) => Slot::Output(*k),
        StorageKind::Temporary => {
            Slot::Arena(*memory.offsets.get(&id).expect("the plan places what steps touch"))
        }
        StorageKind::Constant(tensor) => Slot::Constant(*placed.entry(id).or_insert_with(|| {
            constants.push(tensor.clone());
            constants.len() - 1
        })),
    };
    let launches = lowered
        .steps
        .iter()
        .map(|step| Launch {
            kernel: step.kernel,
            n_tasks: lowered.kernels[step.kernel].n_tasks() as u64,
            operands: step.operands.iter().map(|&id| slot(id)).collect(),
            label: step.label.clone(),
        })
        .collect();
    let scratch = lowered.kernels.iter().map(emit::scratch_bytes).max().unwrap_or(0);
    Plan {
        launches,
        kernels: lowered.kernels.iter().map(|k| k.name.clone()).collect(),
        inputs: lowered.inputs.clone(),
        outputs: lowered.outputs.clone(),
        constants,
        arena_bytes: memory.arena_bytes,
        scratch_bytes: scratch,
    }
}
