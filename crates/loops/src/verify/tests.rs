//! Sound kernels pass; each planted mistake is found, alone and under its rule.

use tracelift_scalar::Op;
use tracelift_tensor::Scalar;

use super::*;
use crate::samples::{affine, apply, gemm, load, place, softmax, store};
use crate::{BufferKind, ValueId};

fn rules(kernel: &Kernel) -> Vec<Rule> {
    verify(kernel).err().unwrap_or_default().into_iter().map(|v| v.rule).collect()
}

fn messages(kernel: &Kernel) -> Vec<String> {
    verify(kernel).err().unwrap_or_default().iter().map(|v| v.to_string()).collect()
}

/// The GEMM sample with its tile changed.
fn gemm_with(change: impl FnOnce(&mut Tile)) -> Kernel {
    let mut kernel = gemm();
    let Stmt::Tile(tile) = &mut kernel.body[0] else { panic!("the sample is one tile") };
    change(tile);
    kernel
}

/// One tile of 2 × 3 points over `x: f32[6]`, `i: i64[6]` and `out: f32[6]`; axes 0 and 1.
fn one_tile(insts: Vec<Inst>) -> Kernel {
    let mut kernel = Kernel { name: "one".into(), ..Kernel::default() };
    kernel.add_buffer("x", DType::F32, 6, BufferKind::Input);
    kernel.add_buffer("i", DType::I64, 6, BufferKind::Input);
    kernel.add_buffer("out", DType::F32, 6, BufferKind::Output);
    let (rows, columns) = (kernel.add_axis("r", 2), kernel.add_axis("c", 3));
    let n_init = insts.len();
    let tile = Tile { rows, columns, loops: vec![], unroll: 1, insts, n_init, n_body: 0 };
    kernel.body = vec![Stmt::Tile(tile)];
    kernel
}

fn constant(value: i64) -> Inst {
    Inst::Const(Scalar::Signed(DType::I64, value))
}

fn guarded(index: IndexExpr, guards: Vec<Guard>) -> Inst {
    Inst::Load { place: place(0, index), guards, fill: Scalar::F32(0.0) }
}

#[test]
fn samples_verify_and_their_tasks_write_apart() {
    for kernel in [gemm(), softmax()] {
        assert_eq!(verify(&kernel), Ok(()));
        assert!(proves_disjoint_writes(&kernel));
    }
}

