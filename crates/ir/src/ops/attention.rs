//! `attention`.

use tracelift_tensor::{DType, Dim, Scalar};

use crate::{
    Builder, Composite, Iota, Literal, Mul, ReduceKind, Shape, Softmax, TensorType, TypeError,
    Value, operator, require,
};

operator! {
    /// Scaled dot-product attention: `softmax(q · kᵀ · scale + mask) · v`.
    ///
    /// Operands: q of shape `[B, H, T, D]`, k `[B, G, S, D]`, v `[B, G, S, E]`, optionally a mask
    /// that broadcasts to `[B, H, T, S]`: added to the logits where it is a float, keeping them
    /// where it is `true`. Query head `h` reads key and value head `⌊h / (H/G)⌋`.
    ///
    /// (C1) The operands have these shapes.
    /// (C2) `H` and `G` are known and `G` divides `H`.
    /// (C3) q, k, v and an added mask are floats of one dtype; any other mask is bool.
    ///
    /// Result: shape `[B, H, T, E]`. A query whose keys are all masked (by `false` or −∞) gets
    /// zeros. With `causal`, query `t` sees the keys `s ≤ t` only.
    /// Source: Vaswani et al. 2017, arXiv:1706.03762; PyTorch `scaled_dot_product_attention`.
    Attention = "attention" {
        /// The factor of the logits, usually `1 / √D`.
        scale: Literal,
        /// Whether a query is kept from later keys.
        causal: bool = false,
    }
}

/// The extents of an attention.
struct Extents {
    batch: Dim,
    /// Heads of keys and values, and query heads per each of them.
    groups: usize,
    per_group: usize,
    queries: Dim,
    keys: Dim,
    width: Dim,
    values: Dim,
}

impl Extents {
    fn of(q: &TensorType, k: &TensorType, v: &TensorType) -> Result<Extents, TypeError> {
        let shapes = || format!("q {q}, k {k}, v {v}");
        require!([q, k, v].iter().all(|ty| ty.rank() == 4), "C1: {}", shapes());
        let agree = q.dim(0) == k.dim(0)
            && q.dim(3) == k.dim(3)
            && k.shape[..3] == v.shape[..3];
        require!(agree, "C1: {}", shapes());
        let floats = q.dtype.is_float() && k.dtype == q.dtype && v.dtype == q.dtype;
        require!(floats, "C3: {}", shapes());
        let heads = q.dim(1).as_const().zip(k.dim(1).as_const());
        let Some((heads, groups)) = heads.filter(|&(h, g)| g > 0 && h % g == 0) else {
            return Err(TypeError(format!("C2: {}", shapes())));
        };
        Ok(Extents {
            batch: q.dim(0).clone(),
            groups,
            per_group: heads / groups,
            queries: q.dim(2).clone(),
            keys: k.dim(2).clone(),
            width: q.dim(3).clone(),
            values: v.dim(3).clone(),
        })
    }

    fn logits(&self) -> Shape {
        let heads = Dim::from(self.groups * self.per_group);
        Shape(vec![self.batch.clone(), heads, self.queries.clone(), self.keys.clone()])
    }

    /// A shape whose heads are split into groups, ending in two extents.
    fn grouped(&self, rows: &Dim, columns: &Dim) -> Shape {
        let [groups, per_group] = [self.groups, self.per_group].map(Dim::from);
        Shape(vec![self.batch.clone(), groups, per_group, rows.clone(), columns.clone()])
    }
}

