//! What the tile assembler has code for, so that Cranelift's narrow vectors compute none of it.

use tracelift_ir::{ArgReduce, Asinh, Atan, Composite, Cos, Extreme, Pow, Sin, Tan};

use super::harness::{check_everywhere, is_assembled, keeps_sums_whole};
use super::*;

/// Whether every kernel of a graph is assembled for the targets that have an assembler.
fn all_assembled(
    build: impl FnOnce(&mut Builder<'_>, &[Value]) -> Value,
    shapes: &[Vec<usize>],
) -> bool {
    let lowered = check_everywhere(build, shapes);
    let wide = Target { vector_bytes: 64, ..Target::typical(IsaLevel::X86_64V4) };
    let narrow = Target { vector_bytes: 32, ..Target::typical(IsaLevel::X86_64V3) };
    // For each target there are two sizes of the caches.
    let pairs = lowered[..4].iter().zip([wide, wide, narrow, narrow]);
    pairs.into_iter().all(|(l, target)| l.kernels.iter().all(|k| is_assembled(k, &target)))
}

#[test]
fn positions_of_extremes_are_found_in_vectors() {
    for (axis, select_last) in [(0, false), (1, false), (2, true), (2, false)] {
        let op = ArgReduce { kind: Extreme::Max, axis, select_last };
        let build = |b: &mut Builder<'_>, x: &[Value]| op.decompose(b, x).unwrap()[0];
        assert!(all_assembled(build, &[vec![3, 21, 70]]), "{op:?}");
    }
}

#[test]
fn sums_over_all_but_the_channels_are_a_task_for_each() {
    let shapes = [[2, 5, 3, 4], [3, 2, 7, 7], [2, 3, 9, 31], [1, 4, 16, 16]];
    for shape in shapes {
        for kind in [ReduceKind::Sum, ReduceKind::Max] {
            let build = |b: &mut Builder<'_>, x: &[Value]| {
                let product = b.mul(x[0], x[1]).unwrap();
                let sum = b.op1(Reduce { kind, axes: vec![0, 2, 3] }, &[product]).unwrap();
                b.neg(sum).unwrap()
            };
            let shapes = [shape.to_vec(), shape.to_vec()];
            for lowered in check_everywhere(build, &shapes) {
                let [kernel] = lowered.kernels.as_slice() else { panic!("{shape:?}") };
                assert_eq!(kernel.n_tasks(), shape[1]);
                assert!(keeps_sums_whole(kernel));
            }
            assert!(all_assembled(build, &shapes), "{shape:?}");
        }
    }
}

#[test]
fn attention_with_a_mask_of_bools_is_assembled() {
    let build = |b: &mut Builder<'_>, x: &[Value]| {
        let scores = b.op1(Contract::new("htd, hsd -> hts"), &[x[0], x[1]]).unwrap();
        let sees =
            Tensor::from_fn(DType::Bool, &[21, 40], |at| Scalar::Bool(at[1] % 3 != at[0] % 2));
        let sees = b.constant(sees);
        let shape = b.shape(scores);
        let sees = b.broadcast_to(sees, &shape).unwrap();
        let low = b.splat(Scalar::F32(f32::NEG_INFINITY), shape);
        let masked = b.select(sees, scores, low).unwrap();
        let softmax = tracelift_ir::Op::from(Softmax { axis: 2 });
        let weights = b.decomposed(&softmax, &[masked]).unwrap()[0];
        b.op1(Contract::new("hts, hse -> hte"), &[weights, x[2]]).unwrap()
    };
    assert!(all_assembled(build, &[vec![2, 21, 16], vec![2, 40, 16], vec![2, 40, 16]]));
}

#[test]
fn sums_over_rows_are_strips_of_columns() {
    for (shape, n_tasks) in [([128, 256], 2), ([1024, 96], 2), ([64, 1024], 4), ([64, 257], 1)] {
        let op = Reduce { kind: ReduceKind::Sum, axes: vec![0] };
        let build = |b: &mut Builder<'_>, x: &[Value]| b.op1(op, &[x[0]]).unwrap();
        let lowered = check_everywhere(build, &[shape.to_vec()]);
        // The first target has registers of 64 bytes.
        let [kernel] = lowered[0].kernels.as_slice() else { panic!("{shape:?}") };
        assert_eq!(kernel.n_tasks(), n_tasks, "{shape:?}");
        assert!(keeps_sums_whole(kernel));
    }
}

#[test]
fn functions_of_f32_computed_in_f64_are_assembled() {
    type Unary = fn(&mut Builder<'_>, Value) -> Value;
    let functions: [Unary; 6] = [
        |b, x| b.op1(Sin {}, &[x]).unwrap(),
        |b, x| b.op1(Cos {}, &[x]).unwrap(),
        |b, x| b.op1(Tan {}, &[x]).unwrap(),
        |b, x| b.op1(Atan {}, &[x]).unwrap(),
        |b, x| b.op1(Asinh {}, &[x]).unwrap(),
        |b, x| {
            let base = b.exp(x).unwrap();
            b.op1(Pow {}, &[base, x]).unwrap()
        },
    ];
    for (k, function) in functions.into_iter().enumerate() {
        let build = |b: &mut Builder<'_>, x: &[Value]| function(b, x[0]);
        assert!(all_assembled(build, &[vec![3, 70]]), "function {k}");
    }
}
