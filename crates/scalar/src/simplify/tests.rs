//! Each law on an example, and all of them on random expressions.

use proptest::prelude::*;
use tracelift_tensor::{DType, Scalar};

use super::*;
use crate::testing::{INPUTS, arb_expr, arb_scalar};

#[test]
fn laws_apply() {
    let cases = [
        ("add(f32:1.0, f32:2.0)", "f32:3.0"),
        ("mul(1.0, x0)", "x0"),
        ("add(x0, -0.0)", "x0"),
        ("add(x0, 0.0)", "add(x0, 0.0)"),
        ("sub(x0, 0.0)", "x0"),
        ("sub(x0, -0.0)", "sub(x0, -0.0)"),
        ("mul(x0, 0.0)", "mul(x0, 0.0)"),
        ("mul(x1, 0)", "i32:0"),
        ("rem(x1, 1)", "i32:0"),
        ("add(add(x1, 3), 4)", "add(x1, 7)"),
        ("add(add(x0, 3.0), 4.0)", "add(add(x0, 3.0), 4.0)"),
        ("neg(neg(x0))", "x0"),
        ("abs(neg(abs(x0)))", "abs(x0)"),
        ("add(neg(x0), x3)", "sub(x3, x0)"),
        ("sub(x0, neg(x3))", "add(x0, x3)"),
        ("div(neg(x0), neg(x3))", "div(x0, x3)"),
        ("mul(x0, -1.0)", "neg(x0)"),
        ("div(x0, 4.0)", "mul(x0, 0.25)"),
        ("div(x0, 3.0)", "div(x0, 3.0)"),
        ("sub(x1, x1)", "i32:0"),
        ("floor(round(x0))", "round(x0)"),
        ("sign(sign(x0))", "sign(x0)"),
        ("not(not(x2))", "x2"),
        ("and(x2, true)", "x2"),
        ("and(x1, 0)", "i32:0"),
        ("or(x1, x1)", "x1"),
        ("xor(x1, x1)", "i32:0"),
        ("shl(x1, 32)", "i32:0"),
        ("shr(x1, 0)", "x1"),
        ("not(lt(x1, 5))", "ge(x1, 5)"),
        ("not(lt(x0, 5.0))", "not(lt(x0, 5.0))"),
        ("not(eq(x0, 5.0))", "ne(x0, 5.0)"),
        ("cast.f32(x0)", "x0"),
        ("cast.f32(cast.f64(x0))", "x0"),
        ("cast.i32(cast.f32(x1))", "cast.i32(cast.f32(x1))"),
        ("cast.f32(cast.i64(x1))", "cast.f32(x1)"),
        ("bitcast.f32(bitcast.i32(x0))", "x0"),
        ("select(x2, x0, x0)", "x0"),
        ("select(lt(f32:1.0, f32:2.0), x0, x3)", "x0"),
        ("select(not(x2), x0, x3)", "select(x2, x3, x0)"),
        ("select(x2, false, true)", "not(x2)"),
        ("max(x0, x0)", "x0"),
        ("le(x1, x1)", "true"),
        ("le(x0, x0)", "le(x0, x0)"),
        ("lt(x0, x0)", "false"),
    ];
    let inputs = [DType::F32, DType::I32, DType::Bool, DType::F32];
    for (text, expected) in cases {
        let expr = Expr::parse(text, &inputs).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(simplify(&expr).to_string(), expected, "{text}");
    }
}

/// Whether two scalars are equal but for the bits of NaN.
fn same(x: Scalar, y: Scalar) -> bool {
    x == y || (x.dtype() == y.dtype() && x.to_f64().is_nan() && y.to_f64().is_nan())
}

/// Whether the value may depend on the bits of NaN, which no law keeps.
fn sees_nan_bits(expr: &Expr) -> bool {
    let is_bitcast = |node: &ExprNode| matches!(node, ExprNode::Apply(Op::Bitcast(_), _));
    expr.nodes().iter().any(is_bitcast)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn simplification_keeps_the_value(
        expr in arb_expr(),
        inputs in INPUTS.map(arb_scalar),
        coordinates in any::<[u8; 2]>(),
    ) {
        let coordinates = coordinates.map(usize::from);
        let simple = simplify(&expr);
        let (before, after) = (expr.eval(&inputs, &coordinates), simple.eval(&inputs, &coordinates));
        prop_assert!(same(before, after) || sees_nan_bits(&expr), "{expr} → {simple}: {before} → {after}");
        prop_assert_eq!(simplify(&simple), simple);
    }
}
