//! Every expansion against its reference.

use tracelift_tensor::Scalar;

use super::*;
use crate::Lanes;
use crate::check::{Worst, ulp_error_f64, worst_f32};

/// Operations of one operand with the bounds on their errors in f32 and f64.
const UNARY: [(Op, f64, f64); 15] = [
    (Op::Exp, 1.1, 1.1),
    (Op::Log, 1.0, 1.0),
    (Op::Tanh, 1.5, 2.4),
    (Op::Erf, 1.5, 1.5),
    (Op::Sin, 0.51, 1.0),
    (Op::Cos, 0.51, 1.0),
    (Op::Tan, 0.51, 2.0),
    (Op::Asin, 0.51, 2.2),
    (Op::Acos, 0.51, 2.2),
    (Op::Atan, 0.51, 1.5),
    (Op::Sinh, 0.51, 1.7),
    (Op::Cosh, 0.51, 1.6),
    (Op::Asinh, 0.51, 2.4),
    (Op::Acosh, 0.51, 2.4),
    (Op::Atanh, 0.51, 2.4),
];

/// Operands whose results the standard library defines case by case, or that sit on an edge.
const SPECIAL: [f64; 24] = [
    0.0,
    0.5,
    1.0,
    1.5,
    2.0,
    3.0,
    9.1,
    88.72284,
    103.97,
    104.0,
    709.78,
    745.13,
    1e-45,
    1e-310,
    5e-324,
    1e-38,
    1e38,
    1e300,
    2147483648.0,
    0.3333,
    f64::INFINITY,
    f64::NAN,
    0.9999,
    1.0001,
];

fn specials() -> impl Iterator<Item = f64> + Clone {
    SPECIAL.into_iter().flat_map(|x| [x, -x])
}

#[test]
fn f32_functions_keep_their_bounds() {
    for (op, bound, _) in UNARY {
        // The stride is coprime to 2³², so every exponent is met about 4000 times for each sign.
        let spread = (0..1_000_000u32).map(|k| (k.wrapping_mul(4295), 0));
        let edges = specials().map(|x| ((x as f32).to_bits(), 0));
        let worst = worst_f32(op, spread.chain(edges));
        assert!(worst.ulp <= bound, "{}: {worst:?}", op.name());
    }
}

/// Masked scores of attention are such operands, and processors take long over results that are too
/// small to be normal, even where they round to 0.
#[test]
fn exponentials_of_very_low_numbers_do_not_underflow() {
    let lowest = [Scalar::F32(f32::MIN), Scalar::F32(f32::NEG_INFINITY), Scalar::F32(-177.0)];
    let lowest = lowest.into_iter().chain([Scalar::F64(f64::MIN), Scalar::F64(-1420.0)]);
    for x in lowest {
        let expr = expansion_of(Op::Exp, x.dtype()).expect("the operation has an expansion");
        let mut values: Vec<Scalar> = Vec::new();
        for node in expr.nodes() {
            let value = match node {
                ExprNode::Input(_) => x,
                ExprNode::Const(scalar) => *scalar,
                ExprNode::Apply(op, operands) => {
                    let operands: Vec<Scalar> =
                        operands.iter().map(|id| values[id.index()]).collect();
                    let value = op.eval(&operands);
                    let is_zero = |v: &Scalar| v.to_f64() == 0.0;
                    let multiplies = *op == Op::Mul && value.dtype().is_float();
                    if multiplies && value.to_f64().abs() < f64::from(f32::MIN_POSITIVE) {
                        assert!(operands.iter().any(is_zero), "{x}: {operands:?}");
                    }
                    value
                }
                ExprNode::Index(_) => unreachable!("an expansion has no coordinates"),
            };
            values.push(value);
        }
        assert_eq!(values.last().map(|v| v.to_f64()), Some(0.0), "{x}");
    }
}

