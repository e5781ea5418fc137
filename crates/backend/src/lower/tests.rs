//! Lowered graphs against the graph interpreter, by the interpreter of the kernel language.

use tracelift_ir::{
    Builder, Contract, Conv, ConvLayout, Graph, Reduce, ReduceKind, Softmax, TensorType, Value,
    interpret,
};
use tracelift_loops::verify;
use tracelift_tensor::{DType, IsaLevel, Scalar, Target, Tensor};

use super::{LowerOptions, Lowered, lower};
use crate::{check_memory_plan, plan_memory};

/// Reproducible numbers in −1..1 with few bits, so that sums are exact.
fn input(shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    Tensor::from_fn(DType::F32, shape, |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Scalar::F32((state % 17) as f32 / 8.0 - 1.0)
    })
}

fn check(
    build: impl FnOnce(&mut Builder<'_>, &[Value]) -> Vec<Value>,
    shapes: &[&[usize]],
) -> Lowered {
    let mut graph = Graph::new("g");
    let inputs: Vec<Value> = shapes
        .iter()
        .enumerate()
        .map(|(k, s)| graph.add_input(&format!("x{k}"), TensorType::new(DType::F32, *s)))
        .collect();
    let results = build(&mut Builder::new(&mut graph), &inputs);
    results.into_iter().for_each(|v| graph.add_result("", v));
    let tensors: Vec<Tensor> =
        shapes.iter().enumerate().map(|(k, s)| input(s, k as u64 + 1)).collect();
    let expected = interpret(&graph, &tensors).unwrap();
    let [wide, wider, narrow] =
        [(IsaLevel::X86_64V4, 64), (IsaLevel::X86_64V3, 32), (IsaLevel::X86_64V3, 16)]
            .map(|(level, vector_bytes)| Target { vector_bytes, ..Target::typical(level) });
    check_for(&graph, &wide, &tensors, &expected);
    check_for(&graph, &wider, &tensors, &expected);
    check_for(&graph, &narrow, &tensors, &expected)
}

/// Lowers for a target and compares with what is expected.
fn check_for(graph: &Graph, target: &Target, inputs: &[Tensor], expected: &[Tensor]) -> Lowered {
    // Convolutions directly: those by Winograd's algorithm have tests with bounds of their own.
    let options = LowerOptions { winograd_budget: 0.0, ..LowerOptions::default() };
    let lowered = lower(graph, target, &options).unwrap();
    for kernel in &lowered.kernels {
        assert_eq!(verify(kernel).map_err(|v| format!("{v:#?}\n{kernel:#?}")), Ok(()));
    }
    assert_eq!(check_memory_plan(&lowered, &plan_memory(&lowered)), Ok(()));
    for (found, expected) in lowered.interpret(inputs).iter().zip(expected) {
        assert_eq!(found.shape(), expected.shape());
        for (x, y) in found.iter().zip(expected.iter()) {
            let (x, y) = (x.to_f64(), y.to_f64());
            assert!(x == y || (x - y).abs() <= 1e-5 * y.abs().max(1.0), "{found:?}\n{expected:?}");
        }
    }
    lowered
}

fn conv(b: &mut Builder<'_>, x: Value, w: Value, layout: ConvLayout, groups: usize) -> Value {
    let op = Conv {
        strides: vec![2, 1],
        pads: vec![[1, 1], [2, 0]],
        dilations: vec![1, 2],
        groups,
        layout,
    };
    b.op1(op, &[x, w]).unwrap()
}

#[test]
fn elementwise_chains_become_one_kernel() {
    let lowered = check(
        |b, x| {
            let s = b.add(x[0], x[1]).unwrap();
            let m = b.mul(s, x[0]).unwrap();
            vec![b.neg(m).unwrap()]
        },
        &[&[3, 37], &[3, 37]],
    );
    assert_eq!(lowered.steps.len(), 1);
}

#[test]
fn a_broadcast_is_read_where_it_repeats_from_however_often_it_is_used() {
    let lowered = check(
        |b, x| {
            let row = b.neg(x[1]).unwrap();
            let shape = b.shape(x[0]);
            let mask = b.op1(tracelift_ir::Broadcast { shape, axes: vec![1] }, &[row]).unwrap();
            let softmax = |k: usize| {
                let scaled = b.map_scalar(tracelift_ir::Mul {}, x[0], k as f64).unwrap();
                let sum = b.add(scaled, mask).unwrap();
                b.decomposed(&Softmax { axis: 1 }.into(), &[sum]).unwrap()[0]
            };
            (1..=10).map(softmax).collect()
        },
        &[&[6, 37], &[37]],
    );
    // One kernel negates a row, the others are of softmaxes.
    assert_eq!(lowered.steps.len(), 11);
    let written = lowered.kernels[lowered.steps[0].kernel].buffers.last().map(|b| b.len);
    assert_eq!(written, Some(37));
}

#[test]
fn pads_that_crop_as_much_as_they_add_are_no_whole_copies() {
    for (low, high) in [(-1, 1), (1, -1), (-2, 2), (-1, 2)] {
        let pad = tracelift_ir::Pad {
            low: vec![0, low],
            high: vec![0, high],
            interior: Vec::new(),
            value: tracelift_ir::Literal::Real(0.5),
        };
        check(
            |b, x| {
                let reduce = Reduce { kind: ReduceKind::Max, axes: vec![0] };
                let y = b.op1(reduce, &[x[0]]).unwrap();
                vec![b.op1(pad, &[y]).unwrap()]
            },
            &[&[3, 7, 2]],
        );
    }
}

#[test]
fn maps_of_transposes_move_squares() {
    for (dims, perm, is_constant) in [
        (vec![48, 70], vec![1, 0], false),
        (vec![2, 33, 5, 20], vec![0, 2, 3, 1], false),
        (vec![2, 17, 19, 6], vec![0, 3, 1, 2], true),
        (vec![1, 40, 3, 16], vec![0, 2, 3, 1], true),
    ] {
        let mut graph = Graph::new("g");
        let x = graph.add_input("x", TensorType::new(DType::F32, dims.as_slice()));
        let mut b = Builder::new(&mut graph);
        let mut y = b.op1(tracelift_ir::Transpose { perm }, &[x]).unwrap();
        if is_constant {
            y = b.map_scalar(tracelift_ir::Mul {}, y, 0.5).unwrap();
        }
        graph.add_result("", y);
        let tensors = [input(&dims, 3)];
        let expected = interpret(&graph, &tensors).unwrap();
        for (level, vector_bytes) in [(IsaLevel::X86_64V4, 64), (IsaLevel::X86_64V3, 32)] {
            let target = Target { vector_bytes, ..Target::typical(level) };
            let lowered = check_for(&graph, &target, &tensors, &expected);
            assert_eq!(lowered.kernels[0].name, "transpose", "{dims:?}");
        }
    }
}

#[test]
fn rows_with_a_scale_for_each_channel_are_cut_into_channels() {
    for dims in [[2, 8, 7, 7], [3, 6, 5, 9], [2, 4, 14, 14]] {
        let row_len: usize = dims[1..].iter().product();
        let mut graph = Graph::new("g");
        let types = [dims.to_vec(), vec![dims[1]]];
        let inputs = types
            .each_ref()
            .map(|dims| graph.add_input("x", TensorType::new(DType::F32, dims.as_slice())));
        let mut b = Builder::new(&mut graph);
        let reshape = |dims: &[usize]| tracelift_ir::Reshape { shape: dims.into() };
        let rows = b.op1(reshape(&[dims[0], row_len]), &inputs[..1]).unwrap();
        let rows = b.decomposed(&Softmax { axis: 1 }.into(), &[rows]).unwrap();
        let channels = b.op1(reshape(&dims), &rows).unwrap();
        let spread = tracelift_ir::Broadcast { shape: b.shape(channels), axes: vec![1] };
        let scale = b.op1(spread, &inputs[1..]).unwrap();
        let y = b.mul(channels, scale).unwrap();
        graph.add_result("", y);
        let tensors = [input(&types[0], 1), input(&types[1], 2)];
        let expected = interpret(&graph, &tensors).unwrap();
        let target = Target::typical(IsaLevel::X86_64V4);
        let lowered = check_for(&graph, &target, &tensors, &expected);
        assert_eq!(lowered.kernels.len(), 1);
        assert!(harness::is_plain(&lowered.kernels[0]), "{}", lowered.kernels[0]);
    }
}

#[test]
fn softmax_is_one_row_kernel() {
    for row_len in [2, 3, 16, 37] {
        let lowered = check(
            |b, x| {
                let op = tracelift_ir::Op::from(Softmax { axis: 2 });
                b.decomposed(&op, &[x[0]]).unwrap()
            },
            &[&[2, 3, row_len]],
        );
        assert_eq!(lowered.steps.len(), 1);
    }
}

#[test]
fn a_row_kernel_can_return_what_it_keeps() {
    let lowered = check(
        |b, x| {
            let square = b.mul(x[0], x[0]).unwrap();
            let sum = b.op1(Reduce { kind: ReduceKind::Sum, axes: vec![1] }, &[square]).unwrap();
            let root = b.sqrt(sum).unwrap();
            let shape = b.shape(x[0]);
            let spread = tracelift_ir::Broadcast { shape, axes: vec![0] };
            let spread = b.op1(spread, &[root]).unwrap();
            vec![b.div(square, spread).unwrap(), square, root]
        },
        &[&[5, 21]],
    );
    assert_eq!(lowered.steps.len(), 2);
}

#[test]
fn products_of_every_shape_fit_the_register_tile() {
    for (m, k, n) in
        [(1, 4, 3), (7, 5, 8), (11, 3, 19), (5, 1, 40), (6, 0, 4), (12, 9, 1), (21, 3, 9)]
    {
        check(
            |b, x| {
                let y = b.op1(Contract::new("mk, kn -> mn"), &[x[0], x[1]]).unwrap();
                let bias = b.broadcast_to(x[2], &[m, n].into()).unwrap();
                let y = b.add(y, bias).unwrap();
                vec![b.exp(y).unwrap()]
            },
            &[&[m, k], &[k, n], &[n]],
        );
    }
}

#[test]
fn transposed_and_constant_operands_are_packed() {
    let lowered = check(
        |b, x| {
            let w = b.constant(input(&[19, 6], 9));
            let y = b.op1(Contract::new("bmk, nk -> bmn"), &[x[0], w]).unwrap();
            vec![b.op1(Contract::new("bmn, bln -> bml"), &[y, x[1]]).unwrap()]
        },
        &[&[2, 7, 6], &[2, 5, 19]],
    );
    assert!(lowered.storages.iter().any(|s| s.name.ends_with(".panels")));
}

#[test]
fn attention_by_letters() {
    check(
        |b, x| {
            let scores = b.op1(Contract::new("bthd, bshd -> bhts"), &[x[0], x[1]]).unwrap();
            let op = tracelift_ir::Op::from(Softmax { axis: 3 });
            let probabilities = b.decomposed(&op, &[scores]).unwrap()[0];
            let spec = "bhts, bshd -> bthd";
            vec![b.op1(Contract::new(spec), &[probabilities, x[2]]).unwrap()]
        },
        &[&[2, 5, 3, 4], &[2, 6, 3, 4], &[2, 6, 3, 4]],
    );
}

#[test]
fn convolutions_in_both_layouts_and_groups() {
    let first = ConvLayout::ChannelsFirst;
    check(|b, x| vec![conv(b, x[0], x[1], first, 1)], &[&[2, 3, 5, 6], &[4, 3, 3, 2]]);
    check(|b, x| vec![conv(b, x[0], x[1], first, 2)], &[&[1, 6, 5, 6], &[4, 3, 3, 2]]);
    check(|b, x| vec![conv(b, x[0], x[1], first, 4)], &[&[1, 4, 5, 6], &[4, 1, 3, 2]]);
    let last = ConvLayout::ChannelsLast;
    check(|b, x| vec![conv(b, x[0], x[1], last, 1)], &[&[2, 5, 9, 3], &[3, 2, 3, 11]]);
    check(|b, x| vec![conv(b, x[0], x[1], last, 3)], &[&[1, 5, 6, 6], &[3, 2, 2, 9]]);
    check(|b, x| vec![conv(b, x[0], x[1], last, 5)], &[&[1, 5, 6, 5], &[3, 2, 1, 5]]);
}

#[test]
fn reductions_over_any_axes() {
    for axes in [vec![0], vec![1], vec![2], vec![0, 2], vec![1, 2], vec![0, 1, 2]] {
        for kind in [ReduceKind::Sum, ReduceKind::Max] {
            for shape in [[3, 4, 18], [3, 4, 0], [0, 2, 9]] {
                let reduce = Reduce { kind, axes: axes.clone() };
                check(move |b, x| vec![b.op1(reduce, &[x[0]]).unwrap()], &[&shape]);
            }
        }
    }
}

#[test]
fn inputs_constants_and_repeated_values_can_be_returned() {
    check(
        |b, x| {
            let c = b.constant(input(&[4], 3));
            let y = b.neg(x[0]).unwrap();
            let flat = b.op1(tracelift_ir::Reshape { shape: [6].into() }, &[y]).unwrap();
            vec![x[0], c, y, y, flat]
        },
        &[&[2, 3]],
    );
}

#[test]
fn constants_are_padded_with_zeros_too() {
    check(
        |b, x| {
            let c = b.splat(Scalar::F32(2.0), [1, 3, 5, 6]);
            vec![conv(b, c, x[0], ConvLayout::ChannelsFirst, 1)]
        },
        &[&[4, 3, 3, 2]],
    );
}

#[test]
fn folds_over_nothing_read_nothing() {
    check(
        |b, x| vec![b.op1(Reduce { kind: ReduceKind::Max, axes: vec![1] }, &[x[0]]).unwrap()],
        &[&[3, 0, 5]],
    );
}

#[test]
fn scatters_accumulate_where_all_updates_meet() {
    check(
        |b, x| {
            let at = b.splat(Scalar::Signed(DType::I64, 1), [3, 1]);
            let op = tracelift_ir::ScatterNd { mode: tracelift_ir::ScatterMode::Add };
            vec![b.op1(op, &[x[0], at, x[1]]).unwrap()]
        },
        &[&[4], &[3]],
    );
}

#[test]
fn tails_of_one_column_and_all_negative_rows() {
    for axes in [vec![0], vec![1], vec![2]] {
        check(
            move |b, x| {
                let power = b.exp(x[0]).unwrap();
                let negative = b.neg(power).unwrap();
                vec![b.op1(Reduce { kind: ReduceKind::Max, axes }, &[negative]).unwrap()]
            },
            &[&[3, 4, 17]],
        );
    }
}

#[test]
fn concatenations_are_copied_part_by_part() {
    for axis in [0, 1] {
        check(
            move |b, x| vec![b.op1(tracelift_ir::Concat { axis }, &[x[0], x[1], x[2]]).unwrap()],
            &[&[3, 3], &[3, 3], &[3, 3]],
        );
    }
}

mod assembled;
mod chains;
mod harness;
mod masks;
mod parts;
mod products;
mod strips;
mod windows;
