//! Movement: other shapes, orders of axes, joins and cuts.

use std::ops::{Bound, RangeBounds};

use tracelift_ir::{self as ir, Builder, Shape, TensorType, Value};
use tracelift_tensor::Dim;

use super::{axis_of, is_poison};
use crate::{Dims, Fault, MistakeKind, Var};

/// Gives a value another shape; nothing is added where it has it already.
pub(crate) fn reshape_value(b: &mut Builder<'_>, x: Value, shape: Shape) -> Result<Value, Fault> {
    if b.ty(x).shape == shape {
        return Ok(x);
    }
    Ok(b.op1(ir::Reshape { shape }, &[x])?)
}

/// The shape that a reshape asks for, its −1 resolved.
fn resolve(ty: &TensorType, mut dims: Vec<Dim>, found: &str) -> Result<Shape, Fault> {
    let count = ty.shape.count();
    let asked = Shape(dims.clone());
    let refuse = |message: String| {
        Fault::new(MistakeKind::Reshape, message)
            .found(found)
            .expected(format!("a shape of {count} elements"))
    };
    let open: Vec<usize> = (0..dims.len()).filter(|&k| dims[k].as_i64() == Some(-1)).collect();
    let others = dims.iter().enumerate().filter(|(k, _)| !open.contains(k)).map(|(_, d)| d.clone());
    let known: Dim = others.product();
    if dims.iter().any(|d| d.as_i64().is_some_and(|d| d < -1)) {
        return Err(refuse(format!("{asked} has a negative extent")));
    }
    match open[..] {
        [] if known == count => {}
        [] => return Err(refuse(format!("{count} elements as {known} of {asked}"))),
        [k] => {
            let rest = if known == 0 { None } else { count.floor_div(&known) };
            let rest = rest.filter(|rest| rest * &known == count);
            let message = format!("{count} elements do not fill {asked}");
            dims[k] = rest.ok_or_else(|| {
                refuse(message).hint(format!("the known extents multiply to {known}"))
            })?;
        }
        _ => return Err(refuse(format!("{asked} has more than one -1"))),
    }
    Ok(Shape(dims))
}

impl Var {
    /// The elements in row-major order under another shape; one extent may be −1 and follows
    /// from the others.
    #[track_caller]
    pub fn reshape(&self, dims: impl Dims) -> Var {
        let dims = dims.dims();
        if dims.iter().any(is_poison) {
            return Var::poisoned(&self.tracer);
        }
        let found = self.described();
        Var::build("reshape", &[self], |b, v| {
            let shape = resolve(&b.ty(v[0]).clone(), dims, &found)?;
            reshape_value(b, v[0], shape)
        })
    }

    /// Joins the axes from `start` to `end`, both included, into one.
    #[track_caller]
    pub fn flatten(&self, start: i64, end: i64) -> Var {
        let found = self.described();
        Var::build("flatten", &[self], |b, v| {
            let mut dims = b.shape(v[0]).0;
            let rank = dims.len();
            if rank == 0 {
                return reshape_value(b, v[0], Shape(vec![Dim::from(1)]));
            }
            let (start, end) = (axis_of(start, rank, &found)?, axis_of(end, rank, &found)?);
            if start > end {
                let message = format!("axis {start} comes after axis {end}");
                return Err(Fault::new(MistakeKind::Axis, message).found(&*found));
            }
            let joined: Dim = dims[start..=end].iter().cloned().product();
            dims.splice(start..=end, [joined]);
            reshape_value(b, v[0], Shape(dims))
        })
    }

    /// Swaps two axes.
    #[track_caller]
    pub fn transpose(&self, a: i64, b: i64) -> Var {
        let axes = self.axis(a).and_then(|a| Ok((a, self.axis(b)?)));
        let rank = self.rank();
        Var::build("transpose", &[self], |builder, v| {
            let (a, b) = axes?;
            let mut perm: Vec<usize> = (0..rank).collect();
            perm.swap(a, b);
            Ok(builder.op1(ir::Transpose { perm }, &[v[0]])?)
        })
    }

