//! Random kernels verify, run, read back from their text, and do not depend on the order of tasks.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::{Inst, interpret, interpret_tasks, parse, proves_disjoint_writes, verify};

fn sample(seed: u64) -> Kernel {
    random_kernel(seed, &KernelOptions::default())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn random_kernels_verify_and_stay_in_bounds(seed: u64) {
        let kernel = sample(seed);
        let violations = verify(&kernel).err().unwrap_or_default();
        prop_assert!(violations.is_empty(), "{}\n{kernel}", violations[0]);
        // The interpreter panics where an index leaves its buffer.
        interpret(&kernel, &mut random_buffers(&kernel, seed));
    }

    #[test]
    fn tasks_run_in_any_order(seed: u64) {
        let kernel = sample(seed);
        let (mut ascending, mut descending) = {
            let buffers = random_buffers(&kernel, seed);
            (buffers.clone(), buffers)
        };
        interpret(&kernel, &mut ascending);
        for task in (0..kernel.n_tasks()).rev() {
            interpret_tasks(&kernel, &mut descending, task..task + 1);
        }
        prop_assert_eq!(ascending, descending);
    }

    #[test]
    fn text_reads_back_to_an_equal_kernel(seed: u64) {
        let kernel = sample(seed);
        let text = kernel.to_string();
        let back = parse(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert_eq!(&back, &kernel, "{}", text);
        prop_assert_eq!(back.to_string(), text);
    }
}

#[test]
fn seeds_reach_every_instruction_and_every_exact_operation() {
    let (mut kinds, mut ops) = (HashSet::new(), HashSet::new());
    let mut has_dynamic = [false; 2];
    for seed in 0..1500 {
        sample(seed).for_each_tile(&mut |tile| {
            for inst in &tile.insts {
                kinds.insert(std::mem::discriminant(inst));
                match inst {
                    Inst::Apply(op, _) => {
                        ops.insert(op.name());
                    }
                    Inst::Load { place, .. } => has_dynamic[0] |= !place.dynamic.is_empty(),
                    Inst::Store { place, .. } => has_dynamic[1] |= !place.dynamic.is_empty(),
                    _ => {}
                }
            }
        });
    }
    assert_eq!(kinds.len(), 10);
    assert_eq!(has_dynamic, [true; 2]);
    let reachable = |op: &Op| {
        DType::ALL.iter().any(|d| {
            is_exact(*op, *d)
                && (op.result_dtype(&vec![*d; op.arity()]).is_ok() || *op == Op::Select)
        })
    };
    let missing: Vec<&str> = Op::ALL
        .iter()
        .filter(|op| reachable(op))
        .map(|op| op.name())
        .filter(|n| !ops.contains(n))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn most_kernels_provably_write_apart() {
    let unproven = (0..1000).filter(|seed| !proves_disjoint_writes(&sample(*seed))).count();
    assert!(unproven <= 10, "{unproven} of 1000");
}

#[test]
fn options_limit_what_kernels_contain() {
    let options = KernelOptions {
        dtypes: vec![DType::F32],
        allow: |op, _| matches!(op, Op::Add | Op::Mul),
        has_dynamic_places: false,
        ..KernelOptions::default()
    };
    for seed in 0..200 {
        let kernel = random_kernel(seed, &options);
        assert!(verify(&kernel).is_ok());
        assert!(kernel.buffers.iter().all(|b| b.dtype == DType::F32));
        kernel.for_each_tile(&mut |tile| {
            for inst in &tile.insts {
                assert!(!matches!(inst, Inst::Apply(op, _) if !matches!(op, Op::Add | Op::Mul)));
                assert!(!matches!(inst, Inst::Index(_) | Inst::Test(_)));
            }
        });
    }
}
