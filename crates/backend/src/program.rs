//! Turns a lowered graph into the plan that the runtime runs.

use std::collections::BTreeMap;

use tracelift_loops::flops_at_most;
use tracelift_runtime::{Launch, Plan, Slot};

use crate::{
    MemoryPlan, emit,
    lower::{Lowered, StorageId, StorageKind},
    recipe::Recipe,
};

/// What waking another thread takes, in nanoseconds.
const FEW_NS: u64 = 5_000;
/// Operations and bytes per nanosecond of one thread, so low that few programs are underestimated.
const FLOPS_PER_NS: u64 = 50;
const BYTES_PER_NS: u64 = 20;

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
        runs_alone: work_ns(lowered) < FEW_NS,
    };
    (plan, recipes)
}

/// The nanoseconds that one thread may take for a program, or some large number.
fn work_ns(lowered: &Lowered) -> u64 {
    let operands = lowered.steps.iter().flat_map(|step| &step.operands);
    let bytes: usize = operands.map(|&id| lowered.storages[id].size_bytes()).sum();
    let memory_ns = bytes as u64 / BYTES_PER_NS;
    if memory_ns >= FEW_NS {
        return memory_ns;
    }
    let flops = lowered.steps.iter().map(|step| flops_at_most(&lowered.kernels[step.kernel]));
    memory_ns + flops.fold(0, u64::saturating_add) / FLOPS_PER_NS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LowerOptions, lower, plan_memory};
    use tracelift_ir::{Graph, TensorType};
    use tracelift_tensor::{DType, IsaLevel, Target};

    /// Whether a product of `m` rows with 16 × 16 numbers runs alone.
    fn runs_alone(m: usize) -> bool {
        let mut graph = Graph::new("product");
        let x = graph.add_input("x", TensorType::new(DType::F32, [m, 16]));
        let w = graph.add_input("w", TensorType::new(DType::F32, [16, 16]));
        let y = tracelift_ir::Builder::new(&mut graph).contract(x, w, "mk, kn -> mn").unwrap();
        graph.add_result("y", y);
        let lowered =
            lower(&graph, &Target::typical(IsaLevel::X86_64V3), &LowerOptions::default()).unwrap();
        make_plan(&lowered, &plan_memory(&lowered)).0.runs_alone
    }

    #[test]
    fn little_work_stays_on_the_callers_thread() {
        assert!(runs_alone(1) && runs_alone(100));
        assert!(!runs_alone(1000));
    }
}
