//! Evaluation of operators on constants, fast where weights are large.
//!
//! Movements become strided copies and float arithmetic typed loops; everything else goes through
//! the reference meaning, and is left alone where that would take too long.

use bytes::Bytes;
use tracelift_ir::{Movement, Op, Piece, Role, Structure, TensorType};
use tracelift_scalar::{Op as ScalarOp, linearise};
use tracelift_tensor::{DType, Tensor};

use crate::elementwise::scalar_op;

/// The number of element visits that the reference meaning may take; each costs about 100 ns.
const MOST_SLOW_VISITS: usize = 1 << 18;

/// The results of an operator on tensors that fit it; `None` where it would take too long.
pub(crate) fn evaluate(
    op: &Op,
    operands: &[&Tensor],
    results: &[TensorType],
) -> Option<Vec<Tensor>> {
    if let (Op::Reshape(_), [x]) = (op, operands) {
        return Some(vec![x.reshaped(&results[0].shape.as_consts()?)]);
    }
    if let Some(op) = scalar_op(op)
        && let Some(result) = float_arithmetic(op, operands)
    {
        return Some(vec![result]);
    }
    let types: Vec<TensorType> =
        operands.iter().map(|x| TensorType::new(x.dtype(), x.shape())).collect();
    let counts = operands.iter().map(|x| x.count()).chain(results.iter().map(element_count));
    let visits: usize = counts.fold(0, usize::saturating_add);
    let per_element = match op.role() {
        Role::Composite(_) => 16,
        Role::Primitive(primitive) => match primitive.structure(&types) {
            Structure::Move(movement) => {
                if let Some(result) = strided_move(&movement, operands, &results[0]) {
                    return Some(vec![result]);
                }
                1
            }
            Structure::Contract(fold) | Structure::Window(fold) => {
                fold.domain.iter().fold(1usize, |n, &d| n.saturating_mul(d))
            }
            _ => 1,
        },
    };
    let affordable = visits.saturating_mul(per_element) <= MOST_SLOW_VISITS;
    affordable.then(|| op.eval(operands))
}

/// The number of elements of a type of known extents, `usize::MAX` where one is not known.
pub(crate) fn element_count(ty: &TensorType) -> usize {
    ty.shape.count().as_const().unwrap_or(usize::MAX)
}

/// `+`, `−`, `·`, `/` and negation on `f32`, element by element.
fn float_arithmetic(op: ScalarOp, operands: &[&Tensor]) -> Option<Tensor> {
    if operands.iter().any(|x| x.dtype() != DType::F32) {
        return None;
    }
    let binary = |f: fn(f32, f32) -> f32| {
        let (x, y) = (operands[0].to_vec::<f32>(), operands[1].to_vec::<f32>());
        let data: Vec<f32> = x.iter().zip(&y).map(|(&x, &y)| f(x, y)).collect();
        Some(Tensor::new(operands[0].shape(), &data))
    };
    match op {
        ScalarOp::Add => binary(|x, y| x + y),
        ScalarOp::Sub => binary(|x, y| x - y),
        ScalarOp::Mul => binary(|x, y| x * y),
        ScalarOp::Div => binary(|x, y| x / y),
        ScalarOp::Neg => {
            let data: Vec<f32> = operands[0].to_vec::<f32>().iter().map(|x| -x).collect();
            Some(Tensor::new(operands[0].shape(), &data))
        }
        _ => None,
    }
}

/// A copy of elements from strided places to a box of the result, in bytes.
struct Copy {
    /// First coordinate and extent of the box along each axis.
    range: Vec<(usize, usize)>,
    /// The source position of coordinate 0, and the step along each axis, in elements.
    base: i64,
    steps: Vec<i64>,
}

/// A movement whose pieces are boxes read with constant strides.
fn strided_move(movement: &Movement, operands: &[&Tensor], ty: &TensorType) -> Option<Tensor> {
    let extents = ty.shape.as_consts()?;
    let size = ty.dtype.size_bytes();
    let copies: Option<Vec<Copy>> =
        movement.pieces.iter().map(|p| as_copy(p, &extents, operands)).collect();
    let copies = copies?;
    let mut bytes = match movement.fill {
        Some(fill) => fill.to_bits().to_le_bytes()[..size].repeat(extents.iter().product()),
        None => vec![0; extents.iter().product::<usize>() * size],
    };
    // An earlier piece wins where two overlap, so it is written last.
    for (piece, copy) in movement.pieces.iter().zip(&copies).rev() {
        let source = operands[piece.read.operand].bytes();
        match size {
            1 => run_copy::<1>(copy, source, &mut bytes, &extents),
            2 => run_copy::<2>(copy, source, &mut bytes, &extents),
            4 => run_copy::<4>(copy, source, &mut bytes, &extents),
            _ => run_copy::<8>(copy, source, &mut bytes, &extents),
        }
    }
    Tensor::from_bytes(ty.dtype, &extents, Bytes::from(bytes)).ok()
}