impl Composite for Attention {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let (&[q, k, v, ref mask @ ..], true) = (operands, operands.len() <= 4) else {
            return Err(TypeError::arity("3 or 4", operands.len()));
        };
        let extents = Extents::of(b.ty(q), b.ty(k), b.ty(v))?;
        let logits = logits(b, &extents, q, k)?;
        let mut logits = b.map_scalar(Mul {}, logits, self.scale.to_f64())?;
        if self.causal {
            let seen = lower_triangle(b, &extents)?;
            logits = keep_where(b, seen, logits)?;
        }
        let weights = match mask.first() {
            None => b.op1(Softmax { axis: 3 }, &[logits])?,
            Some(&mask) => {
                let masked = apply_mask(b, mask, logits)?;
                softmax_or_zero(b, masked)?
            }
        };
        Ok(vec![mix(b, &extents, weights, v)?])
    }
}

/// `q · kᵀ` per head.
fn logits(b: &mut Builder<'_>, e: &Extents, q: Value, k: Value) -> Result<Value, TypeError> {
    if e.per_group == 1 {
        return b.contract(q, k, "bhtd, bhsd -> bhts");
    }
    let q = b.reshape(q, e.grouped(&e.queries, &e.width))?;
    let logits = b.contract(q, k, "bgptd, bgsd -> bgpts")?;
    b.reshape(logits, e.logits())
}

/// `weights · v` per head.
fn mix(b: &mut Builder<'_>, e: &Extents, weights: Value, v: Value) -> Result<Value, TypeError> {
    if e.per_group == 1 {
        return b.contract(weights, v, "bhts, bhse -> bhte");
    }
    let weights = b.reshape(weights, e.grouped(&e.queries, &e.keys))?;
    let mixed = b.contract(weights, v, "bgpts, bgse -> bgpte")?;
    let mut shape = e.logits();
    shape.0[3] = e.values.clone();
    b.reshape(mixed, shape)
}

/// Whether key `s` comes no later than query `t`, of shape `[T, S]`.
fn lower_triangle(b: &mut Builder<'_>, e: &Extents) -> Result<Value, TypeError> {
    let shape = Shape(vec![e.queries.clone(), e.keys.clone()]);
    let queries = b.op1(Iota { shape: shape.clone(), axis: 0, dtype: DType::I64 }, &[])?;
    let keys = b.op1(Iota { shape, axis: 1, dtype: DType::I64 }, &[])?;
    b.le(keys, queries)
}

/// The logits where a mask is true, −∞ elsewhere.
fn keep_where(b: &mut Builder<'_>, mask: Value, logits: Value) -> Result<Value, TypeError> {
    let mask = b.broadcast_to(mask, &b.shape(logits))?;
    let lowest = b.splat(Scalar::lowest(b.ty(logits).dtype), b.shape(logits));
    b.select(mask, logits, lowest)
}

fn apply_mask(b: &mut Builder<'_>, mask: Value, logits: Value) -> Result<Value, TypeError> {
    let (mask_ty, dtype) = (b.ty(mask), b.ty(logits).dtype);
    require!(mask_ty.dtype == dtype || mask_ty.dtype == DType::Bool, "C3: mask {mask_ty}");
    if mask_ty.dtype == DType::Bool {
        return keep_where(b, mask, logits);
    }
    let mask = b.broadcast_to(mask, &b.shape(logits))?;
    b.add(logits, mask)
}

/// The softmax along the last axis, zeros where every logit is −∞.
fn softmax_or_zero(b: &mut Builder<'_>, logits: Value) -> Result<Value, TypeError> {
    let maximum = b.reduce(logits, ReduceKind::Max, &[3], false)?;
    let hidden = b.map_scalar(crate::Eq {}, maximum, f64::NEG_INFINITY)?;
    let (zero, one) = (b.splat_like(maximum, 0.0), b.splat_like(maximum, 1.0));
    let maximum = b.select(hidden, zero, maximum)?;
    let maximum = b.spread_like(maximum, logits, &[3])?;
    let shifted = b.sub(logits, maximum)?;
    let powers = b.exp(shifted)?;
    let total = b.reduce(powers, ReduceKind::Sum, &[3], false)?;
    let total = b.select(hidden, one, total)?;
    let total = b.spread_like(total, logits, &[3])?;
    b.div(powers, total)
}