#[test]
fn f32_powers_and_remainders_keep_their_bounds() {
    let mut seed = 1u64;
    let mut next = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 32) as u32
    };
    let any: Vec<(u32, u32)> = (0..200_000).map(|_| (next(), next())).collect();
    // Powers neither 0 nor infinite, and exponents small and whole.
    let near = any.iter().map(|&(x, y)| {
        let (x, y) = (f32::from_bits(x).abs(), y as f32 / u32::MAX as f32);
        (x.to_bits(), ((y * 200.0 - 100.0) / x.ln()).to_bits())
    });
    let whole = any.iter().map(|&(x, y)| {
        let x = (x as f32 / u32::MAX as f32 - 0.5) * 20.0;
        (x.to_bits(), ((y % 41) as f32 - 20.0).to_bits())
    });
    let pairs: Vec<(u32, u32)> = specials()
        .flat_map(|x| specials().map(move |y| ((x as f32).to_bits(), (y as f32).to_bits())))
        .collect();
    let points = any.iter().copied().chain(near).chain(whole).chain(pairs.iter().copied());
    let worst = worst_f32(Op::Pow, points.clone());
    assert!(worst.ulp <= 0.51, "{worst:?}");
    let worst = worst_f32(Op::Rem, points);
    assert!(worst.ulp == 0.0, "{worst:?}");
}

/// The largest error of an f64 expansion over the points of the table.
fn worst_in_table(op: Op, table: &str) -> Worst {
    let expr = expansion_of(op, DType::F64).expect("the operation has an expansion");
    let hex = |text: &str| u64::from_str_radix(text, 16).expect("the table is hexadecimal");
    let rows: Vec<[u64; 4]> = table
        .lines()
        .filter_map(|line| line.strip_prefix(op.name())?.strip_prefix(' '))
        .map(|line| {
            let mut fields = line.split(' ').map(hex);
            std::array::from_fn(|_| fields.next().expect("a row has four numbers"))
        })
        .collect();
    assert!(rows.len() >= 50, "{} has rows", op.name());
    let inputs = [0, 1].map(|k| rows.iter().map(|row| row[k]).collect::<Vec<u64>>());
    let mut worst = Worst::default();
    for (row, bits) in rows.iter().zip(Lanes::new(&expr).eval(&inputs)) {
        let [x, y, high, low] = row.map(f64::from_bits);
        let found = f64::from_bits(*bits);
        let ulp = ulp_error_f64(found, (high, low));
        if ulp > worst.ulp {
            worst = Worst { ulp, at: [x, y], found, expected: high };
        }
    }
    worst
}

#[test]
fn f64_functions_keep_their_bounds() {
    let table = include_str!("f64_reference.txt");
    for (op, bound) in UNARY.map(|(op, _, bound)| (op, bound)).into_iter().chain([(Op::Pow, 1.5)]) {
        let worst = worst_in_table(op, table);
        assert!(worst.ulp <= bound, "{}: {worst:?}", op.name());
    }
}

/// Whether `found` is as far from the standard library's result as two good results may be.
fn is_near(found: f64, expected: f64) -> bool {
    if expected.is_nan() || expected.is_infinite() || expected == 0.0 || found == 0.0 {
        return (found.is_nan() && expected.is_nan()) || found.to_bits() == expected.to_bits();
    }
    found.to_bits().abs_diff(expected.to_bits()) <= 5
}