    /// The transpose of a matrix.
    #[track_caller]
    pub fn t(&self) -> Var {
        match self.rank() {
            2 => self.transpose(0, 1),
            rank => {
                let message = format!("t takes a matrix, found rank {rank}");
                let fault = Fault::new(MistakeKind::Rank, message).found(self.described());
                self.check("t", Err(fault.hint("transpose(-2, -1) swaps the last two axes")))
            }
        }
    }

    /// Reorders the axes: axis `k` of the result is axis `axes[k]`.
    #[track_caller]
    pub fn permute<const N: usize>(&self, axes: [i64; N]) -> Var {
        let found = self.described();
        Var::build("permute", &[self], |b, v| {
            let rank = b.ty(v[0]).rank();
            let perm: Result<Vec<usize>, Fault> =
                axes.iter().map(|&a| axis_of(a, rank, &found)).collect();
            let perm = perm?;
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            if !sorted.into_iter().eq(0..rank) {
                let message = format!("{axes:?} does not name each axis once");
                let fault = Fault::new(MistakeKind::Axis, message).found(&*found);
                return Err(fault.expected(format!("{rank} different axes")));
            }
            Ok(b.op1(ir::Transpose { perm }, &[v[0]])?)
        })
    }

    /// Adds an axis of extent 1, so that it becomes axis `axis` of the result.
    #[track_caller]
    pub fn unsqueeze(&self, axis: i64) -> Var {
        let axis = axis_of(axis, self.rank() + 1, &self.described());
        Var::build("unsqueeze", &[self], |b, v| {
            let mut dims = b.shape(v[0]).0;
            dims.insert(axis?, Dim::from(1));
            reshape_value(b, v[0], Shape(dims))
        })
    }

    /// Drops an axis of extent 1; an axis of another extent stays.
    #[track_caller]
    pub fn squeeze(&self, axis: i64) -> Var {
        let axis = self.axis(axis);
        Var::build("squeeze", &[self], |b, v| {
            let (axis, mut dims) = (axis?, b.shape(v[0]).0);
            if dims[axis] == 1 {
                dims.remove(axis);
            }
            reshape_value(b, v[0], Shape(dims))
        })
    }

    /// Repeats along axes of extent 1 and new leading axes; −1 keeps an extent.
    #[track_caller]
    pub fn expand(&self, dims: impl Dims) -> Var {
        let mut dims = dims.dims();
        if dims.iter().any(is_poison) {
            return Var::poisoned(&self.tracer);
        }
        let found = self.described();
        Var::build("expand", &[self], |b, v| {
            let from = b.shape(v[0]);
            let new = dims.len().saturating_sub(from.rank());
            for (to, dim) in dims.iter_mut().skip(new).zip(from.iter()) {
                if to.as_i64() == Some(-1) {
                    *to = dim.clone();
                }
            }
            let to = Shape(dims);
            let message = format!("{from} does not expand to {to}");
            let known = to.iter().all(|d| d.as_i64().is_none_or(|d| d >= 0));
            let spread = if known { b.broadcast_to(v[0], &to).ok() } else { None };
            spread.ok_or_else(|| {
                Fault::new(MistakeKind::Broadcast, message)
                    .found(&*found)
                    .expected("extents that are equal, or 1 before")
            })
        })
    }

    /// Repeats to the shape of another tensor.
    #[track_caller]
    pub fn expand_as(&self, other: &Var) -> Var {
        if other.is_poisoned() { other.clone() } else { self.expand(other.shape()) }
    }

