//! Shapes of expressions that several laws look for.

use tracelift_ir::{Broadcast, Graph, Reduce, ReduceKind, Value};
use tracelift_scalar::Op as ScalarOp;
use tracelift_tensor::DType;

use crate::matching::{applied, elementwise, made_by};

/// Whether a number is the one sought, up to a few roundings of the dtype.
pub(super) fn is_near(found: f64, sought: f64, dtype: DType) -> bool {
    let epsilon = if dtype == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    (found - sought).abs() <= 4.0 * epsilon * sought.abs()
}

/// The number that a constant repeats, as `f64`.
pub(super) fn number(graph: &Graph, value: Value) -> Option<f64> {
    graph.splat(value).map(|scalar| scalar.to_f64())
}

/// The operands of a commutative operation, the one for which `pick` finds something first.
pub(super) fn either<T>(
    graph: &Graph,
    value: Value,
    op: ScalarOp,
    pick: impl Fn(Value) -> Option<T>,
) -> Option<(T, Value)> {
    let [x, y] = applied(graph, value, op)?;
    pick(x).map(|found| (found, y)).or_else(|| pick(y).map(|found| (found, x)))
}

/// `x + c` for a number `c`.
pub(super) fn plus_number(graph: &Graph, value: Value) -> Option<(Value, f64)> {
    either(graph, value, ScalarOp::Add, |v| number(graph, v)).map(|(c, x)| (x, c))
}

/// A product: its constant factor and its other factors.
#[derive(Debug)]
pub(super) struct Product {
    pub constant: f64,
    pub factors: Vec<Value>,
}

/// Takes products, quotients by constants and small whole powers apart, a few levels deep.
pub(super) fn product(graph: &Graph, value: Value) -> Product {
    let mut out = Product { constant: 1.0, factors: Vec::new() };
    collect_factors(graph, value, 4, &mut out);
    out.factors.sort_unstable();
    out
}

fn collect_factors(graph: &Graph, value: Value, depth: usize, out: &mut Product) {
    if let Some(constant) = number(graph, value) {
        out.constant *= constant;
        return;
    }
    let parts = if depth == 0 { None } else { elementwise(graph, value.node) };
    match parts {
        Some((ScalarOp::Mul, operands)) => {
            operands.into_iter().for_each(|v| collect_factors(graph, v, depth - 1, out));
        }
        Some((ScalarOp::Div, operands)) if number(graph, operands[1]).is_some() => {
            out.constant /= number(graph, operands[1]).unwrap_or(1.0);
            collect_factors(graph, operands[0], depth - 1, out);
        }
        Some((ScalarOp::Pow, operands)) => match number(graph, operands[1]) {
            Some(power) if power == 2.0 || power == 3.0 => {
                (0..power as usize)
                    .for_each(|_| collect_factors(graph, operands[0], depth - 1, out));
            }
            _ => out.factors.push(value),
        },
        _ => out.factors.push(value),
    }
}

/// The operand of a broadcast that repeats along `axes` and keeps the others in place.
pub(super) fn spread_along(graph: &Graph, value: Value, axes: &[usize]) -> Option<Value> {
    let (op, x) = made_by::<Broadcast>(graph, value)?;
    let kept = (0..op.shape.rank()).filter(|axis| !axes.contains(axis));
    kept.eq(op.axes.iter().copied()).then_some(x[0])
}

/// The operand and axes of a reduction that a broadcast undoes: `broadcast(reduce(x))`.
pub(super) fn spread_reduction(
    graph: &Graph,
    value: Value,
    kind: ReduceKind,
) -> Option<(Value, Vec<usize>)> {
    let (_, y) = made_by::<Broadcast>(graph, value)?;
    let (reduce, x) = made_by::<Reduce>(graph, y[0])?;
    let undone = spread_along(graph, value, &reduce.axes).is_some();
    let same = graph.ty(value).shape == graph.ty(x[0]).shape;
    (reduce.kind == kind && undone && same).then(|| (x[0], reduce.axes.clone()))
}

/// The mean over axes: a sum times the reciprocal of the number of elements.
pub(super) fn mean(graph: &Graph, value: Value) -> Option<(Value, Vec<usize>)> {
    let product = product(graph, value);
    let &[sum] = product.factors.as_slice() else { return None };
    let (reduce, x) = made_by::<Reduce>(graph, sum)?;
    let ty = graph.ty(x[0]);
    let count: f64 = reduce
        .axes
        .iter()
        .map(|&a| ty.dim(a).as_const().map(|n| n as f64))
        .product::<Option<_>>()?;
    let is_mean =
        reduce.kind == ReduceKind::Sum && is_near(product.constant, 1.0 / count, ty.dtype);
    is_mean.then(|| (x[0], reduce.axes.clone()))
}
