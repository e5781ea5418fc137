//! The geometry that convolutions and pools share: kernel, strides, dilations and pads.

use tracelift_ir::Shape;
use tracelift_tensor::Dim;

use super::{
    failure::{Converted, Failure, ensure},
    node_cx::NodeCx,
};

/// How padding is chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AutoPad {
    /// By the attribute `pads`.
    Explicit,
    /// None.
    Valid,
    /// `⌈in / stride⌉` windows, the odd point after.
    SameUpper,
    /// `⌈in / stride⌉` windows, the odd point before.
    SameLower,
}

/// A window over spatial axes.
pub(super) struct Window {
    /// The points of a window, per axis.
    pub kernel: Vec<usize>,
    /// The step between windows.
    pub strides: Vec<usize>,
    /// The step inside a window.
    pub dilations: Vec<usize>,
    /// Points added before and after.
    pub pads: Vec<[usize; 2]>,
}

/// The attribute `auto_pad`.
pub(super) fn auto_pad(cx: &NodeCx<'_, '_>) -> Converted<AutoPad> {
    match cx.attributes.text_or("auto_pad", "NOTSET")?.as_str() {
        "NOTSET" | "" => Ok(AutoPad::Explicit),
        "VALID" => Ok(AutoPad::Valid),
        "SAME_UPPER" => Ok(AutoPad::SameUpper),
        "SAME_LOWER" => Ok(AutoPad::SameLower),
        other => Err(Failure::new(format!("auto_pad '{}'", crate::error::Shown(other)))
            .with_hint("supported: NOTSET, VALID, SAME_UPPER, SAME_LOWER")),
    }
}

/// An attribute with one entry per spatial axis.
pub(super) fn per_axis(
    cx: &NodeCx<'_, '_>,
    name: &str,
    n: usize,
    default: usize,
    least: usize,
) -> Converted<Vec<usize>> {
    let sizes = cx.attributes.sizes(name, least)?.unwrap_or_else(|| vec![default; n]);
    ensure!(
        sizes.len() == n,
        "attribute '{name}' has {} entries for {n} spatial axes",
        sizes.len()
    );
    Ok(sizes)
}

/// The attribute `pads`: first all before, then all after.
pub(super) fn explicit_pads(cx: &NodeCx<'_, '_>, n: usize) -> Converted<Vec<[usize; 2]>> {
    let pads = per_axis(cx, "pads", 2 * n, 0, 0)?;
    Ok((0..n).map(|k| [pads[k], pads[n + k]]).collect())
}

/// The geometry of a window of a given kernel over the axes from 2.
pub(super) fn window(cx: &NodeCx<'_, '_>, shape: &Shape, kernel: Vec<usize>) -> Converted<Window> {
    let n = kernel.len();
    let strides = per_axis(cx, "strides", n, 1, 1)?;
    let dilations = per_axis(cx, "dilations", n, 1, 1)?;
    let explicit = explicit_pads(cx, n)?;
    let pads = match auto_pad(cx)? {
        AutoPad::Explicit => explicit,
        AutoPad::Valid => vec![[0, 0]; n],
        same => (0..n)
            .map(|k| same_pads(&shape[2 + k], reach(kernel[k], dilations[k])?, strides[k], same))
            .collect::<Converted<_>>()?,
    };
    Ok(Window { kernel, strides, dilations, pads })
}

/// The points that a dilated kernel spans.
pub(super) fn reach(kernel: usize, dilation: usize) -> Converted<usize> {
    let reach = kernel.saturating_sub(1).checked_mul(dilation).and_then(|r| r.checked_add(1));
    reach
        .filter(|&r| r < 1 << 48)
        .ok_or_else(|| Failure::new(format!("kernel {kernel} with dilation {dilation}")))
}

fn same_pads(dim: &Dim, reach: usize, stride: usize, mode: AutoPad) -> Converted<[usize; 2]> {
    let total = match (dim.as_const(), stride) {
        (_, 1) => reach - 1,
        (Some(extent), _) => {
            let windows = extent.div_ceil(stride);
            (windows.saturating_sub(1) * stride + reach).saturating_sub(extent)
        }
        (None, _) => {
            return Err(Failure::new(format!("auto_pad over the unknown extent {dim}"))
                .with_hint("bind its symbols with --set"));
        }
    };
    let (small, large) = (total / 2, total - total / 2);
    Ok(if mode == AutoPad::SameUpper { [small, large] } else { [large, small] })
}
