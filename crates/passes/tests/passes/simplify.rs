//! Laws of `simplify`, constants, common and dead nodes: what is left, and that no bit changes.

use crate::support::*;
use tracelift_ir::{
    Abs, Broadcast, Builder, Cast, Concat, Contract, Floor, Graph, Iota, Literal, Max, Mul, Not,
    Pad, Reduce, ReduceKind, Reshape, Shape, Slice, TensorType, Transpose, Value, Windows,
};
use tracelift_tensor::{DType, Dim, Scalar};

/// A graph over `x: f32[2, 3, 4]`, `i: i32[2, 3, 4]` and `c: bool[2, 3, 4]`.
fn over(build: impl FnOnce(&mut Builder<'_>, [Value; 3]) -> Value) -> Graph {
    graph_of(|g| {
        let ty = |dtype| TensorType::new(dtype, [2, 3, 4]);
        let inputs = [("x", DType::F32), ("i", DType::I32), ("c", DType::Bool)]
            .map(|(n, d)| g.add_input(n, ty(d)));
        vec![build(&mut builder(g), inputs)]
    })
}

/// Checks what `simplify` leaves of a graph, bit for bit.
fn leaves(expected: &[&str], build: impl FnOnce(&mut Builder<'_>, [Value; 3]) -> Value) {
    let graph = over(build);
    let (after, _) = run(&["simplify", "fold_constants", "simplify"], &graph);
    assert_eq!(names(&after), expected, "from {:?}", names(&graph));
    assert_same_bits(&graph, &after);
    let (_, again) = run(&["simplify", "fold_constants", "merge_common", "remove_dead"], &after);
    assert!(again.runs.iter().all(|run| !run.changed), "{again:?}");
}

#[test]
fn neutral_elements_vanish() {
    leaves(&[], |b, [x, ..]| b.map_scalar(Mul {}, x, 1.0).unwrap());
    leaves(&[], |b, [x, ..]| b.map_scalar(tracelift_ir::Add {}, x, -0.0).unwrap());
    leaves(&[], |b, [x, ..]| b.map_scalar(tracelift_ir::Sub {}, x, 0.0).unwrap());
    leaves(&[], |b, [x, ..]| b.map_scalar(Max {}, x, f64::NEG_INFINITY).unwrap());
    leaves(&[], |b, [_, i, _]| b.map_scalar(tracelift_ir::Add {}, i, 0.0).unwrap());
    leaves(&[], |b, [x, ..]| {
        let one = b.splat_like(x, 1.0);
        b.mul(one, x).unwrap()
    });
}

#[test]
fn a_reshape_for_several_maps_goes_below_all_of_them() {
    leaves(&["mul", "exp", "mul", "reshape"], |b, [x, ..]| {
        let y = b.op1(Reshape { shape: Shape::from([1, 2, 3, 4]) }, &[x]).unwrap();
        let square = b.mul(y, y).unwrap();
        let power = b.exp(square).unwrap();
        b.mul(power, y).unwrap()
    });
}

#[test]
fn zero_is_not_neutral_where_it_changes_the_sign_of_zero() {
    leaves(&["add"], |b, [x, ..]| b.map_scalar(tracelift_ir::Add {}, x, 0.0).unwrap());
    leaves(&["sub"], |b, [x, ..]| b.map_scalar(tracelift_ir::Sub {}, x, -0.0).unwrap());
    leaves(&["mul"], |b, [x, ..]| b.map_scalar(Mul {}, x, 0.0).unwrap());
    leaves(&["reshape", "reduce"], |b, [x, ..]| {
        let x = b.op1(Reshape { shape: Shape::from([2, 1, 12]) }, &[x]).unwrap();
        b.op1(Reduce { kind: ReduceKind::Sum, axes: vec![1] }, &[x]).unwrap()
    });
}

#[test]
fn pairs_cancel() {
    leaves(&[], |b, [x, ..]| {
        let y = b.neg(x).unwrap();
        b.neg(y).unwrap()
    });
    leaves(&["sub"], |b, [x, ..]| {
        let (y, z) = (b.neg(x).unwrap(), b.map_scalar(Mul {}, x, 1.0).unwrap());
        b.add(z, y).unwrap()
    });
    leaves(&["abs"], |b, [x, ..]| {
        let y = b.neg(x).unwrap();
        let y = b.op1(Abs {}, &[y]).unwrap();
        b.op1(Abs {}, &[y]).unwrap()
    });
    leaves(&["floor"], |b, [x, ..]| {
        let y = b.op1(Floor {}, &[x]).unwrap();
        b.op1(tracelift_ir::Round {}, &[y]).unwrap()
    });
    leaves(&["select"], |b, [x, _, c]| {
        let (c, y) = (b.op1(Not {}, &[c]).unwrap(), b.splat_like(x, 2.0));
        b.select(c, x, y).unwrap()
    });
}

#[test]
fn limits_and_integers_merge() {
    leaves(&["max"], |b, [x, ..]| {
        let y = b.map_scalar(Max {}, x, -0.0).unwrap();
        b.map_scalar(Max {}, y, 0.0).unwrap()
    });
    leaves(&["add"], |b, [_, i, _]| {
        let y = b.map_scalar(tracelift_ir::Add {}, i, f64::from(i32::MAX)).unwrap();
        b.map_scalar(tracelift_ir::Add {}, y, 5.0).unwrap()
    });
}

#[test]
fn casts_shorten_only_where_lossless() {
    let chain = |dtypes: &'static [DType]| {
        move |b: &mut Builder<'_>, [_, i, _]: [Value; 3]| {
            dtypes.iter().fold(i, |y, &to| b.op1(Cast { to }, &[y]).unwrap())
        }
    };
    leaves(&["cast"], chain(&[DType::I64, DType::F32]));
    leaves(&["cast"], chain(&[DType::F64, DType::F32]));
    leaves(&[], chain(&[DType::I64, DType::I32]));
    // 300 wraps to 44 as an integer, but saturates to 127 coming from a float.
    leaves(&["cast", "cast"], chain(&[DType::F64, DType::I8]));
    leaves(&["cast", "cast"], chain(&[DType::I8, DType::I32]));
    leaves(&["cast", "cast"], chain(&[DType::F32, DType::F64]));
}

