//! Small kernels that several tests share.

use tracelift_scalar::{Guard, IndexExpr, Op};
use tracelift_tensor::{DType, Scalar};

use crate::{BufferKind, Inst, Kernel, Place, Stmt, Tile, ValueId};

/// `Σ coefficient · axis + constant`.
pub(crate) fn affine(terms: &[(usize, i64)], constant: i64) -> IndexExpr {
    terms.iter().fold(IndexExpr::constant(constant), |sum, (axis, c)| {
        sum.add(&IndexExpr::axis(*axis).scale(*c))
    })
}

pub(crate) fn place(buffer: usize, index: IndexExpr) -> Place {
    Place { buffer, index, dynamic: Vec::new() }
}

pub(crate) fn load(place: Place) -> Inst {
    Inst::Load { place, guards: Vec::new(), fill: Scalar::F32(0.0) }
}

pub(crate) fn store(place: Place, value: u32) -> Inst {
    Inst::Store { place, guards: Vec::new(), condition: None, value: ValueId(value) }
}

pub(crate) fn apply(op: Op, operands: &[u32]) -> Inst {
    Inst::Apply(op, operands.iter().map(|v| ValueId(*v)).collect())
}

/// `out[m, n] = max(Σ_k x[m, k] · w[k, n], 0)` in tiles of 2 × 4, for 4 × 5 × 6 (m, k, n): the last
/// tile of columns is cut by a guard.
pub(crate) fn gemm() -> Kernel {
    let mut kernel = Kernel { name: "f32_gemm_2x4".into(), ..Kernel::default() };
    let x = kernel.add_buffer("x", DType::F32, 20, BufferKind::Input);
    let w = kernel.add_buffer("w", DType::F32, 30, BufferKind::Input);
    let out = kernel.add_buffer("out", DType::F32, 24, BufferKind::Output);
    let (m, n) = (kernel.add_axis("m", 2), kernel.add_axis("n", 2));
    let (r, c, k) = (kernel.add_axis("r", 2), kernel.add_axis("c", 4), kernel.add_axis("k", 5));
    let inside = vec![Guard { expr: affine(&[(n, 4), (c, 1)], 0), extent: 6 }];
    kernel.grid = vec![m, n];
    kernel.body = vec![Stmt::Tile(Tile {
        rows: r,
        columns: c,
        loops: vec![k],
        unroll: 4,
        insts: vec![
            Inst::Const(Scalar::F32(0.0)),
            Inst::Accumulator(ValueId(0)),
            load(place(x, affine(&[(m, 10), (r, 5), (k, 1)], 0))),
            Inst::Load {
                place: place(w, affine(&[(k, 6), (n, 4), (c, 1)], 0)),
                guards: inside.clone(),
                fill: Scalar::F32(0.0),
            },
            apply(Op::Fma, &[2, 3, 1]),
            Inst::Update { accumulator: ValueId(1), value: ValueId(4) },
            apply(Op::Max, &[1, 0]),
            Inst::Store {
                place: place(out, affine(&[(m, 12), (r, 6), (n, 4), (c, 1)], 0)),
                guards: inside,
                condition: None,
                value: ValueId(6),
            },
        ],
        n_init: 2,
        n_body: 4,
    })];
    kernel
}

/// Softmax over 3 rows of 10 columns, one row a task, in columns of 4 with scratch between passes.
pub(crate) fn softmax() -> Kernel {
    let mut kernel = Kernel { name: "f32_softmax_1x4".into(), ..Kernel::default() };
    let x = kernel.add_buffer("x", DType::F32, 30, BufferKind::Input);
    let out = kernel.add_buffer("out", DType::F32, 30, BufferKind::Output);
    let totals = kernel.add_buffer("totals", DType::F32, 2, BufferKind::Scratch);
    let row = kernel.add_axis("row", 3);
    let (r, c, j) = (kernel.add_axis("r", 1), kernel.add_axis("c", 4), kernel.add_axis("j", 3));
    let inside = || vec![Guard { expr: affine(&[(c, 1), (j, 4)], 0), extent: 10 }];
    let at = |buffer| place(buffer, affine(&[(row, 10), (c, 1), (j, 4)], 0));
    let guarded = |buffer, fill| Inst::Load { place: at(buffer), guards: inside(), fill };
    let tile = |insts, n_init, n_body| {
        Stmt::Tile(Tile { rows: r, columns: c, loops: vec![j], unroll: 1, insts, n_init, n_body })
    };
    let guarded_store = |value| Inst::Store {
        place: at(out),
        guards: inside(),
        condition: None,
        value: ValueId(value),
    };
    let maximum = vec![
        Inst::Const(Scalar::F32(f32::NEG_INFINITY)),
        Inst::Accumulator(ValueId(0)),
        guarded(x, Scalar::F32(f32::NEG_INFINITY)),
        apply(Op::Max, &[1, 2]),
        Inst::Update { accumulator: ValueId(1), value: ValueId(3) },
        Inst::FoldColumns(Op::Max, ValueId(1)),
        store(place(totals, affine(&[], 0)), 5),
    ];
    let total = vec![
        Inst::Const(Scalar::F32(0.0)),
        Inst::Accumulator(ValueId(0)),
        load(place(totals, affine(&[], 0))),
        guarded(x, Scalar::F32(f32::NEG_INFINITY)),
        apply(Op::Sub, &[3, 2]),
        apply(Op::Exp, &[4]),
        guarded_store(5),
        apply(Op::Add, &[1, 5]),
        Inst::Update { accumulator: ValueId(1), value: ValueId(7) },
        Inst::FoldColumns(Op::Add, ValueId(1)),
        store(place(totals, affine(&[], 1)), 9),
    ];
    let divide = vec![
        load(place(totals, affine(&[], 1))),
        guarded(out, Scalar::F32(0.0)),
        apply(Op::Div, &[1, 0]),
        guarded_store(2),
    ];
    kernel.grid = vec![row];
    kernel.body = vec![tile(maximum, 2, 3), tile(total, 3, 6), tile(divide, 1, 3)];
    kernel
}
