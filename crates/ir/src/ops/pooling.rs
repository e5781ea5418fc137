//! What the poolings share.

use crate::{Builder, Literal, ReduceKind, TypeError, Value, Windows};

/// Folds the windows of a tensor; the window axes vanish.
pub(super) fn pool(
    b: &mut Builder<'_>,
    x: Value,
    windows: Windows,
    kind: ReduceKind,
) -> Result<Value, TypeError> {
    let (rank, n) = (b.ty(x).rank(), windows.axes.len());
    let windows = b.op1(windows, &[x])?;
    let axes: Vec<usize> = (rank..rank + n).collect();
    b.reduce(windows, kind, &axes, false)
}

/// What stands for the lowest value of any dtype of numbers.
pub(super) const LOWEST: Literal = Literal::Real(f64::NEG_INFINITY);