#[test]
fn movements_compose() {
    leaves(&[], |b, [x, ..]| {
        let y = b.op1(Transpose { perm: vec![2, 0, 1] }, &[x]).unwrap();
        b.op1(Transpose { perm: vec![1, 2, 0] }, &[y]).unwrap()
    });
    leaves(&["transpose"], |b, [x, ..]| {
        let y = b.op1(Transpose { perm: vec![2, 0, 1] }, &[x]).unwrap();
        b.op1(Transpose { perm: vec![2, 0, 1] }, &[y]).unwrap()
    });
    leaves(&["transpose"], |b, [x, ..]| {
        let y = b.op1(Transpose { perm: vec![2, 0, 1] }, &[x]).unwrap();
        b.op1(Transpose { perm: vec![1, 0, 2] }, &[y]).unwrap()
    });
    leaves(&["reshape"], |b, [x, ..]| {
        let y = b.op1(Reshape { shape: Shape::from([2, 1, 12]) }, &[x]).unwrap();
        let y = b.op1(Transpose { perm: vec![1, 0, 2] }, &[y]).unwrap();
        b.op1(Reshape { shape: Shape::from([24]) }, &[y]).unwrap()
    });
    leaves(&["broadcast"], |b, [x, ..]| {
        let y = b.op1(Reshape { shape: Shape::from([2, 3, 1, 4]) }, &[x]).unwrap();
        let shape = Shape::from([2, 3, 5, 4]);
        let y = b.op1(Broadcast { shape, axes: vec![0, 1, 2, 3] }, &[y]).unwrap();
        let shape = Shape::from([6, 2, 3, 5, 4]);
        b.op1(Broadcast { shape, axes: vec![1, 2, 3, 4] }, &[y]).unwrap()
    });
    leaves(&["transpose", "broadcast"], |b, [x, ..]| {
        let shape = Shape::from([2, 3, 5, 4]);
        let y = b.op1(Broadcast { shape, axes: vec![0, 1, 3] }, &[x]).unwrap();
        b.op1(Transpose { perm: vec![3, 2, 0, 1] }, &[y]).unwrap()
    });
    leaves(&["reshape", "transpose"], |b, [x, ..]| {
        let y = b.op1(Transpose { perm: vec![2, 1, 0] }, &[x]).unwrap();
        b.op1(Reshape { shape: Shape::from([4, 1, 3, 2, 1]) }, &[y]).unwrap()
    });
}

