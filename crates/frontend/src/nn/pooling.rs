//! `MaxPool2d` and `AvgPool2d`.

use std::panic::Location;

use tracelift_ir as ir;
use tracelift_tensor::DType;

use super::{Forward, Module, Pair, Visitor, image, layer};
use crate::{Fault, MistakeKind, Var};

/// The windows of a pooling.
#[derive(Clone, Copy, Debug)]
struct Windows {
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    ceil_mode: bool,
}

impl Windows {
    fn new(kernel: Pair) -> Windows {
        let (padding, dilation) = (Pair::from(0), Pair::from(1));
        Windows { kernel, stride: kernel, padding, dilation, ceil_mode: false }
    }

    fn check(&self, x: &Var) -> Result<(), Fault> {
        image::windows_fit(x, self.kernel, self.stride, self.padding, self.dilation)?;
        for (kernel, padding) in self.kernel.0.into_iter().zip(self.padding.0) {
            if padding > kernel / 2 {
                let message = format!("padding {padding} with kernel {kernel}");
                let fault = Fault::new(MistakeKind::Setting, message);
                return Err(fault.expected("padding of at most half the kernel"));
            }
        }
        Ok(())
    }

    /// Pads before and after each spatial axis; rounding up adds to those after.
    ///
    /// As PyTorch, a last window that would begin in the padding after the image is left out.
    fn pads(&self, x: &Var) -> Result<Vec<[usize; 2]>, Fault> {
        let shape = x.shape();
        let pads = (0..2).map(|k| {
            let pad = self.padding.0[k];
            if !self.ceil_mode || shape.rank() < 2 {
                return Ok([pad, pad]);
            }
            let dim = &shape[shape.rank() - 2 + k];
            let extent = dim.as_const().ok_or_else(|| {
                let message = format!("ceil_mode on the extent {dim}");
                let fault = Fault::new(MistakeKind::Setting, message).found(x.described());
                fault.expected("an extent known when tracing")
            })?;
            let stride = self.stride.0[k];
            let room = (extent + 2 * pad) - image::reach(self.kernel.0[k], self.dilation.0[k]);
            let last = room.div_ceil(stride) * stride;
            let last = if last >= extent + pad { last - stride } else { last };
            Ok([pad, pad + last.saturating_sub(room)])
        });
        pads.collect()
    }

    #[track_caller]
    fn apply(
        &self,
        what: &'static str,
        x: &Var,
        op: impl FnOnce(&Windows, Vec<[usize; 2]>) -> Result<ir::Op, Fault>,
    ) -> Var {
        image::batched(what, x, |x| {
            let op = self.check(x).and_then(|()| op(self, self.pads(x)?));
            Var::build(what, &[x], |b, v| {
                if b.ty(v[0]).dtype == DType::Bool {
                    return Err(Fault::new(MistakeKind::DType, "takes numbers, found dtype bool"));
                }
                Ok(b.op1(op?, v)?)
            })
        })
    }
}

macro_rules! window_settings {
    ($($name:ident)*) => { $(
        impl $name {
            /// Sets the step between windows; by default the kernel's extent.
            pub fn stride(mut self, stride: impl Into<Pair>) -> $name {
                self.windows.stride = stride.into();
                self
            }

            /// Sets the points added on each side.
            pub fn padding(mut self, padding: impl Into<Pair>) -> $name {
                self.windows.padding = padding.into();
                self
            }

            /// Sets whether a last, partial window counts.
            pub fn ceil_mode(mut self, ceil_mode: bool) -> $name {
                self.windows.ceil_mode = ceil_mode;
                self
            }
        }

        impl Module for $name {
            fn visit(&self, _visitor: &mut Visitor<'_>) {}
        }
    )* };
}
window_settings! { MaxPool2d AvgPool2d }

/// The largest element of each window of images.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool2d {
    windows: Windows,
    built: &'static Location<'static>,
}

impl MaxPool2d {
    /// Windows of the kernel's extents, side by side.
    #[track_caller]
    pub fn new(kernel: impl Into<Pair>) -> MaxPool2d {
        MaxPool2d { windows: Windows::new(kernel.into()), built: Location::caller() }
    }

    /// Sets the step inside a window.
    pub fn dilation(mut self, dilation: impl Into<Pair>) -> MaxPool2d {
        self.windows.dilation = dilation.into();
        self
    }
}

impl Forward for MaxPool2d {
    #[track_caller]
    fn forward(&self, x: &Var) -> Var {
        layer(self, "MaxPool2d", self.built, x, |x| {
            self.windows.apply("MaxPool2d", x, |w, pads| {
                let (kernel, strides) = (w.kernel.0.to_vec(), w.stride.0.to_vec());
                let dilations = w.dilation.0.to_vec();
                Ok(ir::MaxPool { axes: vec![2, 3], kernel, strides, pads, dilations }.into())
            })
        })
    }
}

/// The mean of each window of images.
#[derive(Clone, Copy, Debug)]
pub struct AvgPool2d {
    windows: Windows,
    count_include_pad: bool,
    built: &'static Location<'static>,
}

impl AvgPool2d {
    /// Windows of the kernel's extents, side by side; padding counts as elements.
    #[track_caller]
    pub fn new(kernel: impl Into<Pair>) -> AvgPool2d {
        let windows = Windows::new(kernel.into());
        AvgPool2d { windows, count_include_pad: true, built: Location::caller() }
    }

    /// Sets whether padding counts as elements.
    pub fn count_include_pad(mut self, count: bool) -> AvgPool2d {
        self.count_include_pad = count;
        self
    }
}

impl Forward for AvgPool2d {
    #[track_caller]
    fn forward(&self, x: &Var) -> Var {
        layer(self, "AvgPool2d", self.built, x, |x| {
            let floats = x.is_poisoned() || x.dtype().is_float();
            self.windows.apply("AvgPool2d", x, |w, pads| {
                if !floats {
                    let message = "takes floats";
                    return Err(Fault::new(MistakeKind::DType, message).found(x.described()));
                }
                // What rounding up adds beyond the padding never counts.
                let counted = match self.count_include_pad {
                    true => w.padding.0.iter().map(|&p| [p, p]).collect::<Vec<_>>(),
                    false => Vec::new(),
                };
                let counted: Vec<[usize; 2]> = counted
                    .into_iter()
                    .zip(&pads)
                    .map(|(c, p)| [c[0].min(p[0]), c[1].min(p[1])])
                    .collect();
                Ok(ir::AveragePool {
                    axes: vec![2, 3],
                    kernel: w.kernel.0.to_vec(),
                    strides: w.stride.0.to_vec(),
                    pads,
                    dilations: w.dilation.0.to_vec(),
                    counted,
                }
                .into())
            })
        })
    }
}
