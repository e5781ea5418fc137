//! `matmul`.

use super::{broadcast_shapes, contract::letters, exactly};
use crate::{Builder, Composite, Shape, TypeError, Value, operator, require};

operator! {
    /// The matrix product over the last two axes; the axes before them broadcast.
    ///
    /// A first operand with one axis is a row, a second one with one axis a column; that axis is
    /// dropped from the result.
    ///
    /// (C1) Both operands have at least one axis.
    /// (C2) The last extent of the first is the last but one of the second.
    /// (C3) The axes before the matrices broadcast.
    /// (C4) The operands are numbers of one dtype.
    ///
    /// Result: shape `[.., M, N]`.
    /// Source: `numpy.matmul`; ONNX `MatMul`, opset 13.
    Matmul = "matmul" {}
}

/// One operand ready to contract: its value, and its batch axes by letter.
struct Side {
    value: Value,
    batch: String,
}

impl Side {
    /// Drops the batch axes of extent 1 where the result's are longer; a contraction repeats the
    /// operand along letters it does not have.
    fn new(b: &mut Builder<'_>, x: Value, n_matrix: usize, batch: &Shape) -> Result<Side, TypeError> {
        let shape = b.shape(x);
        let own = shape.rank() - n_matrix;
        let names: Vec<char> = letters(batch.rank())?.chars().collect();
        let offset = batch.rank() - own;
        let kept = |k: &usize| shape[*k] == batch[offset + k];
        let dims = (0..own).filter(kept).chain(own..shape.rank()).map(|k| shape[k].clone());
        let value = b.reshape(x, Shape(dims.collect()))?;
        Ok(Side { value, batch: (0..own).filter(kept).map(|k| names[offset + k]).collect() })
    }
}

impl Composite for Matmul {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x, y] = *exactly(operands)?;
        let (x_ty, y_ty) = (b.ty(x).clone(), b.ty(y).clone());
        let ranks = [x_ty.rank(), y_ty.rank()];
        require!(ranks.iter().all(|&r| r > 0), "C1: {x_ty} by {y_ty}");
        let [n_x, n_y] = ranks.map(|r| r.min(2));
        let (found, expected) = (x_ty.dim(ranks[0] - 1), y_ty.dim(ranks[1] - n_y));
        require!(found == expected, "C2: {x_ty} by {y_ty}: {found} beside {expected}");
        let outer = |shape: &Shape, n: usize| Shape(shape[..shape.rank() - n].to_vec());
        let batch = broadcast_shapes(&[outer(&x_ty.shape, n_x), outer(&y_ty.shape, n_y)])
            .map_err(|error| TypeError(format!("C3: {error}")))?;
        let lhs = Side::new(b, x, n_x, &batch)?;
        let rhs = Side::new(b, y, n_y, &batch)?;
        let row = if n_x == 2 { "X" } else { "" };
        let column = if n_y == 2 { "Z" } else { "" };
        let all = letters(batch.rank())?;
        let spec = format!("{}{row}Y, {}Y{column} -> {all}{row}{column}", lhs.batch, rhs.batch);
        Ok(vec![b.contract(lhs.value, rhs.value, &spec)?])
    }
}