#[test]
fn f64_functions_agree_with_the_standard_library() {
    let spread = |k: u64| f64::from_bits(k.wrapping_mul(184_467_440_737_095));
    for (op, ..) in UNARY {
        let expr = expansion_of(op, DType::F64).expect("the operation has an expansion");
        let is_periodic = matches!(op, Op::Sin | Op::Cos | Op::Tan);
        let reference = crate::check::reference(op).expect("the operation has a reference");
        let x: Vec<f64> = (0..100_000).map(spread).chain(specials()).collect();
        let inputs = [x.iter().map(|x| x.to_bits()).collect::<Vec<u64>>()];
        for (x, bits) in x.iter().zip(Lanes::new(&expr).eval(&inputs)) {
            let (found, expected) = (f64::from_bits(*bits), reference(*x, 0.0));
            if is_periodic && x.abs() >= 2f64.powi(50) {
                assert!(found.is_nan(), "{} of {x}", op.name());
            } else {
                assert!(is_near(found, expected), "{} of {x}: {found}, {expected}", op.name());
            }
        }
    }
}

#[test]
fn f64_powers_and_remainders_agree_with_the_standard_library() {
    let x: Vec<f64> = specials().flat_map(|x| specials().map(move |_| x)).collect();
    let y: Vec<f64> = specials().flat_map(|_| specials()).collect();
    let spread = |k: u64, by: u64| f64::from_bits(k.wrapping_mul(by));
    let x: Vec<f64> =
        x.into_iter().chain((0..5000).map(|k| spread(k, 0x9e37_79b9_7f4a_7c15))).collect();
    let y: Vec<f64> =
        y.into_iter().chain((0..5000).map(|k| spread(k, 0xd1b5_4a32_d192_ed03))).collect();
    let inputs = [&x, &y].map(|v| v.iter().map(|x| x.to_bits()).collect::<Vec<u64>>());
    for op in [Op::Pow, Op::Rem] {
        let expr = expansion_of(op, DType::F64).expect("the operation has an expansion");
        let reference = crate::check::reference(op).expect("the operation has a reference");
        let mut lanes = Lanes::new(&expr);
        for ((x, y), bits) in x.iter().zip(&y).zip(lanes.eval(&inputs)) {
            let (found, expected) = (f64::from_bits(*bits), reference(*x, *y));
            let is_good = match op {
                Op::Rem => found == expected || (found.is_nan() && expected.is_nan()),
                _ => is_near(found, expected),
            };
            assert!(is_good, "{} of {x}, {y}: {found}, {expected}", op.name());
        }
    }
}

#[test]
fn integer_powers_and_signs_are_exact() {
    for dtype in [DType::I8, DType::U8, DType::I32, DType::U64] {
        for op in [Op::Pow, Op::Sign] {
            let expr = expansion_of(op, dtype).expect("the operation has an expansion");
            for x in -20..20 {
                for y in -70..70 {
                    let operands = [x, y].map(|v| Scalar::from_i64(dtype, v));
                    let expected = op.eval(&operands[..op.arity()]);
                    assert_eq!(expr.eval(&operands, &[]), expected, "{} {operands:?}", op.name());
                }
            }
        }
    }
}

#[test]
fn what_expand_gives_is_basic_and_keeps_sharing() {
    let mut b = ExprBuilder::default();
    let x = b.input(0, DType::F32);
    let e = b.apply(Op::Exp, &[x]);
    let sum = b.apply(Op::Add, &[e, e]);
    let expr = expand(&b.finish(sum));
    let alone = expansion_of(Op::Exp, DType::F32).expect("exp has an expansion");
    assert_eq!(expr.nodes().len(), alone.nodes().len() + 1);
    for &op in Op::ALL {
        for dtype in DType::ALL {
            for node in expansion_of(op, dtype).iter().flat_map(|expr| expr.nodes()) {
                if let ExprNode::Apply(inner, _) = node {
                    assert!(inner.is_basic(DType::F32), "{} holds {}", op.name(), inner.name());
                }
            }
        }
    }
}

#[test]
fn fast_f32_functions_stay_in_32_bits() {
    for op in [Op::Exp, Op::Log, Op::Tanh, Op::Erf] {
        let expr = expansion_of(op, DType::F32).expect("the operation has an expansion");
        assert!(expr.dtypes().iter().all(|dtype| dtype.size_bytes() <= 4), "{}", op.name());
    }
}