fn slice(b: &mut Builder<'_>, x: Value, bounds: [(i64, i64, i64); 3]) -> Value {
    let op = Slice {
        starts: bounds.iter().map(|b| Dim::from(b.0)).collect(),
        limits: bounds.iter().map(|b| Dim::from(b.1)).collect(),
        strides: bounds.iter().map(|b| b.2).collect(),
    };
    b.op1(op, &[x]).unwrap()
}

#[test]
fn slices_pads_and_concatenations_compose() {
    leaves(&["slice"], |b, [x, ..]| {
        let y = slice(b, x, [(0, 2, 1), (1, 3, 1), (1, 4, 1)]);
        slice(b, y, [(0, 2, 1), (0, 2, 1), (0, 3, 2)])
    });
    leaves(&["slice", "slice"], |b, [x, ..]| {
        let y = slice(b, x, [(0, 2, 1), (1, 3, 1), (1, 4, 1)]);
        slice(b, y, [(0, 2, 1), (0, 2, 1), (2, -1, -1)])
    });
    leaves(&["exp", "slice"], |b, [x, ..]| {
        let (y, z) = (b.exp(x).unwrap(), b.neg(x).unwrap());
        let y = b.op1(Concat { axis: 1 }, &[z, y, z]).unwrap();
        slice(b, y, [(0, 2, 1), (4, 6, 1), (0, 4, 1)])
    });
    leaves(&["neg", "concat"], |b, [x, ..]| {
        let z = b.neg(x).unwrap();
        let none = slice(b, x, [(0, 2, 1), (0, 0, 1), (0, 4, 1)]);
        let y = b.op1(Concat { axis: 1 }, &[z, none, x]).unwrap();
        b.op1(Concat { axis: 1 }, &[y, x]).unwrap()
    });
    let pad = |low: i64, high: i64| Pad {
        low: vec![low, 0, 1],
        high: vec![high, 0, 0],
        interior: Vec::new(),
        value: Literal::Real(1.5),
    };
    leaves(&["pad"], |b, [x, ..]| {
        let y = b.op1(pad(1, 2), &[x]).unwrap();
        b.op1(pad(0, 1), &[y]).unwrap()
    });
    leaves(&["pad", "pad"], |b, [x, ..]| {
        let y = b.op1(pad(1, 2), &[x]).unwrap();
        b.op1(pad(-2, 1), &[y]).unwrap()
    });
}

