//! Reductions along axes.

use tracelift_ir::{self as ir, Builder, ReduceKind, Shape, Value};
use tracelift_tensor::{DType, Dim};

use super::{axis_of, shape::reshape_value};
use crate::{Fault, MistakeKind, Var};

/// The axes of a reduction: one, an array of them, or `..` for all.
#[derive(Clone, Debug)]
pub struct Axes(Option<Vec<i64>>);

impl From<i64> for Axes {
    fn from(axis: i64) -> Axes {
        Axes(Some(vec![axis]))
    }
}

impl<const N: usize> From<[i64; N]> for Axes {
    fn from(axes: [i64; N]) -> Axes {
        Axes(Some(axes.to_vec()))
    }
}

impl From<std::ops::RangeFull> for Axes {
    fn from(_: std::ops::RangeFull) -> Axes {
        Axes(None)
    }
}

impl Axes {
    /// The axes in ascending order, counted from 0.
    fn resolve(&self, rank: usize, found: &str) -> Result<Vec<usize>, Fault> {
        let Some(axes) = &self.0 else { return Ok((0..rank).collect()) };
        let axes: Result<Vec<usize>, Fault> =
            axes.iter().map(|&a| axis_of(a, rank, found)).collect();
        let mut axes = axes?;
        axes.sort_unstable();
        if let Some(pair) = axes.windows(2).find(|pair| pair[0] == pair[1]) {
            let message = format!("axis {} is named twice", pair[0]);
            return Err(Fault::new(MistakeKind::Axis, message).found(found));
        }
        Ok(axes)
    }
}

/// A reduced value with its axes put back at extent 1.
fn kept(b: &mut Builder<'_>, x: Value, from: &Shape, axes: &[usize]) -> Result<Value, Fault> {
    let mut dims = from.0.clone();
    axes.iter().for_each(|&a| dims[a] = Dim::from(1));
    reshape_value(b, x, Shape(dims))
}

/// The product of the extents of axes, as a scalar of a dtype.
fn count(b: &mut Builder<'_>, shape: &Shape, axes: &[usize], like: Value) -> Result<Value, Fault> {
    let of: Shape = axes.iter().map(|&a| shape[a].clone()).collect();
    let to = b.shape(like);
    if let Some(count) = of.count().as_const() {
        return Ok(b.splat_like(like, count as f64));
    }
    let one = tracelift_tensor::Scalar::one(b.ty(like).dtype);
    let ones = b.splat(one, of.clone());
    let all = (0..of.rank()).collect();
    let total = b.op1(ir::Reduce { kind: ReduceKind::Sum, axes: all }, &[ones])?;
    Ok(b.broadcast_to(total, &to)?)
}

fn mean(b: &mut Builder<'_>, x: Value, axes: &[usize]) -> Result<Value, Fault> {
    Ok(b.op1(ir::Mean { axes: axes.to_vec() }, &[x])?)
}

