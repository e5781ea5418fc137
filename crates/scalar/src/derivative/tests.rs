//! Derivatives against central differences, and at corners.

use tracelift_tensor::DType;

use super::*;

const INPUTS: [DType; 3] = [DType::F64, DType::F64, DType::I32];

fn parse(text: &str) -> Expr {
    Expr::parse(text, &INPUTS).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn value(expr: &Expr, x: f64, y: f64) -> f64 {
    let inputs = [Scalar::F64(x), Scalar::F64(y), Scalar::Signed(DType::I32, 3)];
    expr.eval(&inputs, &[]).to_f64()
}

/// The five-point difference, whose error is of fourth order.
fn difference(f: impl Fn(f64) -> f64, x: f64) -> f64 {
    let h = 1e-3 * x.abs().max(0.1);
    (8.0 * (f(x + h) - f(x - h)) - (f(x + 2.0 * h) - f(x - 2.0 * h))) / (12.0 * h)
}

fn check(text: &str, points: &[(f64, f64)]) {
    let expr = parse(text);
    for &(x, y) in points {
        for input in [0, 1] {
            let slope = derivative(&expr, input).unwrap_or_else(|| panic!("{text} is smooth"));
            let found = value(&slope, x, y);
            let expected = match input {
                0 => difference(|x| value(&expr, x, y), x),
                _ => difference(|y| value(&expr, x, y), y),
            };
            let error = (found - expected).abs();
            let is_good = error <= 1e-7 * expected.abs().max(1.0);
            assert!(is_good, "{text} by x{input} at {x}, {y}: {found}, {expected}");
        }
    }
}

#[test]
fn every_float_operation_agrees_with_differences() {
    for &op in Op::ALL {
        let dtypes = vec![DType::F64; op.arity()];
        if op.result_dtype(&dtypes) != Ok(DType::F64) {
            continue;
        }
        let operands = ["x0", "x1", "mul(x0, x1)"][..op.arity()].join(", ");
        let text = format!("{}({operands})", op.name());
        match op {
            Op::Acosh => check(&text, &[(1.3, 0.7), (7.1, 0.2)]),
            Op::Log | Op::Sqrt | Op::Pow => check(&text, &[(0.3, 0.7), (7.1, -2.2)]),
            _ => check(&text, &[(0.3, 0.7), (-0.6, 2.3), (0.83, -0.41), (-0.25, -0.9)]),
        }
    }
}

#[test]
fn compositions_agree_with_differences() {
    let points = [(0.3, 0.7), (-0.6, 2.3), (1.83, -0.41)];
    let texts = [
        "let t0 = tanh(mul(x0, x1)); mul(t0, add(t0, exp(neg(mul(x1, x1)))))",
        "mul(mul(x0, 0.5), add(erf(mul(x0, 0.7071067811865476)), 1.0))",
        "div(x0, add(exp(neg(x0)), 1.0))",
        "select(lt(x0, x1), mul(x0, x1), sin(x0))",
        "mul(cast.f64(x2), mul(x0, x0))",
        "add(floor(x1), fma(x0, x0, x1))",
    ];
    for text in texts {
        check(text, &points);
    }
}

#[test]
fn corners_are_those_of_pytorch() {
    let cases = [
        ("max(x0, 0.0)", 0.0, 0.0, 0.0),
        ("max(0.0, x0)", 0.0, 0.0, 0.0),
        ("max(x0, 0.0)", 1.0, 0.0, 1.0),
        ("max(x0, 0.0)", -1.0, 0.0, 0.0),
        ("min(max(x0, 0.0), 6.0)", 6.0, 0.0, 0.0),
        ("min(max(x0, 0.0), 6.0)", 5.0, 0.0, 1.0),
        ("max(x0, x1)", 2.0, 2.0, 0.5),
        ("min(x0, x1)", 2.0, 2.0, 0.5),
        ("min(x0, x1)", 2.0, 3.0, 1.0),
        ("max(x0, x0)", 2.0, 3.0, 1.0),
        ("abs(x0)", 0.0, 0.0, 0.0),
        ("pow(x0, 0.0)", 0.0, 0.0, 0.0),
        ("pow(x0, 2.0)", 0.0, 0.0, 0.0),
        ("pow(x0, 1.0)", 0.0, 0.0, 1.0),
        ("round(x0)", 0.3, 0.0, 0.0),
    ];
    for (text, x, y, expected) in cases {
        let slope = derivative(&parse(text), 0).expect("floats have derivatives");
        assert_eq!(value(&slope, x, y), expected, "{text} at {x}, {y}");
    }
    let power = derivative(&parse("pow(x1, x0)"), 0).expect("floats have derivatives");
    assert_eq!(value(&power, 2.0, 0.0), 0.0);
}

#[test]
fn derivatives_read_well() {
    let cases = [
        ("mul(x0, x1)", "x1"),
        ("exp(x0)", "exp(x0)"),
        ("max(x0, 0.0)", "select(le(x0, 0.0), f64:0.0, f64:1.0)"),
        ("cast.f64(cast.f32(x0))", "f64:1.0"),
        ("sin(x1)", "f64:0.0"),
        ("cast.f64(cast.i32(x0))", "f64:0.0"),
    ];
    for (text, expected) in cases {
        let slope = derivative(&parse(text), 0).expect("floats have derivatives");
        assert_eq!(slope.to_string(), expected, "{text}");
    }
}

#[test]
fn bits_and_integers_have_no_derivative() {
    assert_eq!(derivative(&parse("bitcast.f64(add(bitcast.i64(x0), 1))"), 0), None);
    assert_eq!(derivative(&parse("cast.i32(x0)"), 0), None);
    assert_eq!(derivative(&parse("cast.f64(x2)"), 2), None);
}