#[test]
fn transposes_sink_through_everything_that_lets_them() {
    let turned = |b: &mut Builder<'_>, x| b.op1(Transpose { perm: vec![2, 0, 1] }, &[x]).unwrap();
    leaves(&["exp", "mul", "transpose"], |b, [x, ..]| {
        let y = turned(b, x);
        let y = b.exp(y).unwrap();
        b.map_scalar(Mul {}, y, 3.0).unwrap()
    });
    leaves(&["pad", "transpose"], |b, [x, ..]| {
        let y = turned(b, x);
        let (low, high) = (vec![1, 0, 2], vec![0, 3, 0]);
        let op = Pad { low, high, interior: vec![0, 1, 0], value: Literal::Int(7) };
        b.op1(op, &[y]).unwrap()
    });
    leaves(&["slice", "transpose"], |b, [x, ..]| {
        let y = turned(b, x);
        slice(b, y, [(3, -1, -2), (0, 1, 1), (1, 3, 1)])
    });
    leaves(&["exp", "concat", "transpose"], |b, [x, ..]| {
        let (y, z) = (turned(b, x), b.exp(x).unwrap());
        let z = turned(b, z);
        b.op1(Concat { axis: 2 }, &[y, z]).unwrap()
    });
    leaves(&["windows", "transpose"], |b, [x, ..]| {
        let y = turned(b, x);
        let op = Windows {
            axes: vec![0, 2],
            kernel: vec![3, 2],
            strides: vec![2, 1],
            pads: vec![[1, 0], [0, 2]],
            dilations: vec![1, 2],
            fill: Literal::Real(-1.0),
        };
        b.op1(op, &[y]).unwrap()
    });
    leaves(&["windows", "transpose"], |b, [x, ..]| {
        let y = turned(b, x);
        let op = Windows {
            axes: vec![0, 1, 2],
            kernel: vec![2, 1, 3],
            strides: vec![1; 3],
            pads: vec![[0; 2]; 3],
            dilations: vec![1; 3],
            fill: Literal::Int(0),
        };
        b.op1(op, &[y]).unwrap()
    });
    leaves(&["reduce"], |b, [x, ..]| {
        let y = turned(b, x);
        b.op1(Reduce { kind: ReduceKind::Sum, axes: vec![1, 2] }, &[y]).unwrap()
    });
    leaves(&["reduce", "transpose"], |b, [x, ..]| {
        let y = turned(b, x);
        b.op1(Reduce { kind: ReduceKind::Max, axes: vec![2] }, &[y]).unwrap()
    });
    // Adding in another order would round differently.
    leaves(&["transpose", "reduce"], |b, [x, ..]| {
        let y = turned(b, x);
        b.op1(Reduce { kind: ReduceKind::Sum, axes: vec![0, 1] }, &[y]).unwrap()
    });
}

#[test]
fn contractions_take_operands_and_results_in_any_order() {
    leaves(&["exp", "contract"], |b, [x, ..]| {
        let y = b.exp(x).unwrap();
        let x = b.op1(Transpose { perm: vec![0, 2, 1] }, &[x]).unwrap();
        let y = b.op1(Contract::new("bik, bkj -> bij"), &[x, y]).unwrap();
        b.op1(Transpose { perm: vec![2, 0, 1] }, &[y]).unwrap()
    });
}

#[test]
fn constants_are_computed_and_tables_are_not_made_large() {
    let graph = over(|b, [x, ..]| {
        let c = b.constant(noise(&[4], 3));
        let c = b.exp(c).unwrap();
        b.mul(x, c).unwrap()
    });
    let (after, _) = run(&["fold_constants"], &graph);
    assert_eq!(names(&after), ["broadcast", "mul"]);
    assert_same_bits(&graph, &after);
    let table = |extent: usize| {
        graph_of(|g| {
            let shape = Shape::from([extent, 1024]);
            vec![builder(g).op1(Iota { shape, axis: 1, dtype: DType::F32 }, &[]).unwrap()]
        })
    };
    assert_eq!(names(&run(&["fold_constants"], &table(4)).0), [""; 0]);
    assert_eq!(names(&run(&["fold_constants"], &table(1024)).0), ["iota"]);
}

#[test]
fn counters_become_tables_only_where_more_folds_with_them() {
    let iota = |dtype| Iota { shape: Shape::from([3, 4]), axis: 1, dtype };
    let graph = over(|b, [x, ..]| {
        let shape = b.ty(x).shape.clone();
        let axis = shape.rank() - 1;
        let count = b.op1(Iota { shape, axis, dtype: DType::F32 }, &[]).unwrap();
        b.mul(x, count).unwrap()
    });
    let (after, _) = run(&["fold_constants"], &graph);
    assert_eq!(names(&after), ["iota", "mul"]);
    assert_same_bits(&graph, &after);
    let mask = graph_of(|g| {
        let mut b = builder(g);
        let [x, y] = [0, 1].map(|axis| {
            let iota = Iota { axis, ..iota(DType::I64) };
            b.op1(iota, &[]).unwrap()
        });
        vec![b.eq(x, y).unwrap()]
    });
    assert_eq!(names(&run(&["fold_constants"], &mask).0), [""; 0]);
}

