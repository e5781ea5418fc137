//! Operators over integers that are known as expressions of symbols.
//!
//! `Shape` of a value with symbolic extents gives such integers, and exporters compute with them:
//! take one, multiply two, join them, reshape to them. An operator that only moves elements is
//! evaluated on their positions, so every movement works without being listed.

use tracelift_ir::{Op, ReduceKind, TensorType};
use tracelift_tensor::{DType, Dim, Tensor};

/// The elements of an operator's result given those of its operands, where they can be said.
pub(super) fn evaluate(
    op: &Op,
    operands: &[Vec<Dim>],
    types: &[TensorType],
    result: &TensorType,
) -> Option<Vec<Dim>> {
    if result.dtype.is_float() {
        return None;
    }
    match op {
        Op::Add(_) => pairs(operands, |a, b| Some(a + b)),
        Op::Sub(_) => pairs(operands, |a, b| Some(a - b)),
        Op::Mul(_) => pairs(operands, |a, b| Some(a * b)),
        Op::Div(_) => pairs(operands, quotient),
        Op::Rem(_) => pairs(operands, |a, b| Some(a - &(&quotient(a, b)? * b))),
        Op::Min(_) => pairs(operands, |a, b| Some(if is_at_most(a, b)? { a } else { b }.clone())),
        Op::Max(_) => pairs(operands, |a, b| Some(if is_at_most(a, b)? { b } else { a }.clone())),
        Op::Eq(_) => pairs(operands, |a, b| Some(Dim::from(i64::from(is_equal(a, b)?)))),
        Op::Ne(_) => pairs(operands, |a, b| Some(Dim::from(i64::from(!is_equal(a, b)?)))),
        Op::Le(_) => pairs(operands, |a, b| Some(Dim::from(i64::from(is_at_most(a, b)?)))),
        Op::Ge(_) => pairs(operands, |a, b| Some(Dim::from(i64::from(is_at_most(b, a)?)))),
        Op::Lt(_) => pairs(operands, |a, b| Some(Dim::from(i64::from(!is_at_most(b, a)?)))),
        Op::Gt(_) => pairs(operands, |a, b| Some(Dim::from(i64::from(!is_at_most(a, b)?)))),
        Op::Neg(_) => operands[0].iter().map(|a| Some(&Dim::from(0) - a)).collect(),
        Op::Cast(cast) if matches!(cast.to, DType::I64 | DType::I32) => Some(operands[0].clone()),
        Op::Cast(cast) if cast.to == DType::Bool => operands[0].iter().map(is_nonzero).collect(),
        Op::Select(_) => select(operands),
        Op::Reduce(reduce) if types[0].rank() == 1 && reduce.axes == [0] => match reduce.kind {
            ReduceKind::Sum => Some(vec![operands[0].iter().cloned().sum()]),
            ReduceKind::Product => Some(vec![operands[0].iter().cloned().product()]),
            _ => None,
        },
        _ => moved(op, operands, types),
    }
}

fn pairs(operands: &[Vec<Dim>], f: impl Fn(&Dim, &Dim) -> Option<Dim>) -> Option<Vec<Dim>> {
    operands[0].iter().zip(&operands[1]).map(|(a, b)| f(a, b)).collect()
}

/// Extents are not negative, and neither is a sum of products of them.
fn is_non_negative(dim: &Dim) -> bool {
    dim.has_no_negative_term()
}

/// Truncating division, where it is floor division: of what is not negative by what is positive.
fn quotient(a: &Dim, b: &Dim) -> Option<Dim> {
    let positive = is_non_negative(&(b - &Dim::from(1)));
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) if b != 0 => Some(Dim::from(a.wrapping_div(b))),
        _ => {
            let quotient = a.floor_div(b)?;
            // Exact division of products needs no knowledge of signs.
            let exact = &quotient * b == *a;
            (exact || is_non_negative(a) && positive).then_some(quotient)
        }
    }
}

fn is_at_most(a: &Dim, b: &Dim) -> Option<bool> {
    if is_non_negative(&(b - a)) {
        return Some(true);
    }
    is_non_negative(&(&(a - b) - &Dim::from(1))).then_some(false)
}

fn is_equal(a: &Dim, b: &Dim) -> Option<bool> {
    let one = Dim::from(1);
    if a == b {
        return Some(true);
    }
    let differ = is_non_negative(&(&(a - b) - &one)) || is_non_negative(&(&(b - a) - &one));
    differ.then_some(false)
}

fn is_nonzero(a: &Dim) -> Option<Dim> {
    Some(Dim::from(i64::from(!is_equal(a, &Dim::from(0))?)))
}

fn select(operands: &[Vec<Dim>]) -> Option<Vec<Dim>> {
    let branches = operands[1].iter().zip(&operands[2]);
    let choose = |(c, (a, b)): (&Dim, (&Dim, &Dim))| match c.as_i64()? {
        0 => Some(b.clone()),
        _ => Some(a.clone()),
    };
    operands[0].iter().zip(branches).map(choose).collect()
}

/// Evaluates a movement on positions in the list of all elements.
fn moved(op: &Op, operands: &[Vec<Dim>], types: &[TensorType]) -> Option<Vec<Dim>> {
    let n_moved = match op {
        Op::Reshape(_) | Op::Transpose(_) | Op::Broadcast(_) | Op::Slice(_) => 1,
        Op::Concat(_) => operands.len(),
        Op::Take(_) | Op::TakeAlongAxis(_) | Op::GatherNd(_) => 1,
        _ => return None,
    };
    let mut table: Vec<&Dim> = Vec::new();
    let mut tensors: Vec<Tensor> = Vec::new();
    for (k, (dims, ty)) in operands.iter().zip(types).enumerate() {
        let shape = ty.shape.as_consts()?;
        let numbers: Vec<i64> = if k < n_moved {
            let first = table.len() as i64;
            table.extend(dims);
            (first..first + dims.len() as i64).collect()
        } else {
            dims.iter().map(Dim::as_i64).collect::<Option<_>>()?
        };
        tensors.push(Tensor::new(&shape, &numbers));
    }
    let result = op.eval(&tensors.iter().collect::<Vec<_>>());
    Some(result[0].iter().map(|at| table[at.to_i64() as usize].clone()).collect())
}