impl Var {
    #[track_caller]
    fn fold(
        &self,
        what: &str,
        axes: Axes,
        keep: bool,
        fold: impl FnOnce(&mut Builder<'_>, Value, Vec<usize>) -> Result<Value, Fault>,
    ) -> Var {
        let found = self.described();
        Var::build(what, &[self], |b, v| {
            let shape = b.shape(v[0]);
            let axes = axes.resolve(shape.rank(), &found)?;
            let out = fold(b, v[0], axes.clone())?;
            if keep { kept(b, out, &shape, &axes) } else { Ok(out) }
        })
    }

    #[track_caller]
    fn floats_only(&self, what: &str) -> Var {
        if self.is_poisoned() || self.dtype().is_float() {
            return self.clone();
        }
        let message = format!("takes floats, found dtype {}", self.dtype());
        let fault = Fault::new(MistakeKind::DType, message).found(self.described());
        self.check(what, Err(fault.hint("convert first, as with .to(DType::F32)")))
    }

    /// Integers and bools are summed in `i64`.
    #[track_caller]
    fn summable(&self, _what: &str) -> Var {
        if self.dtype().is_float() { self.clone() } else { self.to(DType::I64) }
    }

    fn unchanged(&self, _what: &str) -> Var {
        self.clone()
    }

    /// Whether any element is true.
    #[track_caller]
    pub fn any(&self, axes: impl Into<Axes>) -> Var {
        let x = self.to(DType::Bool);
        x.fold("any", axes.into(), false, |b, x, axes| {
            Ok(b.op1(ir::Reduce { kind: ReduceKind::Max, axes }, &[x])?)
        })
    }

    /// Whether all elements are true.
    #[track_caller]
    pub fn all(&self, axes: impl Into<Axes>) -> Var {
        let x = self.to(DType::Bool);
        x.fold("all", axes.into(), false, |b, x, axes| {
            Ok(b.op1(ir::Reduce { kind: ReduceKind::Min, axes }, &[x])?)
        })
    }

    /// The variance, with Bessel's correction as PyTorch's default (`correction` 1) or without (0).
    #[track_caller]
    pub fn var(&self, axes: impl Into<Axes>, correction: i64) -> Var {
        self.floats_only("var").fold("var", axes.into(), false, |b, x, axes| {
            let shape = b.shape(x);
            let centre = mean(b, x, &axes)?;
            let centre = kept(b, centre, &shape, &axes)?;
            let off = b.sub(x, centre)?;
            let squares = b.mul(off, off)?;
            let total =
                b.op1(ir::Reduce { kind: ReduceKind::Sum, axes: axes.clone() }, &[squares])?;
            let n = count(b, &shape, &axes, total)?;
            let correction = b.splat_like(n, correction as f64);
            let n = b.sub(n, correction)?;
            Ok(b.div(total, n)?)
        })
    }

    /// The running sum along an axis.
    #[track_caller]
    pub fn cumsum(&self, axis: i64) -> Var {
        let (x, axis) = (self.summable("cumsum"), self.axis(axis));
        Var::build("cumsum", &[&x], |b, v| {
            let kind = ReduceKind::Sum;
            let op = ir::Cumulative { kind, axis: axis?, exclusive: false, reverse: false };
            Ok(b.op1(op, &[v[0]])?)
        })
    }

    /// `ln(softmax(x))` along an axis.
    #[track_caller]
    pub fn log_softmax(&self, axis: i64) -> Var {
        let (x, axis) = (self.floats_only("log_softmax"), self.axis(axis));
        Var::build("log_softmax", &[&x], |b, v| Ok(b.op1(ir::LogSoftmax { axis: axis? }, v)?))
    }

    /// `exp(x − m) / Σ exp(x − m)` along an axis, `m` the maximum.
    #[track_caller]
    pub fn softmax(&self, axis: i64) -> Var {
        let (x, axis) = (self.floats_only("softmax"), self.axis(axis));
        Var::build("softmax", &[&x], |b, v| Ok(b.op1(ir::Softmax { axis: axis? }, &[v[0]])?))
    }
}

macro_rules! reductions {
    ($($(#[$doc:meta])* $name:ident, $keepdim:ident: $prepare:ident, $fold:expr;)*) => {
        impl Var { $(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self, axes: impl Into<Axes>) -> Var {
                self.$prepare(stringify!($name)).fold(stringify!($name), axes.into(), false, $fold)
            }

            $(#[$doc])*
            ///
            /// The axes stay, with extent 1.
            #[track_caller]
            pub fn $keepdim(&self, axes: impl Into<Axes>) -> Var {
                self.$prepare(stringify!($name)).fold(stringify!($name), axes.into(), true, $fold)
            }
        )* }
    };
}

/// A fold by one kind of reduction.
fn by(
    kind: ReduceKind,
) -> impl FnOnce(&mut Builder<'_>, Value, Vec<usize>) -> Result<Value, Fault> {
    move |b, x, axes| Ok(b.op1(ir::Reduce { kind, axes }, &[x])?)
}

reductions! {
    /// The sum along axes; integers and bools are summed in `i64`.
    sum, sum_keepdim: summable, by(ReduceKind::Sum);
    /// The product along axes; integers and bools are multiplied in `i64`.
    prod, prod_keepdim: summable, by(ReduceKind::Product);
    /// The largest element along axes (PyTorch's `amax`); NaN propagates.
    max, max_keepdim: unchanged, by(ReduceKind::Max);
    /// The smallest element along axes (PyTorch's `amin`); NaN propagates.
    min, min_keepdim: unchanged, by(ReduceKind::Min);
    /// The mean along axes.
    mean, mean_keepdim: floats_only, |b, x, axes| mean(b, x, &axes);
    /// `ln Σ eˣ` along axes.
    logsumexp, logsumexp_keepdim: floats_only, |b, x, axes| Ok(b.op1(ir::LogSumExp { axes }, &[x])?);
}