#[test]
fn a_splat_stays_a_splat() {
    let graph = graph_of(|g| {
        let ty = TensorType::new(DType::F32, ["B"]);
        let x = g.add_input("x", ty);
        let mut b = builder(g);
        let two = b.splat(Scalar::F32(2.0), ["B"]);
        let four = b.mul(two, two).unwrap();
        vec![b.mul(x, four).unwrap()]
    });
    let (after, _) = run(&["fold_constants"], &graph);
    assert_eq!(names(&after), ["mul"]);
    let four = after.operands(after.results()[0].value.node)[1];
    assert_eq!(after.splat(four), Some(Scalar::F32(4.0)));
}

#[test]
fn equal_nodes_merge_and_parameters_keep_their_names() {
    let graph = over(|b, [x, ..]| {
        let (p, q) = (b.parameter("p", noise(&[4], 1)), b.parameter("q", noise(&[4], 1)));
        let (c, d) = (b.constant(noise(&[4], 1)), b.constant(noise(&[4], 1)));
        let terms = [p, q, c, d].map(|v| b.mul(x, v).unwrap());
        let sums = [b.add(terms[0], terms[1]).unwrap(), b.add(terms[2], terms[3]).unwrap()];
        b.add(sums[1], sums[0]).unwrap()
    });
    let (after, _) = run(&["merge_common"], &graph);
    assert_eq!(count(&after, "mul"), 3);
    assert_same_bits(&graph, &after);
    let tied = noise(&[4], 1);
    let graph = over(|b, [x, ..]| {
        let (p, q) = (b.parameter("p", tied.clone()), b.parameter("q", tied.clone()));
        let (y, z) = (b.mul(x, p).unwrap(), b.mul(x, q).unwrap());
        b.add(y, z).unwrap()
    });
    assert_eq!(names(&run(&["merge_common"], &graph).0), ["broadcast", "mul", "add"]);
}

#[test]
fn operands_change_places_only_where_the_operator_commutes() {
    let swapped = |op: fn(&mut Builder<'_>, Value, Value) -> Value| {
        let graph = graph_of(|g| {
            let [x, y] = ["x", "y"].map(|n| g.add_input(n, TensorType::new(DType::F32, [3])));
            let mut b = builder(g);
            vec![op(&mut b, x, y), op(&mut b, y, x)]
        });
        let (after, _) = run(&["merge_common"], &graph);
        assert_same_bits(&graph, &after);
        names(&after).len()
    };
    assert_eq!(swapped(|b, x, y| b.add(x, y).unwrap()), 1);
    assert_eq!(swapped(|b, x, y| b.sub(x, y).unwrap()), 2);
    // Equal zeros of different signs: the first one wins.
    assert_eq!(swapped(|b, x, y| b.max(x, y).unwrap()), 2);
}

#[test]
fn a_dead_node_is_not_rewritten() {
    let graph = over(|b, [x, ..]| {
        let y = b.exp(x).unwrap();
        b.map_scalar(Mul {}, y, 1.0).unwrap();
        x
    });
    let (after, report) = run(&["simplify"], &graph);
    assert!(!report.runs[0].changed);
    assert_eq!(names(&run(&["remove_dead"], &after).0), [""; 0]);
}

#[test]
fn dead_nodes_go_and_inputs_stay() {
    let graph = over(|b, [x, ..]| {
        b.exp(x).unwrap();
        b.neg(x).unwrap()
    });
    let (after, _) = run(&["remove_dead"], &graph);
    assert_eq!(names(&after), ["neg"]);
    assert_eq!(after.inputs().len(), 3);
}

#[test]
fn the_magnitude_of_a_negated_unsigned_number_stays() {
    leaves(&["cast", "neg", "abs"], |b, [_, i, _]| {
        let unsigned = b.op1(Cast { to: DType::U8 }, &[i]).unwrap();
        let negated = b.neg(unsigned).unwrap();
        b.op1(Abs {}, &[negated]).unwrap()
    });
}
