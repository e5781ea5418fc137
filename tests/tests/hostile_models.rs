//! Damaged model files: an error or an answer, never a panic.
//!
//! `TRACELIFT_MUTANTS` sets how many (300 by default).

use std::panic::{AssertUnwindSafe, catch_unwind};

use tracelift::{
    Model, Options,
    import::{ImportOptions, import_onnx_bytes},
    tensor::{Bytes, Scalar, Tensor},
};

/// The most memory a mutant may ask for and still be run.
const MAX_ARENA_BYTES: usize = 64 << 20;

fn model() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/digits_cnn.onnx");
    std::fs::read(path).expect("the example model ships with the project")
}

/// Damages a file in one of four ways: cut, flipped bits, a long number, bytes moved.
fn mutate(original: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let mut bytes = original.to_vec();
    // The graph's structure lies outside the weights: near the start and near the end.
    let place = |r: usize| {
        if r.is_multiple_of(2) { r / 2 % 4096 } else { original.len() - 1 - r / 2 % 4096 }
    };
    match seed % 4 {
        0 => bytes.truncate(next(original.len())),
        1 => {
            for _ in 0..=next(4) {
                bytes[place(next(8192))] ^= 1 << next(8);
            }
        }
        2 => {
            let at = place(next(8192)).min(bytes.len() - 10);
            bytes[at..at + 9].fill(0xff);
            bytes[at + 9] = 1;
        }
        _ => {
            let (from, to) = (place(next(8192)), place(next(8192)));
            let n = 16.min(bytes.len() - from.max(to));
            bytes.copy_within(from..from + n, to);
        }
    }
    bytes
}

/// Imports, compiles and runs; errors are fine.
fn try_model(bytes: Vec<u8>) {
    let options = ImportOptions::default();
    let Ok(graph) = import_onnx_bytes(Bytes::from(bytes), "mutant.onnx".as_ref(), &options) else {
        return;
    };
    let options = Options { compile_threads: 1, ..Options::default() };
    let Ok(compiled) = Model::from_graph(graph).compile(&options) else { return };
    let Ok(program) = compiled.specialise(&Default::default()) else { return };
    let plan = program.program().plan();
    let outputs: usize = plan.outputs.iter().map(|port| port.size_bytes()).sum();
    if plan.arena_bytes.saturating_add(outputs) > MAX_ARENA_BYTES {
        return;
    }
    let inputs: Vec<Tensor> =
        plan.inputs.iter().map(|p| Tensor::splat(Scalar::zero(p.dtype), &p.shape)).collect();
    let _ = compiled.run(&inputs);
}

#[test]
fn damaged_models_give_errors_or_answers() {
    let original = model();
    let n = std::env::var("TRACELIFT_MUTANTS").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let failed: Vec<u64> = (0..n)
        .filter(|&seed| {
            let mutant = mutate(&original, seed);
            catch_unwind(AssertUnwindSafe(|| try_model(mutant))).is_err()
        })
        .collect();
    assert!(failed.is_empty(), "mutants {failed:?} panic");
}
