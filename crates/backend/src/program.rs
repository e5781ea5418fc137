//! Turns a lowered graph into the plan that the runtime runs.

use std::collections::BTreeMap;

use tracelift_runtime::{Launch, Plan, Slot};

use crate::{
    MemoryPlan, emit,
    lower::{Lowered, StorageId, StorageKind},
    recipe::Recipe,
};

/// The plan of a lowered graph without its constants, and how those in use are made, in order.
pub fn make_plan(lowered: &Lowered, memory: &MemoryPlan) -> (Plan, Vec<Recipe>) {
    let mut recipes = Vec::new();
    let mut placed: BTreeMap<StorageId, usize> = BTreeMap::new();
    let mut slot = |id: StorageId| match &lowered.storages[id].kind {
        StorageKind::Input(k) => Slot::Input(*k),
        StorageKind::Output(k) => Slot::Output(*k),
        StorageKind::Temporary => {
            Slot::Arena(*memory.offsets.get(&id).expect("the plan places what steps touch"))
        }
        StorageKind::Constant(recipe) => Slot::Constant(*placed.entry(id).or_insert_with(|| {
            recipes.push(recipe.clone());
            recipes.len() - 1
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
    let plan = Plan {
        launches,
        kernels: lowered.kernels.iter().map(|k| k.name.clone()).collect(),
        inputs: lowered.inputs.clone(),
        outputs: lowered.outputs.clone(),
        constants: Vec::new(),
        arena_bytes: memory.arena_bytes,
        scratch_bytes: scratch,
    };
    (plan, recipes)
}