#[test]
fn a_prefetch_may_lie_outside_but_is_one_place_of_the_body() {
    let sample = gemm().to_string();
    let with = |after: &str, place: &str| {
        let text = sample.replace(after, &format!("{after}    prefetch %w[{place}]\n"));
        let kernel = crate::parse(&text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(crate::parse(&kernel.to_string()), Ok(kernel.clone()));
        rules(&kernel)
    };
    let (in_body, after_body) = ("update %1 = %4\n", "%6: f32 = max(%1, %0)\n");
    assert_eq!(with(in_body, "100*k - 7"), []);
    assert_eq!(with(in_body, "6*k + r"), [Rule::Prefetch]);
    assert_eq!(with(in_body, "6*k + c"), [Rule::Prefetch]);
    assert_eq!(with(after_body, "4*n"), [Rule::Prefetch]);
    assert_eq!(with(after_body, "k"), [Rule::Prefetch, Rule::Scope]);
}

#[test]
fn an_index_one_too_far_is_named_with_its_range() {
    let kernel =
        gemm_with(|tile| tile.insts[2] = load(place(0, affine(&[(0, 10), (2, 5), (4, 1)], 1))));
    let expected = "TL0510: kernel @f32_gemm_2x4: tile 0: %2: %x[1..=20], expected within 0..20";
    assert_eq!(messages(&kernel), [expected]);
}

#[test]
fn a_missing_guard_is_found_on_loads_and_stores() {
    for at in [3, 7] {
        let kernel = gemm_with(|tile| match &mut tile.insts[at] {
            Inst::Load { guards, .. } | Inst::Store { guards, .. } => guards.clear(),
            other => panic!("{other:?} has no guard"),
        });
        assert_eq!(rules(&kernel), [Rule::Bounds]);
    }
}

#[test]
fn guards_bound_the_sums_they_speak_of() {
    // y·8 + x of an image 4 × 8 with a border of one, read by a 3 × 3 window.
    let mut kernel = Kernel::default();
    kernel.add_buffer("x", DType::F32, 32, BufferKind::Input);
    let axes: Vec<AxisId> =
        [("y", 4), ("x", 8), ("dy", 3), ("dx", 3)].map(|(n, e)| kernel.add_axis(n, e)).to_vec();
    let index = affine(&[(0, 8), (2, 8), (1, 1), (3, 1)], -9);
    let row = Guard { expr: affine(&[(0, 1), (2, 1)], -1), extent: 4 };
    let column = Guard { expr: affine(&[(1, 1), (3, 1)], -1), extent: 8 };
    let mut with = |guards: Vec<Guard>| {
        let insts = vec![guarded(index.clone(), guards)];
        let tile = Tile {
            rows: 0,
            columns: 1,
            loops: axes[2..].to_vec(),
            unroll: 1,
            insts,
            n_init: 0,
            n_body: 1,
        };
        kernel.body = vec![Stmt::Tile(tile)];
        rules(&kernel)
    };
    assert_eq!(with(vec![row.clone(), column.clone()]), []);
    assert_eq!(with(vec![row]), [Rule::Bounds]);
    assert_eq!(with(vec![column]), [Rule::Bounds]);
}

#[test]
fn guards_bound_divisions_and_single_axes() {
    let flat = affine(&[(0, 4), (1, 1)], 0);
    let guard = Guard { expr: flat.clone(), extent: 6 };
    let quotient =
        IndexExpr { constant: 0, terms: vec![(IndexTerm::Div(Box::new(flat), 2), 3)].into() };
    let rest = IndexExpr {
        constant: 0,
        terms: vec![(IndexTerm::Rem(Box::new(affine(&[(1, 1)], 0)), 2), -1)].into(),
    };
    let fits = |e: IndexExpr| rules(&one_tile(vec![guarded(e, vec![guard.clone()])]));
    assert_eq!(fits(quotient.offset(-1)), [Rule::Bounds]);
    assert_eq!(fits(quotient.offset(-1).add(&rest).offset(1)), [Rule::Bounds]);
    assert_eq!(fits(rest.offset(1)), []);
    assert_eq!(fits(affine(&[(0, 4), (1, 1)], 0)), []);
    // 4·r + c < 6 leaves r = 1 with c < 2 only, but every c with r = 0.
    assert_eq!(fits(affine(&[(1, 3)], -1)), [Rule::Bounds]);
}

#[test]
fn an_enclosing_if_guards_the_tile() {
    let mut kernel = one_tile(vec![load(place(0, affine(&[(2, 3), (1, 1)], 0)))]);
    let t = kernel.add_axis("t", 4);
    kernel.grid = vec![t];
    let guard = Guard { expr: affine(&[(t, 1)], 0), extent: 2 };
    let body = std::mem::take(&mut kernel.body);
    kernel.body = vec![Stmt::If { guards: vec![guard], body: body.clone() }];
    assert_eq!(rules(&kernel), []);
    kernel.body = body;
    assert_eq!(rules(&kernel), [Rule::Bounds]);
}

#[test]
fn guards_that_never_hold_leave_nothing_to_prove() {
    let never = vec![Guard { expr: affine(&[(0, 1)], 5), extent: 3 }];
    assert_eq!(rules(&one_tile(vec![guarded(affine(&[], 99), never)])), []);
    let none = vec![Guard { expr: affine(&[], 0), extent: 0 }];
    assert_eq!(rules(&one_tile(vec![guarded(affine(&[], 99), none)])), []);
}

#[test]
fn guards_that_exclude_each_other_only_as_sums_leave_nothing_to_prove() {
    // r + c lies in 1..=4 for one guard and in 5..=18 for the other.
    let low = Guard { expr: affine(&[(0, 1), (1, 1)], -1), extent: 4 };
    let high = Guard { expr: affine(&[(0, -2), (1, -2)], 36), extent: 28 };
    let index = affine(&[(0, -496), (1, -480)], 0);
    let mut kernel = one_tile(vec![guarded(index, vec![high, low])]);
    (kernel.axes[0].extent, kernel.axes[1].extent) = (4, 16);
    assert_eq!(rules(&kernel), []);
}

#[test]
fn dynamic_places_need_a_clamp() {
    let mut at = place(0, affine(&[(1, 1)], 0));
    at.dynamic = vec![(ValueId(4), 3)];
    let index = Inst::Load {
        place: place(1, affine(&[], 0)),
        guards: vec![],
        fill: Scalar::Signed(DType::I64, 0),
    };
    let clamp = |most: i64| {
        vec![
            index.clone(),
            constant(0),
            constant(most),
            apply(Op::Max, &[0, 1]),
            apply(Op::Min, &[3, 2]),
            load(at.clone()),
        ]
    };
    assert_eq!(rules(&one_tile(clamp(1))), []);
    assert_eq!(rules(&one_tile(clamp(2))), [Rule::Bounds]);
    let mut unclamped = clamp(1);
    unclamped[4] = apply(Op::Add, &[3, 2]);
    assert_eq!(rules(&one_tile(unclamped)), [Rule::Bounds]);
}

#[test]
fn an_index_value_in_a_place_is_exact() {
    // 3·r + c with r as a value, and c taken away again by another.
    let mut at = place(0, affine(&[(1, 1)], 0));
    at.dynamic = vec![(ValueId(0), 3), (ValueId(1), -1)];
    let insts =
        vec![Inst::Index(affine(&[(0, 1)], 0)), Inst::Index(affine(&[(1, 1)], -2)), load(at)];
    assert_eq!(rules(&one_tile(insts)), []);
}

#[test]
fn axes_out_of_scope_are_found() {
    let mut kernel = one_tile(vec![load(place(0, affine(&[(2, 1)], 0)))]);
    kernel.add_axis("far", 2);
    let expected = "TL0510: kernel @one: tile 0: %0: axis far is not in scope";
    assert_eq!(messages(&kernel), [expected]);
    let before_the_loop = gemm_with(|tile| {
        tile.insts[0] = Inst::Index(affine(&[(4, 1)], 0));
        tile.insts[7] = constant(0);
    });
    assert!(rules(&before_the_loop).contains(&Rule::Scope));
}

#[test]
fn axes_bound_twice_are_found() {
    let kernel = gemm_with(|tile| tile.columns = tile.rows);
    assert!(rules(&kernel).contains(&Rule::Scope));
    let mut kernel = gemm();
    kernel.grid = vec![0, 0];
    assert!(rules(&kernel).contains(&Rule::Scope));
    let mut kernel = gemm();
    kernel.body = vec![Stmt::For { axis: 0, body: std::mem::take(&mut kernel.body) }];
    let expected = "TL0510: kernel @f32_gemm_2x4: for m: axis m is bound while it is in scope";
    assert_eq!(messages(&kernel), [expected]);
}

#[test]
fn missing_axes_buffers_and_instructions_are_found() {
    assert!(rules(&gemm_with(|tile| tile.rows = 99)).contains(&Rule::Structure));
    assert!(rules(&gemm_with(|tile| tile.n_body = usize::MAX)).contains(&Rule::Structure));
    let elsewhere = one_tile(vec![load(place(9, affine(&[], 0)))]);
    assert_eq!(rules(&elsewhere), [Rule::Structure]);
    let mut kernel = gemm();
    kernel.buffers[0].len = usize::MAX;
    assert_eq!(rules(&kernel), [Rule::Structure]);
}

#[test]
fn malformed_indices_are_found() {
    let inner = Box::new(affine(&[(0, 1)], 0));
    for term in [IndexTerm::Div(inner.clone(), 0), IndexTerm::Rem(inner, -2), IndexTerm::Axis(77)] {
        let e = IndexExpr { constant: 0, terms: vec![(term, 1)].into() };
        assert!(rules(&one_tile(vec![Inst::Index(e)])).contains(&Rule::Index));
    }
    let huge = affine(&[(0, i64::MAX), (1, i64::MAX)], 0);
    assert_eq!(rules(&one_tile(vec![Inst::Index(huge)])), [Rule::Index]);
}

#[test]
fn values_are_defined_before_use_and_exist() {
    assert_eq!(rules(&one_tile(vec![apply(Op::Neg, &[0])])), [Rule::UseBeforeDefinition]);
    assert_eq!(rules(&one_tile(vec![apply(Op::Neg, &[7])])), [Rule::UseBeforeDefinition]);
    let stored = vec![
        Inst::Const(Scalar::F32(0.0)),
        store(place(2, affine(&[], 0)), 0),
        apply(Op::Neg, &[1]),
    ];
    assert_eq!(rules(&one_tile(stored)), [Rule::Type]);
}

#[test]
fn wrong_dtypes_are_found() {
    let wrong = |insts| assert_eq!(rules(&one_tile(insts)), [Rule::Type]);
    let float = || Inst::Const(Scalar::F32(0.0));
    wrong(vec![constant(1), float(), apply(Op::Add, &[0, 1])]);
    wrong(vec![constant(1), store(place(2, affine(&[], 0)), 0)]);
    let fill = Scalar::F64(0.0);
    wrong(vec![Inst::Load { place: place(0, affine(&[], 0)), guards: vec![], fill }]);
    let mut at = place(0, affine(&[], 0));
    at.dynamic = vec![(ValueId(0), 1)];
    wrong(vec![float(), load(at)]);
    let place = place(2, affine(&[], 0));
    let (guards, condition, value) = (vec![], Some(ValueId(0)), ValueId(0));
    wrong(vec![float(), Inst::Store { place, guards, condition, value }]);
    let kernel = gemm_with(|tile| {
        tile.insts[0] = Inst::Const(Scalar::F64(0.0));
    });
    assert!(rules(&kernel).iter().all(|r| *r == Rule::Type));
}

#[test]
fn accumulators_live_in_init_and_update_once_in_body() {
    let twice = gemm_with(|tile| tile.insts[4] = tile.insts[5].clone());
    assert!(rules(&twice).contains(&Rule::Accumulator));
    let early = gemm_with(|tile| (tile.n_init, tile.n_body) = (6, 0));
    assert!(rules(&early).contains(&Rule::Accumulator));
    let late = gemm_with(|tile| (tile.n_init, tile.n_body) = (1, 5));
    assert!(rules(&late).contains(&Rule::Accumulator));
    let other = gemm_with(|tile| {
        tile.insts[5] = Inst::Update { accumulator: ValueId(0), value: ValueId(4) };
    });
    assert_eq!(rules(&other), [Rule::Accumulator]);
}

#[test]
fn folds_stay_outside_body_and_to_known_operations() {
    let inside = gemm_with(|tile| tile.insts[4] = Inst::FoldColumns(Op::Add, ValueId(3)));
    assert_eq!(rules(&inside), [Rule::Fold]);
    let subtract = gemm_with(|tile| tile.insts[6] = Inst::FoldColumns(Op::Sub, ValueId(1)));
    assert_eq!(rules(&subtract), [Rule::Fold]);
}

#[test]
fn values_of_an_iteration_end_with_it() {
    let kernel = gemm_with(|tile| tile.insts[6] = apply(Op::Neg, &[4]));
    assert_eq!(rules(&kernel), [Rule::BodyValue]);
}

#[test]
fn inputs_are_not_written() {
    let mut kernel = gemm();
    kernel.buffers[2].kind = BufferKind::Input;
    assert_eq!(rules(&kernel), [Rule::Write]);
}

#[test]
fn tasks_that_surely_collide_are_found() {
    let mut kernel = one_tile(vec![
        Inst::Const(Scalar::F32(1.0)),
        store(place(2, affine(&[(0, 3), (1, 1)], 0)), 0),
    ]);
    let t = kernel.add_axis("t", 2);
    assert!(proves_disjoint_writes(&kernel));
    kernel.grid = vec![t];
    assert_eq!(rules(&kernel), [Rule::Overlap]);
    assert!(!proves_disjoint_writes(&kernel));
}

#[test]
fn disjointness_reads_mixed_radix_and_guards() {
    let disjoint = |index: IndexExpr, guards: Vec<Guard>| {
        let mut kernel = one_tile(vec![
            Inst::Const(Scalar::F32(1.0)),
            Inst::Store { place: place(2, index), guards, condition: None, value: ValueId(0) },
        ]);
        kernel.buffers[2].len = 1000;
        let (m, n) = (kernel.add_axis("m", 4), kernel.add_axis("n", 3));
        kernel.grid = vec![m, n];
        assert_eq!(rules(&kernel), []);
        proves_disjoint_writes(&kernel)
    };
    // Axes: r 0 (2), c 1 (3), m 2 (4), n 3 (3).
    assert!(disjoint(affine(&[(2, 18), (0, 9), (3, 3), (1, 1)], 0), vec![]));
    assert!(!disjoint(affine(&[(2, 18), (0, 9), (3, 2), (1, 1)], 0), vec![]));
    assert!(disjoint(affine(&[(2, -18), (0, 9), (3, 3), (1, 1)], 60), vec![]));
    let cut = Guard { expr: affine(&[(3, 3), (1, 1)], 0), extent: 7 };
    let tail = affine(&[(2, 14), (0, 7), (3, 3), (1, 1)], 0);
    assert!(disjoint(tail.clone(), vec![cut]));
    assert!(!disjoint(tail, vec![]));
    let flat = affine(&[(2, 3), (3, 1)], 0);
    let transposed = IndexExpr {
        constant: 0,
        terms: vec![
            (IndexTerm::Div(Box::new(flat.clone()), 4), 6),
            (IndexTerm::Rem(Box::new(flat), 4), 20),
        ]
        .into(),
    };
    assert!(disjoint(transposed.add(&affine(&[(0, 3), (1, 1)], 0)), vec![]));
}

#[test]
fn empty_axes_leave_nothing_to_prove() {
    let mut kernel = gemm_with(|tile| tile.insts[3] = load(place(1, affine(&[(4, 1000)], 0))));
    assert_eq!(rules(&kernel), [Rule::Bounds]);
    kernel.axes[4].extent = 0;
    assert_eq!(rules(&kernel), []);
    let mut kernel = gemm();
    kernel.buffers.iter_mut().for_each(|b| b.len = 0);
    assert!(rules(&kernel).contains(&Rule::Bounds));
    kernel.axes[0].extent = 0;
    assert_eq!(rules(&kernel), []);
    assert!(proves_disjoint_writes(&kernel));
}
