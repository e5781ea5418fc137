//! Shared rules of operators that are told positions by an integer operand.

use tracelift_scalar::IndexExpr;
use tracelift_tensor::{DType, Scalar, Tensor, for_each_index, linear};

use super::reduce::fold_step;
use crate::{Coordinate, FoldKind, ScatterKind, TensorType, TypeError, attribute_enum, require};

attribute_enum! {
    /// What a scattered update does to the element it lands on.
    ScatterMode {
        /// Replaces it; the last update in row-major order stays.
        Replace = "replace",
        /// Is added to it.
        Add = "add",
        /// Multiplies it.
        Mul = "mul",
        /// The larger stays; NaN propagates.
        Max = "max",
        /// The smaller stays; NaN propagates.
        Min = "min",
    }
}

impl ScatterMode {
    /// The kind of scatter it is.
    pub fn kind(self) -> ScatterKind {
        match self {
            ScatterMode::Replace => ScatterKind::Replace,
            ScatterMode::Add => ScatterKind::Fold(FoldKind::Sum),
            ScatterMode::Mul => ScatterKind::Fold(FoldKind::Product),
            ScatterMode::Max => ScatterKind::Fold(FoldKind::Max),
            ScatterMode::Min => ScatterKind::Fold(FoldKind::Min),
        }
    }
}

/// (C2) Indices are `i32` or `i64`.
///
/// # Errors
/// When they are not.
pub(super) fn require_index_dtype(indices: &TensorType) -> Result<(), TypeError> {
    let fits = matches!(indices.dtype, DType::I32 | DType::I64);
    require!(fits, "C2: indices {indices}, expected i32 or i64");
    Ok(())
}

/// The position an index names: a negative one counts from the end.
fn position(index: Scalar, extent: usize) -> i64 {
    let index = index.to_i64();
    if index < 0 { index.saturating_add(extent as i64) } else { index }
}

/// The position an index names, the nearest inside where it lies outside.
///
/// # Panics
/// When the extent is 0.
pub(super) fn clamped(index: Scalar, extent: usize) -> usize {
    position(index, extent).clamp(0, extent as i64 - 1) as usize
}

/// The position an index names, `None` where it lies outside.
pub(super) fn inside(index: Scalar, extent: usize) -> Option<usize> {
    let position = usize::try_from(position(index, extent)).ok()?;
    (position < extent).then_some(position)
}

/// Coordinates that look up one axis at the point and keep the others.
pub(super) fn along_axis(rank: usize, axis: usize) -> Vec<Coordinate> {
    let point: Vec<IndexExpr> = (0..rank).map(IndexExpr::axis).collect();
    let coordinate = |k: usize| match k == axis {
        true => Coordinate::Lookup(point.clone()),
        false => Coordinate::At(IndexExpr::axis(k)),
    };
    (0..rank).map(coordinate).collect()
}

/// Coordinates for index tuples of length `n_looked_up` in the last axis of the indices, behind
/// `n_batch` shared axes; the point has `n_leading` axes in common with the indices.
pub(super) fn by_tuples(
    rank: usize,
    n_batch: usize,
    n_leading: usize,
    n_looked_up: usize,
) -> Vec<Coordinate> {
    let coordinate = |k: usize| {
        if k < n_batch {
            return Coordinate::At(IndexExpr::axis(k));
        }
        if k >= n_batch + n_looked_up {
            return Coordinate::At(IndexExpr::axis(n_leading + k - n_batch - n_looked_up));
        }
        let tuple = IndexExpr::constant((k - n_batch) as i64);
        Coordinate::Lookup((0..n_leading).map(IndexExpr::axis).chain([tuple]).collect())
    };
    (0..rank).map(coordinate).collect()
}

/// (C2) Indices are `i32` or `i64`, updates have the data's dtype, and bools are not added or
/// multiplied.
///
/// # Errors
/// When they are not.
pub(super) fn check_scatter(
    mode: ScatterMode,
    x: &TensorType,
    indices: &TensorType,
    updates: &TensorType,
) -> Result<(), TypeError> {
    require_index_dtype(indices)?;
    require!(updates.dtype == x.dtype, "C2: updates {updates} of {x}");
    let arithmetic = matches!(mode, ScatterMode::Add | ScatterMode::Mul);
    require!(x.dtype != DType::Bool || !arithmetic, "C2: {mode:?} of {x}");
    Ok(())
}

/// The data after every update in row-major order; `target` says where one lands.
pub(super) fn scattered(
    mode: ScatterMode,
    x: &Tensor,
    updates: &Tensor,
    mut target: impl FnMut(&[usize]) -> Option<Vec<usize>>,
) -> Tensor {
    let mut elements: Vec<Scalar> = x.iter().collect();
    for_each_index(updates.shape(), |u| {
        if let Some(at) = target(u) {
            let (element, update) = (&mut elements[linear(x.shape(), &at)], updates.at(u));
            *element = match mode.kind() {
                ScatterKind::Replace => update,
                ScatterKind::Fold(kind) => fold_step(kind, *element, update),
            };
        }
    });
    let mut elements = elements.into_iter();
    Tensor::from_fn(x.dtype(), x.shape(), |_| elements.next().expect("one value per index"))
}