fn as_copy(piece: &Piece, extents: &[usize], operands: &[&Tensor]) -> Option<Copy> {
    let mut range: Vec<(usize, usize)> = extents.iter().map(|&e| (0, e)).collect();
    for guard in &piece.guards {
        let &[(tracelift_scalar::IndexTerm::Axis(axis), 1)] = guard.expr.terms.as_slice() else {
            return None;
        };
        // 0 ≤ i + constant < extent
        let low = (-guard.expr.constant).max(range[axis].0 as i64);
        let end = (range[axis].0 + range[axis].1) as i64;
        let high = (guard.extent - guard.expr.constant).min(end);
        range[axis] = (low.max(0) as usize, (high - low).max(0) as usize);
    }
    let position = linearise(&piece.read.index, operands[piece.read.operand].shape());
    let steps: Option<Vec<i64>> = (0..extents.len()).map(|axis| position.stride_of(axis)).collect();
    let pure =
        |term: &tracelift_scalar::IndexTerm| matches!(term, tracelift_scalar::IndexTerm::Axis(_));
    let affine = position.terms.iter().all(|(term, _)| pure(term));
    Some(Copy { range, base: position.constant, steps: steps.filter(|_| affine)? })
}

fn run_copy<const SIZE: usize>(copy: &Copy, from: &[u8], to: &mut [u8], extents: &[usize]) {
    if copy.range.iter().any(|&(_, n)| n == 0) {
        return;
    }
    let (from, to) = (from.as_chunks::<SIZE>().0, to.as_chunks_mut::<SIZE>().0);
    let mut stride = 1;
    let mut target_steps = vec![0; extents.len()];
    for (axis, &extent) in extents.iter().enumerate().rev() {
        target_steps[axis] = stride;
        stride *= extent;
    }
    let start = |steps: &[i64]| -> i64 {
        copy.range.iter().zip(steps).map(|(&(first, _), &step)| first as i64 * step).sum()
    };
    let wide: Vec<i64> = target_steps.iter().map(|&s| s as i64).collect();
    let at = (copy.base + start(&copy.steps), start(&wide) as usize);
    let axes: Vec<(usize, i64, usize)> =
        (0..extents.len()).map(|a| (copy.range[a].1, copy.steps[a], target_steps[a])).collect();
    copy_box(&axes, at, from, to);
}

/// Copies a box, axis by axis; `axes` holds extent, source step and target step.
fn copy_box<const SIZE: usize>(
    axes: &[(usize, i64, usize)],
    (source, target): (i64, usize),
    from: &[[u8; SIZE]],
    to: &mut [[u8; SIZE]],
) {
    match axes {
        [] => to[target] = from[source as usize],
        [(n, 1, 1)] => {
            let source = source as usize;
            to[target..target + n].copy_from_slice(&from[source..source + n]);
        }
        [(n, step, target_step)] => {
            let mut source = source;
            for slot in to[target..].iter_mut().step_by(*target_step).take(*n) {
                *slot = from[source as usize];
                source += step;
            }
        }
        // Two inner axes that change places go in square blocks, which stay in the cache.
        [(n, step, to_step), (m, inner_step, inner_to)] if *inner_step > 8 => {
            for first in (0..*m).step_by(16) {
                let width = (*m - first).min(16);
                for i in 0..*n {
                    let source = source + i as i64 * step + first as i64 * inner_step;
                    let at = (source, target + i * to_step + first * inner_to);
                    copy_box(&[(width, *inner_step, *inner_to)], at, from, to);
                }
            }
        }
        [(n, step, to_step), rest @ ..] => {
            for i in 0..*n {
                copy_box(rest, (source + i as i64 * step, target + i * to_step), from, to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracelift_ir::{Broadcast, Concat, Transpose};

    fn check(op: impl Into<Op>, operands: &[&Tensor]) {
        let op = op.into();
        let types: Vec<TensorType> =
            operands.iter().map(|x| TensorType::new(x.dtype(), x.shape())).collect();
        let results = op.infer(&types).unwrap();
        assert_eq!(evaluate(&op, operands, &results), Some(op.eval(operands)), "{op:?}");
    }

    fn counting(dtype: DType, shape: &[usize]) -> Tensor {
        let mut next = 0;
        Tensor::from_fn(dtype, shape, |_| {
            next += 1;
            tracelift_tensor::Scalar::from_i64(dtype, next)
        })
    }

    #[test]
    fn copies_agree_with_the_reference() {
        for dtype in [DType::U8, DType::I16, DType::F32, DType::F64] {
            let x = counting(dtype, &[3, 20, 5]);
            for perm in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
                check(Transpose { perm: perm.to_vec() }, &[&x]);
            }
            check(Broadcast { shape: [3, 20, 2, 5].into(), axes: vec![0, 1, 3] }, &[&x]);
            let y = counting(dtype, &[3, 1, 5]);
            check(Concat { axis: 1 }, &[&x, &y, &x]);
            let empty = counting(dtype, &[3, 0, 5]);
            check(Concat { axis: 1 }, &[&empty, &y]);
            check(Transpose { perm: vec![2, 0, 1] }, &[&empty]);
        }
    }

    #[test]
    fn large_weights_are_transposed_but_not_multiplied() {
        let x = Tensor::splat(tracelift_tensor::Scalar::F32(1.0), &[768, 3072]);
        let op = Op::from(Transpose { perm: vec![1, 0] });
        let ty = TensorType::new(DType::F32, [3072, 768]);
        assert!(evaluate(&op, &[&x], &[ty]).is_some());
        let op = Op::from(tracelift_ir::Contract::new("ij, kj -> ik"));
        let ty = TensorType::new(DType::F32, [768, 768]);
        assert_eq!(evaluate(&op, &[&x, &x], &[ty]), None);
    }
}