    /// Joins this tensor and others along an axis.
    #[track_caller]
    pub fn cat(&self, others: &[&Var], axis: i64) -> Var {
        let axis = self.axis(axis);
        let all: Vec<&Var> = [self].into_iter().chain(others.iter().copied()).collect();
        let found: Vec<String> = all.iter().map(|v| v.described()).collect();
        let mixed = all.iter().any(|v| v.dtype() != self.dtype());
        Var::build("cat", &all, |b, values| {
            b.op1(ir::Concat { axis: axis? }, values).map_err(|error| {
                let kind = if mixed { MistakeKind::DType } else { MistakeKind::Extent };
                Fault::new(kind, error.0)
                    .found(found.join(" and "))
                    .expected("one dtype and rank, and equal extents along the other axes")
            })
        })
    }

    /// Joins tensors of one shape along a new axis.
    #[track_caller]
    pub fn stack(&self, others: &[&Var], axis: i64) -> Var {
        // A closure would hide the caller's line.
        let mut rest = Vec::with_capacity(others.len());
        for other in others {
            rest.push(other.unsqueeze(axis));
        }
        self.unsqueeze(axis).cat(&rest.iter().collect::<Vec<_>>(), axis)
    }

    /// The part of an axis from `start` with `length` elements.
    #[track_caller]
    pub fn narrow(&self, axis: i64, start: impl Into<Dim>, length: impl Into<Dim>) -> Var {
        let (start, length) = (start.into(), length.into());
        if is_poison(&start) || is_poison(&length) {
            return Var::poisoned(&self.tracer);
        }
        let (axis, found) = (self.axis(axis), self.described());
        Var::build("narrow", &[self], |b, v| {
            let (axis, ty) = (axis?, b.ty(v[0]).clone());
            let limit = &start + &length;
            let ends = [start.clone(), length.clone(), ty.dim(axis) - &limit];
            if ends.iter().any(|d| d.as_i64().is_some_and(|d| d < 0)) {
                let message = format!("{length} elements from {start} of {}", ty.dim(axis));
                return Err(Fault::new(MistakeKind::Extent, message).found(&*found));
            }
            cut(b, v[0], axis, [start, limit], 1)
        })
    }

    /// The part of an axis in a range, as in `x.slice(1, 2..)`; a bound below 0 counts from the
    /// end, and bounds beyond the ends are clamped where the extent is known.
    #[track_caller]
    pub fn slice(&self, axis: i64, range: impl RangeBounds<i64>) -> Var {
        self.slice_step(axis, range, 1)
    }

    /// As [`Var::slice`], taking every `step`-th element.
    #[track_caller]
    pub fn slice_step(&self, axis: i64, range: impl RangeBounds<i64>, step: i64) -> Var {
        let axis = self.axis(axis);
        Var::build("slice", &[self], |b, v| {
            let axis = axis?;
            if step < 1 {
                let message = format!("step {step}");
                return Err(Fault::new(MistakeKind::Setting, message).expected("a step from 1"));
            }
            let extent = b.ty(v[0]).dim(axis).clone();
            let start = match range.start_bound() {
                Bound::Included(&at) => bound(at, &extent),
                Bound::Excluded(&at) => bound(at.saturating_add(1), &extent),
                Bound::Unbounded => Dim::from(0),
            };
            let end = match range.end_bound() {
                Bound::Excluded(&at) => bound(at, &extent),
                Bound::Included(&-1) | Bound::Unbounded => extent.clone(),
                Bound::Included(&at) => bound(at.saturating_add(1), &extent),
            };
            let empty = (&end - &start).as_i64().is_some_and(|length| length < 0);
            let end = if empty { start.clone() } else { end };
            cut(b, v[0], axis, [start, end], step)
        })
    }

