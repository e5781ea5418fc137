//! `random`.

use tracelift_scalar::{ExprBuilder, ExprId, Op as ScalarOp};
use tracelift_tensor::{DType, Scalar, Tensor, linear};

use super::exactly;
use crate::{Primitive, Shape, Structure, TensorType, TypeError, operator, require};

operator! {
    /// Numbers distributed uniformly over `[0, 1)`, a function of the seed and the position alone.
    ///
    /// Element number `n` in row-major order is the top 24 bits of the SplitMix64 generator's
    /// output number `n` from the state `seed`, times 2⁻²⁴.
    ///
    /// (C1) `dtype` is a float.
    ///
    /// Result: `dtype` with shape `shape`.
    /// Gradient: none, there is no operand.
    /// Source: Steele, Lea & Flood, OOPSLA 2014; constants of Vigna's `splitmix64.c`.
    Random = "random" {
        /// The shape of the result.
        shape: Shape,
        /// The state of the generator.
        seed: u64 = 0,
        /// The dtype of the result.
        dtype: DType = DType::F32,
    }
}

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;
/// Shift, then multiplier, of the two mixing rounds.
const ROUNDS: [(u64, u64); 2] = [(30, 0xBF58_476D_1CE4_E5B9), (27, 0x94D0_49BB_1331_11EB)];
const LAST_SHIFT: u64 = 31;
/// Bits dropped so that 24 are left, which `f32` holds exactly.
const DROPPED: u64 = 40;
const UNIT: f64 = 1.0 / (1u64 << 24) as f64;

impl Primitive for Random {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [] = exactly(operands)?;
        require!(self.dtype.is_float(), "C1: dtype {}", self.dtype);
        Ok(vec![TensorType::new(self.dtype, self.shape.clone())])
    }

    fn structure(&self, _operands: &[TensorType]) -> Structure {
        let extents = self.shape.as_consts().expect("symbols are bound before lowering");
        let mut b = ExprBuilder::default();
        let word = |b: &mut ExprBuilder, bits| b.constant(Scalar::Unsigned(DType::U64, bits));
        let mut position = b.constant(Scalar::zero(DType::I64));
        for (axis, &extent) in extents.iter().enumerate() {
            let extent = b.constant(Scalar::from_i64(DType::I64, extent as i64));
            let index = b.index(axis as u32);
            position = b.apply(ScalarOp::Mul, &[position, extent]);
            position = b.apply(ScalarOp::Add, &[position, index]);
        }
        let position = b.apply(ScalarOp::Cast(DType::U64), &[position]);
        // Output number n mixes the state after n + 1 steps of the odd constant.
        let (gamma, first) = (word(&mut b, GAMMA), word(&mut b, self.seed.wrapping_add(GAMMA)));
        let steps = b.apply(ScalarOp::Mul, &[position, gamma]);
        let mut z = b.apply(ScalarOp::Add, &[steps, first]);
        let fold = |b: &mut ExprBuilder, z: ExprId, shift| {
            let shift = word(b, shift);
            let shifted = b.apply(ScalarOp::Shr, &[z, shift]);
            b.apply(ScalarOp::Xor, &[z, shifted])
        };
        for (shift, multiplier) in ROUNDS {
            let (folded, multiplier) = (fold(&mut b, z, shift), word(&mut b, multiplier));
            z = b.apply(ScalarOp::Mul, &[folded, multiplier]);
        }
        z = fold(&mut b, z, LAST_SHIFT);
        let dropped = word(&mut b, DROPPED);
        let top = b.apply(ScalarOp::Shr, &[z, dropped]);
        let top = b.apply(ScalarOp::Cast(self.dtype), &[top]);
        let unit = b.constant_like(top, UNIT);
        let root = b.apply(ScalarOp::Mul, &[top, unit]);
        Structure::Map(b.finish(root))
    }

    fn eval(&self, _operands: &[&Tensor]) -> Vec<Tensor> {
        let shape = self.shape.as_consts().expect("symbols are bound before evaluation");
        vec![Tensor::from_fn(self.dtype, &shape, |index| {
            let n = linear(&shape, index) as u64;
            let mut z = self.seed.wrapping_add(GAMMA.wrapping_mul(n.wrapping_add(1)));
            for (shift, multiplier) in ROUNDS {
                z = (z ^ (z >> shift)).wrapping_mul(multiplier);
            }
            z ^= z >> LAST_SHIFT;
            Scalar::from_f64(self.dtype, (z >> DROPPED) as f64 * UNIT)
        })]
    }
}
