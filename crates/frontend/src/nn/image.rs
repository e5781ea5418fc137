//! What layers over images share: images without a batch axis, and windows that fit.

use tracelift_tensor::Dim;

use super::{Pair, require_rank};
use crate::{Fault, MistakeKind, Var};

/// Applies `f` to `[N, C, H, W]`; an image `[C, H, W]` is a batch of one.
#[track_caller]
pub(super) fn batched(what: &str, x: &Var, f: impl FnOnce(&Var) -> Var) -> Var {
    let x = x.check(what, require_rank(x, &[3, 4], "images [N, C, H, W] or one image [C, H, W]"));
    if x.rank() == 3 { f(&x.unsqueeze(0)).squeeze(0) } else { f(&x) }
}

/// The extent that a window covers.
pub(super) fn reach(kernel: usize, dilation: usize) -> usize {
    kernel.saturating_sub(1).saturating_mul(dilation).saturating_add(1)
}

/// Refuses windows that are larger than the padded image, or settings of 0.
pub(super) fn windows_fit(
    x: &Var,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Result<(), Fault> {
    let settings = [("kernel", kernel), ("stride", stride), ("dilation", dilation)];
    for (name, pair) in settings {
        if pair.0.contains(&0) {
            let fault = Fault::new(MistakeKind::Setting, format!("{name} {}", pair.text()));
            return Err(fault.expected(format!("a {name} from 1")));
        }
    }
    let Some(ty) = x.ty() else { return Ok(()) };
    for (k, word) in ["height", "width"].into_iter().enumerate() {
        let extent = ty.dim(ty.rank() - 2 + k);
        let window = reach(kernel.0[k], dilation.0[k]);
        let padded = extent + &Dim::from(padding.0[k].saturating_mul(2));
        if (&padded - &Dim::from(window)).as_i64().is_some_and(|room| room < 0) {
            let message = format!("a window of {word} {window} on {word} {padded} with padding");
            let fault = Fault::new(MistakeKind::Extent, message).found(x.described());
            return Err(fault.expected(format!("{word} from {window}")));
        }
    }
    Ok(())
}
