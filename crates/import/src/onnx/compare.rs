//! Comparison, logic, bits and choice.

use tracelift_ir::{Value, ops};

use super::{
    arithmetic::{binary, unary},
    failure::{Converted, Failure},
    node_cx::NodeCx,
    registry::{Row, row},
};

/// The rows of this family.
pub(super) const ROWS: &[Row] = &[
    row("And", 1, (2, 2), |cx| binary(cx, ops::And {})),
    row("BitShift", 11, (2, 2), bit_shift),
    row("BitwiseAnd", 18, (2, 2), |cx| binary(cx, ops::And {})),
    row("BitwiseNot", 18, (1, 1), |cx| unary(cx, ops::Not {})),
    row("BitwiseOr", 18, (2, 2), |cx| binary(cx, ops::Or {})),
    row("BitwiseXor", 18, (2, 2), |cx| binary(cx, ops::Xor {})),
    row("Equal", 1, (2, 2), |cx| binary(cx, ops::Eq {})),
    row("Greater", 1, (2, 2), |cx| binary(cx, ops::Gt {})),
    row("GreaterOrEqual", 12, (2, 2), |cx| binary(cx, ops::Ge {})),
    row("IsInf", 10, (1, 1), is_inf),
    row("IsNaN", 9, (1, 1), |cx| unary(cx, ops::IsNan {})),
    row("Less", 1, (2, 2), |cx| binary(cx, ops::Lt {})),
    row("LessOrEqual", 12, (2, 2), |cx| binary(cx, ops::Le {})),
    row("Not", 1, (1, 1), |cx| unary(cx, ops::Not {})),
    row("Or", 1, (2, 2), |cx| binary(cx, ops::Or {})),
    row("Where", 9, (3, 3), choose),
    row("Xor", 1, (2, 2), |cx| binary(cx, ops::Xor {})),
];

fn bit_shift(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    match cx.attributes.text_or("direction", "")?.as_str() {
        "LEFT" => binary(cx, ops::Shl {}),
        "RIGHT" => binary(cx, ops::Shr {}),
        other => {
            Err(Failure::new(format!("direction '{other}'")).with_hint("supported: LEFT, RIGHT"))
        }
    }
}

fn is_inf(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let positive = cx.attributes.int_or("detect_positive", 1)? != 0;
    let negative = cx.attributes.int_or("detect_negative", 1)? != 0;
    Ok(vec![cx.op1(ops::IsInf { positive, negative }, &[x])?])
}

fn choose(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (c, a, b) = (cx.operand(0)?, cx.operand(1)?, cx.operand(2)?);
    Ok(vec![cx.map(ops::Select {}, &[c, a, b])?])
}
