//! `linear`.

use super::contract::letters;
use crate::{Builder, Composite, TypeError, Value, operator, require};

operator! {
    /// `x · weightᵀ + bias` over the last axis of `x`.
    ///
    /// Operands: x of shape `[.., I]`, weight of shape `[O, I]`, optionally bias of shape `[O]`.
    ///
    /// (C1) `x` has at least one axis and the weight two.
    /// (C2) The last extents of `x` and weight are equal.
    /// (C3) The bias has one number per row of the weight.
    /// (C4) The operands are numbers of one dtype.
    ///
    /// Result: shape `[.., O]`.
    /// Source: PyTorch `linear`.
    Linear = "linear" {}
}

impl Composite for Linear {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let (&[x, weight, ref bias @ ..], true) = (operands, operands.len() <= 3) else {
            return Err(TypeError::arity("2 or 3", operands.len()));
        };
        let (x_ty, w_ty) = (b.ty(x).clone(), b.ty(weight).clone());
        require!(x_ty.rank() >= 1 && w_ty.rank() == 2, "C1: input {x_ty}, weight {w_ty}");
        let found = x_ty.dim(x_ty.rank() - 1);
        require!(found == w_ty.dim(1), "C2: input extent {found}, expected {}", w_ty.dim(1));
        let outer = letters(x_ty.rank() - 1)?;
        let y = b.contract(x, weight, &format!("{outer}Y, ZY -> {outer}Z"))?;
        let Some(&bias) = bias.first() else {
            return Ok(vec![y]);
        };
        let bias_ty = b.ty(bias);
        let fits = bias_ty.rank() == 1 && bias_ty.dim(0) == w_ty.dim(0);
        require!(fits, "C3: bias {bias_ty} for weight {w_ty}");
        Ok(vec![b.add(y, bias)?])
    }
}
