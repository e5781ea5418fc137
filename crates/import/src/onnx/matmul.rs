//! Matrix products and Einstein sums.

use tracelift_ir::{Contract, Matmul, Shape, Value, ops};
use tracelift_tensor::Scalar;

use super::{
    einsum,
    failure::{Converted, ensure},
    node_cx::NodeCx,
    registry::{ANY, Row, row},
};

/// The rows of this family.
pub(super) const ROWS: &[Row] = &[
    row("Einsum", 12, (1, ANY), einsum::einsum),
    row("Gemm", 1, (2, 3), gemm),
    row("MatMul", 1, (2, 2), matmul),
];

/// A product of matrices, batched as NumPy does.
fn matmul(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (a, b) = (cx.operand(0)?, cx.operand(1)?);
    Ok(vec![cx.op1(Matmul {}, &[a, b])?])
}

/// `alpha · A′ · B′ + beta · C`.
fn gemm(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (a, b, attributes) = (cx.operand(0)?, cx.operand(1)?, cx.attributes);
    ensure!(
        cx.rank(a) == 2 && cx.rank(b) == 2,
        "operands {} and {}, expected matrices",
        cx.ty(a),
        cx.ty(b)
    );
    attributes.ignore(&["broadcast"]);
    let spec_a = if attributes.flag("transA")? { "km" } else { "mk" };
    let spec_b = if attributes.flag("transB")? { "nk" } else { "kn" };
    let mut out = cx.op1(Contract::new(&format!("{spec_a}, {spec_b} -> mn")), &[a, b])?;
    out = scaled(cx, out, attributes.float_or("alpha", 1.0)?)?;
    let beta = attributes.float_or("beta", 1.0)?;
    if let (Some(c), true) = (cx.optional(2), beta != 0.0) {
        let c = scaled(cx, c, beta)?;
        let shape = cx.shape(out);
        let c = cx.broadcast(c, &shape)?;
        out = cx.map(ops::Add {}, &[out, c])?;
    }
    Ok(vec![out])
}

/// A value times a number that is usually 1.
fn scaled(cx: &mut NodeCx<'_, '_>, x: Value, factor: f32) -> Converted<Value> {
    if factor == 1.0 {
        return Ok(x);
    }
    let dtype = cx.dtype(x);
    ensure!(dtype.is_float() || factor.fract() == 0.0, "factor {factor} of {dtype}");
    let factor = cx.splat(Scalar::from_f64(dtype, factor.into()), Shape::default());
    cx.map(ops::Mul {}, &[x, factor])
}
