//! The operators, one file each.

use tracelift_tensor::Dim;

use crate::{Shape, TypeError};

mod indexing;
mod normalising;
mod pooling;

pub use indexing::ScatterMode;

/// The largest step, pad or window an operator takes, so that index arithmetic stays within `i64`.
pub(crate) const MAX_STEP: u64 = 1 << 48;

crate::operators! {
    primitive {
        // Elementwise.
        neg::Neg, abs::Abs, sign::Sign, floor::Floor, ceil::Ceil, round::Round, trunc::Trunc, sqrt::Sqrt, exp::Exp, log::Log, sin::Sin, cos::Cos, tan::Tan, asin::Asin, acos::Acos, atan::Atan, sinh::Sinh, cosh::Cosh, tanh::Tanh, asinh::Asinh, acosh::Acosh, atanh::Atanh, erf::Erf, not::Not, is_nan::IsNan, add::Add, sub::Sub, mul::Mul, div::Div, rem::Rem, pow::Pow, min::Min, max::Max, and::And, or::Or, xor::Xor, shl::Shl, shr::Shr, eq::Eq, ne::Ne, lt::Lt, le::Le, gt::Gt, ge::Ge, select::Select, fma::Fma,
        cast::Cast,
        // Movement.
        broadcast::Broadcast, reshape::Reshape, transpose::Transpose, concat::Concat,
        slice::Slice, pad::Pad, windows::Windows,
        // Indirect movement.
        take::Take, take_along_axis::TakeAlongAxis, gather_nd::GatherNd,
        scatter_along_axis::ScatterAlongAxis, scatter_nd::ScatterNd, sort::Sort,
        // Sources.
        iota::Iota, random::Random,
        // Folds.
        reduce::Reduce, cumulative::Cumulative, contract::Contract, conv::Conv,
    }
    composite {
        // Activations.
        relu::Relu, leaky_relu::LeakyRelu, prelu::Prelu, elu::Elu, selu::Selu, gelu::Gelu, silu::Silu,
        sigmoid::Sigmoid, hard_sigmoid::HardSigmoid, hard_swish::HardSwish, softplus::Softplus,
        mish::Mish, softsign::Softsign, tanh_shrink::TanhShrink, softmax::Softmax, log_softmax::LogSoftmax,
        // Arithmetic.
        reciprocal::Reciprocal, rsqrt::Rsqrt, clamp::Clamp, floor_mod::FloorMod, is_inf::IsInf,
        // Folds.
        mean::Mean, log_sum_exp::LogSumExp, arg_reduce::ArgReduce, max_pool::MaxPool,
        average_pool::AveragePool, lp_pool::LpPool,
        // Products.
        linear::Linear, matmul::Matmul, conv_transpose::ConvTranspose, attention::Attention,
        // Normalisation.
        layer_norm::LayerNorm, rms_norm::RmsNorm, batch_norm::BatchNorm,
        instance_norm::InstanceNorm, group_norm::GroupNorm,
        // Movement.
        split::Split, top_k::TopK, one_hot::OneHot, trilu::Trilu,
    }
}

/// The shape that shapes broadcast to, aligned at the last axis as NumPy does.
///
/// # Errors
/// When two extents differ and neither is 1.
pub fn broadcast_shapes(shapes: &[Shape]) -> Result<Shape, TypeError> {
    let rank = shapes.iter().map(Shape::rank).max().unwrap_or(0);
    let mut out = vec![Dim::from(1); rank];
    for shape in shapes {
        for (to, dim) in out[rank - shape.rank()..].iter_mut().zip(shape.iter()) {
            if *to == 1 {
                *to = dim.clone();
            } else if *dim != 1 && dim != to {
                let all: Vec<String> = shapes.iter().map(Shape::to_string).collect();
                return Err(TypeError(format!(
                    "shapes {} do not broadcast: {dim} beside {to}",
                    all.join(" and ")
                )));
            }
        }
    }
    Ok(Shape(out))
}

/// The operand types of an operator that takes exactly `N`.
///
/// # Errors
/// When there are more or fewer.
pub(crate) fn exactly<const N: usize, T>(operands: &[T]) -> Result<&[T; N], TypeError> {
    operands.try_into().map_err(|_| TypeError::arity(&format!("{N}"), operands.len()))
}
