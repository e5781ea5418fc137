//! Elements taken by position, positions found by value, and coordinates.

use tracelift_ir as ir;
use tracelift_tensor::DType;

use crate::{Dims, Fault, MistakeKind, Var};

/// Refuses positions that are not `i32` or `i64`.
fn positions(index: &Var) -> Result<(), Fault> {
    if index.is_poisoned() || matches!(index.dtype(), DType::I32 | DType::I64) {
        return Ok(());
    }
    let message = format!("positions have dtype {}", index.dtype());
    let fault = Fault::new(MistakeKind::DType, message).found(index.described());
    Err(fault.expected("i64 or i32").hint("convert them with .to(DType::I64)"))
}

impl Var {
    /// `result[.., i, ..] = self[.., index[.., i, ..], ..]` along an axis.
    #[track_caller]
    pub fn gather(&self, axis: i64, index: &Var) -> Var {
        let checked = positions(index).and_then(|()| self.axis(axis));
        Var::build("gather", &[self, index], |b, v| {
            Ok(b.op1(ir::TakeAlongAxis { axis: checked? }, v)?)
        })
    }

    /// The slices of an axis at the positions that a tensor of one axis lists.
    #[track_caller]
    pub fn index_select(&self, axis: i64, index: &Var) -> Var {
        let checked = positions(index).and_then(|()| self.axis(axis));
        Var::build(
            "index_select",
            &[self, index],
            |b, v| Ok(b.op1(ir::Take { axis: checked? }, v)?),
        )
    }

    /// The rows of this table at the positions in `index`, whose shape comes first in the result.
    #[track_caller]
    pub fn embedding(&self, index: &Var) -> Var {
        let checked = positions(index).and_then(|()| self.axis(0));
        Var::build("embedding", &[self, index], |b, v| Ok(b.op1(ir::Take { axis: checked? }, v)?))
    }

    /// The values in order along an axis and the positions they had; stable, NaN greatest.
    #[track_caller]
    pub fn sort(&self, axis: i64, descending: bool) -> [Var; 2] {
        let axis = self.axis(axis);
        let both = Var::many("sort", &[self], 2, |b, v| {
            Ok(b.op(ir::ops::Sort { axis: axis?, descending }, v)?)
        });
        both.try_into().expect("a sort has two results")
    }

    #[track_caller]
    fn extreme(&self, what: &str, kind: ir::Extreme, axis: i64) -> Var {
        let axis = self.axis(axis);
        Var::build(what, &[self], |b, v| {
            Ok(b.op1(ir::ArgReduce { kind, axis: axis?, select_last: false }, v)?)
        })
    }

    /// The position of the first largest element along an axis; NaN beats every number.
    #[track_caller]
    pub fn argmax(&self, axis: i64) -> Var {
        self.extreme("argmax", ir::Extreme::Max, axis)
    }

    /// The position of the first smallest element along an axis; NaN beats every number.
    #[track_caller]
    pub fn argmin(&self, axis: i64) -> Var {
        self.extreme("argmin", ir::Extreme::Min, axis)
    }

    /// The `k` largest elements along an axis in descending order, and their positions.
    #[track_caller]
    pub fn topk(&self, k: usize, axis: i64) -> [Var; 2] {
        let axis = self.axis(axis);
        let both = Var::many("topk", &[self], 2, |b, v| {
            Ok(b.op(ir::TopK { k, axis: axis?, largest: true }, v)?)
        });
        both.try_into().expect("a search has two results")
    }

    /// The lower triangle of matrices, zeros above the given diagonal.
    #[track_caller]
    pub fn tril(&self, diagonal: i64) -> Var {
        Var::build("tril", &[self], |b, v| Ok(b.op1(ir::Trilu { upper: false, diagonal }, v)?))
    }

    /// The upper triangle of matrices, zeros below the given diagonal.
    #[track_caller]
    pub fn triu(&self, diagonal: i64) -> Var {
        Var::build("triu", &[self], |b, v| Ok(b.op1(ir::Trilu { upper: true, diagonal }, v)?))
    }

    /// The coordinate along one axis of a shape, as 0, 1, 2, …, in this tensor's trace.
    #[track_caller]
    pub fn coordinates(&self, dims: impl Dims, axis: i64, dtype: DType) -> Var {
        let dims = dims.dims();
        if dims.iter().any(super::is_poison) {
            return Var::poisoned(&self.tracer);
        }
        self.tracer.one("coordinates", |b| {
            let shape = ir::Shape(dims);
            let axis = super::axis_of(axis, shape.rank(), &shape.to_string())?;
            Ok(b.op1(ir::Iota { shape, axis, dtype }, &[])?)
        })
    }
}
