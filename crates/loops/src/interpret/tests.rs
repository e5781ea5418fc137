//! Kernels against the same computation spelt out.

use tracelift_tensor::Element;

use super::*;
use crate::samples::{affine, apply, gemm, load, place, softmax, store};

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(f32::read).collect()
}

#[test]
fn a_guarded_contraction_gives_the_product() {
    let x: Vec<f32> = (0..20).map(|k| k as f32 - 9.0).collect();
    let w: Vec<f32> = (0..30).map(|k| (k * 7 % 11) as f32 - 5.0).collect();
    let mut buffers = [bytes(&x), bytes(&w), bytes(&[f32::NAN; 24])];
    interpret(&gemm(), &mut buffers);
    let expected: Vec<f32> = (0..24)
        .map(|at| {
            let (m, n) = (at / 6, at % 6);
            (0..5).map(|k| x[5 * m + k] * w[6 * k + n]).sum::<f32>().max(0.0)
        })
        .collect();
    assert_eq!(floats(&buffers[2]), expected);
}

#[test]
fn softmax_rows_sum_to_one_and_tasks_run_alone() {
    let x: Vec<f32> = (0..30).map(|k| (k * 13 % 17) as f32 / 4.0).collect();
    let mut buffers = [bytes(&x), bytes(&[7.0; 30])];
    interpret_tasks(&softmax(), &mut buffers, 1..2);
    let out = floats(&buffers[1]);
    assert_eq!(out[..10], [7.0; 10]);
    assert_eq!(out[20..], [7.0; 10]);
    let total: f32 = x[10..20].iter().map(|v| v.exp()).sum();
    for (y, v) in out[10..20].iter().zip(&x[10..20]) {
        assert!((y - v.exp() / total).abs() < 1e-6);
    }
}

/// A kernel of one tile of 2 × 3 points over buffers `x: f32[6]` and `out: f32[6]`.
fn one_tile(loops: &[usize], insts: Vec<Inst>, n_init: usize, n_body: usize) -> Kernel {
    let mut kernel = Kernel::default();
    kernel.add_buffer("x", DType::F32, 6, BufferKind::Input);
    kernel.add_buffer("out", DType::F32, 6, BufferKind::Output);
    let (rows, columns) = (kernel.add_axis("r", 2), kernel.add_axis("c", 3));
    let loops = loops.iter().map(|&extent| kernel.add_axis("k", extent)).collect();
    let tile = Tile { rows, columns, loops, unroll: 1, insts, n_init, n_body };
    kernel.body = vec![Stmt::Tile(tile)];
    kernel
}

fn run(kernel: &Kernel) -> Vec<f32> {
    let mut buffers = [bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), bytes(&[0.0; 6])];
    interpret(kernel, &mut buffers);
    floats(&buffers[1])
}

#[test]
fn an_accumulator_keeps_its_value_within_an_iteration() {
    // Two accumulators exchange their values in each of three iterations.
    let insts = vec![
        Inst::Const(Scalar::F32(1.0)),
        Inst::Const(Scalar::F32(2.0)),
        Inst::Accumulator(ValueId(0)),
        Inst::Accumulator(ValueId(1)),
        Inst::Update { accumulator: ValueId(2), value: ValueId(3) },
        Inst::Update { accumulator: ValueId(3), value: ValueId(2) },
        store(place(1, affine(&[(0, 3), (1, 1)], 0)), 2),
    ];
    assert_eq!(run(&one_tile(&[3], insts.clone(), 4, 2)), [2.0; 6]);
    assert_eq!(run(&one_tile(&[0], insts, 4, 2)), [1.0; 6]);
}

#[test]
fn a_load_sees_every_earlier_store_of_its_tile() {
    let insts = vec![
        load(place(0, affine(&[(0, 3), (1, 1)], 0))),
        store(place(1, affine(&[(0, 3), (1, 1)], 0)), 0),
        load(place(1, affine(&[(0, -3), (1, -1)], 5))),
        store(place(1, affine(&[(0, 3), (1, 1)], 0)), 2),
    ];
    assert_eq!(run(&one_tile(&[], insts, 4, 0)), [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
}

#[test]
fn the_last_point_of_a_shared_place_wins() {
    let insts = vec![
        load(place(0, affine(&[(0, 3), (1, 1)], 0))),
        store(place(1, affine(&[(0, 1)], 0)), 0),
    ];
    assert_eq!(run(&one_tile(&[], insts, 2, 0)), [3.0, 6.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn columns_fold_once_for_each_row() {
    let insts = vec![
        load(place(0, affine(&[(0, 3), (1, 1)], 0))),
        Inst::FoldColumns(Op::Add, ValueId(0)),
        Inst::Const(Scalar::F32(1.0)),
        Inst::FoldColumns(Op::Add, ValueId(2)),
        apply(Op::Add, &[1, 3]),
        store(place(1, affine(&[(0, 1)], 0)), 4),
    ];
    assert_eq!(run(&one_tile(&[], insts, 6, 0)), [9.0, 18.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn dynamic_places_and_conditions_scatter() {
    let column_is_2 = vec![Guard { expr: affine(&[(1, 1)], -2), extent: 1 }];
    let mut to = place(1, affine(&[], 0));
    to.dynamic = vec![(ValueId(0), 2)];
    let insts = vec![
        Inst::Index(affine(&[(0, -1)], 2)),
        Inst::Test(column_is_2),
        load(place(0, affine(&[(0, 3), (1, 1)], 0))),
        Inst::Store { place: to, guards: vec![], condition: Some(ValueId(1)), value: ValueId(2) },
    ];
    assert_eq!(run(&one_tile(&[], insts, 4, 0)), [0.0, 0.0, 6.0, 0.0, 3.0, 0.0]);
}

#[test]
fn scratch_is_poisoned_for_each_task() {
    let mut kernel = Kernel::default();
    kernel.add_buffer("out", DType::F32, 2, BufferKind::Output);
    kernel.add_buffer("tmp", DType::F32, 1, BufferKind::Scratch);
    let (task, r, c) = (kernel.add_axis("t", 2), kernel.add_axis("r", 1), kernel.add_axis("c", 1));
    kernel.grid = vec![task];
    let insts = vec![
        load(place(1, affine(&[], 0))),
        Inst::Const(Scalar::F32(1.0)),
        store(place(1, affine(&[], 0)), 1),
        store(place(0, affine(&[(task, 1)], 0)), 0),
    ];
    let tile = Tile { rows: r, columns: c, loops: vec![], unroll: 1, insts, n_init: 4, n_body: 0 };
    kernel.body = vec![Stmt::Tile(tile)];
    let mut buffers = [bytes(&[0.0; 2])];
    interpret(&kernel, &mut buffers);
    assert!(floats(&buffers[0]).iter().all(|x| x.is_nan()));
}

#[test]
fn empty_grids_and_tiles_run_nothing() {
    let mut kernel = gemm();
    let mut buffers = [bytes(&[1.0; 20]), bytes(&[1.0; 30]), bytes(&[7.0; 24])];
    for axis in [0, 2, 3] {
        kernel.axes[axis].extent = 0;
        interpret(&kernel, &mut buffers);
        assert_eq!(floats(&buffers[2]), [7.0; 24]);
        kernel = gemm();
    }
}
