//! Random well-typed expressions, for property tests.

use proptest::prelude::*;
use tracelift_tensor::{DType, Scalar};

use crate::{Expr, ExprBuilder, ExprId, Op};

/// The dtypes of the inputs of [`arb_expr`].
pub const INPUTS: [DType; 8] = [
    DType::F32,
    DType::F64,
    DType::I32,
    DType::U8,
    DType::I64,
    DType::Bool,
    DType::F32,
    DType::U32,
];

/// Expressions over [`INPUTS`] and two indices, up to 24 operations.
pub fn arb_expr() -> impl Strategy<Value = Expr> {
    let literals = prop::collection::vec((0..DType::ALL.len(), arb_bits()), 1..6);
    let step = (any::<u16>(), any::<[u16; 3]>());
    (literals, prop::collection::vec(step, 0..25)).prop_map(|(literals, steps)| {
        let mut b = ExprBuilder::default();
        let mut ids: Vec<ExprId> =
            INPUTS.iter().enumerate().map(|(k, &dtype)| b.input(k as u32, dtype)).collect();
        ids.extend([b.index(0), b.index(1)]);
        for (dtype, bits) in literals {
            ids.push(b.constant(Scalar::from_bits(DType::ALL[dtype], bits)));
        }
        let mut root = ids[ids.len() - 1];
        for (op, picks) in steps {
            if let Some(id) = grow(&mut b, &ids, op.into(), picks.map(usize::from)) {
                ids.push(id);
                root = id;
            }
        }
        b.finish(root)
    })
}

/// Bits of scalars: any, and those of small and special numbers.
fn arb_bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..4u64,
        any::<i8>().prop_map(|x| (f32::from(x) / 2.0).to_bits().into()),
        any::<i8>().prop_map(|x| (f64::from(x) / 2.0).to_bits()),
        Just(u64::MAX),
        Just(1 << 31),
        Just(1 << 63),
    ]
}

/// Scalars of a dtype, special values among them.
pub fn arb_scalar(dtype: DType) -> impl Strategy<Value = Scalar> {
    arb_bits().prop_map(move |bits| Scalar::from_bits(dtype, bits))
}

/// An operation over some of the nodes, where the picks fit.
fn grow(b: &mut ExprBuilder, ids: &[ExprId], op: usize, picks: [usize; 3]) -> Option<ExprId> {
    let to = DType::ALL[picks[2] % DType::ALL.len()];
    let n_ops = Op::ALL.len();
    let op = match op % (n_ops + 4) {
        k if k < n_ops => Op::ALL[k],
        k if k % 2 == 0 => Op::Bitcast(to),
        _ => Op::Cast(to),
    };
    let pick = |b: &ExprBuilder, pick: usize, dtype: Option<DType>| {
        let fitting: Vec<ExprId> =
            ids.iter().copied().filter(|id| dtype.is_none_or(|d| b.dtype_of(*id) == d)).collect();
        // Later nodes are likelier, so that expressions grow deep.
        let from = if pick.is_multiple_of(3) { fitting.len() / 2 } else { 0 };
        fitting[from..].get(pick % (fitting.len() - from).max(1)).copied()
    };
    let first = pick(b, picks[0], (op == Op::Select).then_some(DType::Bool))?;
    let mut operands = vec![first];
    for k in 1..op.arity() {
        let like =
            if op == Op::Select && k == 1 { None } else { Some(b.dtype_of(operands[k - 1])) };
        operands.push(pick(b, picks[k], like)?);
    }
    b.try_apply(op, &operands).ok()
}
