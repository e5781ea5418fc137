//! Activations: powers, sigmoid, SiLU, GELU.

use tracelift_ir::{Gelu, GeluForm, Graph, Mul, NodeId, Pow, Sigmoid, Silu, Value};
use tracelift_scalar::Op as ScalarOp;

use super::patterns::{either, is_near, number, plus_number, product};
use crate::{
    Law, Rewrite,
    matching::{applied, elementwise, made_by, only_result},
};

pub(super) const LAWS: &[(&str, Law)] =
    &[("small_power", small_power), ("sigmoid", sigmoid), ("silu", silu), ("gelu", gelu)];

/// `x² = x · x` and `x³ = x · x · x` among floats: one or two roundings.
fn small_power(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    graph.op_as::<Pow>(node)?;
    let [x, power] = graph.operands(node).try_into().ok()?;
    let power = number(graph, power).filter(|&p| p == 2.0 || p == 3.0)?;
    if !graph.ty(x).dtype.is_float() {
        return None;
    }
    Some(Rewrite::build1(node, move |b| {
        let square = b.op1(Mul {}, &[x, x])?;
        if power == 2.0 { Ok(square) } else { b.op1(Mul {}, &[square, x]) }
    }))
}

/// `x` where the value is `1 + e^(−x)`.
fn logistic(graph: &Graph, value: Value) -> Option<Value> {
    let (power, one) = plus_number(graph, value)?;
    let [negative] = applied(graph, power, ScalarOp::Exp)?;
    let [x] = applied(graph, negative, ScalarOp::Neg)?;
    (one == 1.0).then_some(x)
}

/// `1 / (1 + e^(−x)) = sigmoid(x)`.
fn sigmoid(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let [one, total] = applied(graph, only_result(graph, node)?, ScalarOp::Div)?;
    let x = logistic(graph, total)?;
    (number(graph, one)? == 1.0).then(|| Rewrite::replace(node, Sigmoid {}, [x]))
}

/// `x · sigmoid(x) = x / (1 + e^(−x)) = silu(x)`.
fn silu(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (op, operands) = elementwise(graph, node)?;
    let &[a, b] = operands.as_slice() else { return None };
    let gate = |v| made_by::<Sigmoid>(graph, v).map(|(_, x)| x[0]);
    let x = match op {
        ScalarOp::Mul if gate(a) == Some(b) => b,
        ScalarOp::Mul if gate(b) == Some(a) => a,
        ScalarOp::Div if logistic(graph, b) == Some(a) => a,
        _ => return None,
    };
    Some(Rewrite::replace(node, Silu {}, [x]))
}

/// `x · ½ · (1 + erf(x / √2))`, or with a hyperbolic tangent, in any order, is `gelu(x)`.
fn gelu(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    graph.op_as::<Mul>(node)?;
    let value = only_result(graph, node)?;
    let dtype = graph.ty(value).dtype;
    let whole = product(graph, value);
    let &[a, b] = whole.factors.as_slice() else { return None };
    if !is_near(whole.constant, 0.5, dtype) {
        return None;
    }
    [(a, b), (b, a)].into_iter().find_map(|(x, twice)| {
        let (inner, one) = plus_number(graph, twice)?;
        let approximate = gelu_form(graph, inner, x).filter(|_| one == 1.0)?;
        Some(Rewrite::replace(node, Gelu { approximate }, [x]))
    })
}

/// What form of `gelu(x)` has this value plus 1 as its last factor.
fn gelu_form(graph: &Graph, inner: Value, x: Value) -> Option<GeluForm> {
    let dtype = graph.ty(x).dtype;
    if let Some([scaled]) = applied(graph, inner, ScalarOp::Erf) {
        let scaled = product(graph, scaled);
        let factor = is_near(scaled.constant, std::f64::consts::FRAC_1_SQRT_2, dtype);
        return (factor && scaled.factors == [x]).then_some(GeluForm::Exact);
    }
    let [scaled] = applied(graph, inner, ScalarOp::Tanh)?;
    let scaled = product(graph, scaled);
    let &[sum] = scaled.factors.as_slice() else { return None };
    let same = |v| (v == x).then_some(());
    let (_, cube) = either(graph, sum, ScalarOp::Add, same)?;
    let cube = product(graph, cube);
    let numbers = is_near(cube.constant, 0.044715, dtype)
        && is_near(scaled.constant, std::f64::consts::FRAC_2_PI.sqrt(), dtype);
    (numbers && cube.factors == [x; 3]).then_some(GeluForm::Tanh)
}
