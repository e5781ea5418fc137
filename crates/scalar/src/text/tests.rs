//! What is printed parses back; what does not parse says why.

use proptest::prelude::*;
use tracelift_tensor::DType;

use crate::testing::{INPUTS, arb_expr};
use crate::{Expr, expand, expansion_of};

#[test]
fn canonical_text_prints_as_itself() {
    let texts = [
        "x0",
        "true",
        "f64:-inf",
        "mul(x0, 2.0)",
        "let t0 = exp(x0); add(t0, t0)",
        "exp(f32:2.0)",
        "select(lt(x0, 0.0), x0, -0.0)",
        "select(true, f32:1.0, f32:2.0)",
        "add(cast.f32(i0), nan:0x7fc00001)",
        "and(true, false)",
        "bitcast.u32(x0)",
        "shl(i8:1, i8:3)",
    ];
    for text in texts {
        let expr = Expr::parse(text, &[DType::F32]).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(expr.to_string(), text);
    }
}

#[test]
fn expansions_read_back() {
    for dtype in DType::ALL {
        for op in crate::Op::ALL {
            let Some(expr) = expansion_of(*op, dtype) else { continue };
            assert_eq!(Expr::parse(&expr.to_string(), &[dtype, dtype]), Ok(expr));
        }
    }
}

#[test]
fn errors_name_place_and_expectation() {
    let cases = [
        ("", "byte 0: found the end, expected an expression"),
        ("add(x0, x1)", "byte 8: found 'x1', expected one of 1 inputs, counted from x0"),
        ("add(x0 x0)", "byte 7: found 'x0', expected ')'"),
        ("sing(x0)", "byte 0: found 'sing', expected an operation"),
        ("exp(2.0)", "byte 4: found '2.0', expected a literal with its dtype, such as f32:2.0"),
        ("add(x0, true)", "byte 8: found 'true', expected a literal of dtype f32"),
        ("let x0 = x0; x0", "byte 4: found 'x0', expected a name not in use"),
        ("let t = x0", "byte 10: found the end, expected ';'"),
        ("x0 €", "byte 3: found '€', expected the end"),
        (
            "add(x0)",
            "byte 0: found 'add', expected operands that fit: add takes 2 operands, found (f32)",
        ),
    ];
    for (text, expected) in cases {
        let error = Expr::parse(text, &[DType::F32]).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text}");
    }
    let deep = "neg(".repeat(100_000);
    assert!(Expr::parse(&deep, &[]).is_err());
}

proptest! {
    #[test]
    fn printing_then_parsing_is_the_identity(expr in arb_expr()) {
        prop_assert_eq!(Expr::parse(&expr.to_string(), &INPUTS), Ok(expr.clone()));
        let expanded = expand(&expr);
        prop_assert_eq!(Expr::parse(&expanded.to_string(), &INPUTS), Ok(expanded));
    }

    #[test]
    fn any_text_parses_or_errs(text in "[a-z0-9(),;=:. €-]{0,40}") {
        let _ = Expr::parse(&text, &INPUTS);
    }
}