    /// The slice at one position of an axis, which vanishes; below 0 counts from the end.
    #[track_caller]
    pub fn select(&self, axis: i64, position: i64) -> Var {
        let (axis, found) = (self.axis(axis), self.described());
        Var::build("select", &[self], |b, v| {
            let (axis, ty) = (axis?, b.ty(v[0]).clone());
            let extent = ty.dim(axis);
            let at = if position < 0 { extent + &Dim::from(position) } else { position.into() };
            let room = &(extent - &at) - &Dim::from(1);
            if [&at, &room].iter().any(|d| d.as_i64().is_some_and(|d| d < 0)) {
                let message = format!("position {position} of {extent}");
                return Err(Fault::new(MistakeKind::Extent, message).found(&*found));
            }
            let part = cut(b, v[0], axis, [at.clone(), &at + &Dim::from(1)], 1)?;
            let mut dims = ty.shape.0.clone();
            dims.remove(axis);
            reshape_value(b, part, Shape(dims))
        })
    }

    /// Cuts an axis into parts of the given extents, which must sum to its own.
    #[track_caller]
    pub fn split<D: Into<Dim> + Clone>(&self, sizes: &[D], axis: i64) -> Vec<Var> {
        let sizes: Vec<Dim> = sizes.iter().cloned().map(Into::into).collect();
        self.cut_into("split", sizes.len(), axis, |_| Ok(sizes))
    }

    /// Cuts an axis into `N` parts of one extent, of which the last may be shorter, as in
    /// `let [q, k, v] = x.chunk(-1);`.
    #[track_caller]
    pub fn chunk<const N: usize>(&self, axis: i64) -> [Var; N] {
        let parts = self.cut_into("chunk", N, axis, |extent| {
            let n = Dim::from(N);
            let even = extent.floor_div(&n).filter(|part| part * &n == *extent);
            if let Some(even) = even {
                return Ok(vec![even; N]);
            }
            let sizes = extent.as_const().map(|e| uneven(e, N)).unwrap_or_default();
            if sizes.len() == N {
                return Ok(sizes.into_iter().map(Dim::from).collect());
            }
            let message = format!("extent {extent} does not give {N} parts");
            Err(Fault::new(MistakeKind::Extent, message))
        });
        parts.try_into().expect("one tensor per part")
    }

    #[track_caller]
    fn cut_into(
        &self,
        what: &str,
        count: usize,
        axis: i64,
        sizes: impl FnOnce(&Dim) -> Result<Vec<Dim>, Fault>,
    ) -> Vec<Var> {
        let (axis, found) = (self.axis(axis), self.described());
        Var::many(what, &[self], count, |b, v| {
            let axis = axis?;
            let extent = b.ty(v[0]).dim(axis).clone();
            let sizes = sizes(&extent).map_err(|fault| fault.found(&*found))?;
            let total: Dim = sizes.iter().cloned().sum();
            let negative = sizes.iter().any(|d| d.as_i64().is_some_and(|d| d < 0));
            if total != extent || negative {
                let message = format!("parts sum to {total}, the extent is {extent}");
                return Err(Fault::new(MistakeKind::Extent, message).found(&*found));
            }
            Ok(b.op(ir::Split { axis, sizes }, v)?)
        })
    }
}

/// The extents of at most `n` parts, all but the last of extent `⌈extent / n⌉`.
fn uneven(extent: usize, n: usize) -> Vec<usize> {
    let part = extent.div_ceil(n.max(1)).max(1);
    (0..extent).step_by(part).map(|start| part.min(extent - start)).collect()
}

/// A bound of a slice: below 0 it counts from the end; clamped where the extent is known.
fn bound(at: i64, extent: &Dim) -> Dim {
    let at = if at < 0 { extent + &Dim::from(at) } else { Dim::from(at) };
    match (at.as_i64(), extent.as_i64()) {
        (Some(at), Some(extent)) => Dim::from(at.clamp(0, extent)),
        _ => at,
    }
}

fn cut(
    b: &mut Builder<'_>,
    x: Value,
    axis: usize,
    [start, limit]: [Dim; 2],
    stride: i64,
) -> Result<Value, Fault> {
    let slice = ir::Slice::of_axis(b.ty(x), axis, start, limit, stride);
    Ok(b.op1(slice, &[x])?)
}
