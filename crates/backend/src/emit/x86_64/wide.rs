//! Expansions that compute in 64 bits, each half of the lanes in a vector of its own.
//!
//! Their inputs and results are 32 bits wide. One half is computed from the inputs to the result
//! before the other, so that half as many values are live at once.

use tracelift_scalar::{Expr, ExprNode, Op};
use tracelift_tensor::{DType, Scalar};

use super::{
    Unsupported, Width,
    ops::relation_of,
    program::{Class, Compared, Half, Number, One, Relation, Shuffle, Source, Two, V, VInst},
    select::Selector,
};

const SIGN: u64 = 1 << 63;

/// An expression being selected.
struct Expansion<'e> {
    expr: &'e Expr,
    inputs: &'e [(V, DType)],
    /// Which values are 64 bits wide or masks of such lanes.
    is_wide: Vec<bool>,
    /// The values of all lanes.
    whole: Vec<Option<V>>,
    /// Those of the lower and the upper lanes.
    halves: [Vec<Option<V>>; 2],
}

/// Whether the numbers of a dtype take two lanes.
pub(super) fn is_wide(dtype: DType) -> bool {
    matches!(dtype, DType::F64 | DType::U64)
}

impl Selector<'_, '_, '_> {
    /// Applies an expression that computes in 64 bits on the way.
    pub(super) fn wide_expression(
        &mut self,
        expr: &Expr,
        inputs: &[(V, DType)],
    ) -> Result<V, Unsupported> {
        let n = expr.nodes().len();
        let mut wide = Vec::with_capacity(n);
        for (node, &dtype) in expr.nodes().iter().zip(expr.dtypes()) {
            wide.push(match node {
                ExprNode::Apply(_, operands) if dtype == DType::Bool => {
                    operands.iter().any(|o| wide[o.index()])
                }
                _ => is_wide(dtype),
            });
        }
        let (whole, half) = (vec![None; n], vec![None; n]);
        let halves = [half.clone(), half];
        let mut e = Expansion { expr, inputs, is_wide: wide, whole, halves };
        self.whole(&mut e, expr.root().index())
    }

    /// A value of 32 bits.
    fn whole(&mut self, e: &mut Expansion<'_>, at: usize) -> Result<V, Unsupported> {
        if let Some(v) = e.whole[at] {
            return Ok(v);
        }
        let expr = e.expr;
        let v = match &expr.nodes()[at] {
            _ if e.is_wide[at] => return Err(Unsupported("masks of lanes of two widths")),
            ExprNode::Input(k) => e.inputs[*k as usize].0,
            ExprNode::Const(scalar) => return self.literal(*scalar),
            ExprNode::Index(_) => return Err(Unsupported("coordinates as numbers")),
            ExprNode::Apply(Op::Cast(DType::F32), operands) if e.is_wide[operands[0].index()] => {
                let mut parts = [0; 2];
                for (part, half) in parts.iter_mut().zip([Half::Low, Half::High]) {
                    let a = self.half(e, operands[0].index(), half)?;
                    *part = self.register(Class::Vector);
                    self.push(VInst::Narrow { to: *part, a });
                }
                let to = self.register(Class::Vector);
                self.push(VInst::Shuffle { how: Shuffle::Halves, to, a: parts[0], b: parts[1] });
                to
            }
            ExprNode::Apply(op, operands) => {
                let mut args = Vec::with_capacity(operands.len());
                for operand in operands {
                    let v = self.whole(e, operand.index())?;
                    args.push((v, expr.dtypes()[operand.index()]));
                }
                self.apply(*op, &args)?
            }
        };
        e.whole[at] = Some(v);
        Ok(v)
    }

    /// Half of the lanes of a value of 64 bits.
    fn half(&mut self, e: &mut Expansion<'_>, at: usize, half: Half) -> Result<V, Unsupported> {
        let list = usize::from(half == Half::High);
        if let Some(v) = e.halves[list][at] {
            return Ok(v);
        }
        let expr = e.expr;
        let v = match &expr.nodes()[at] {
            ExprNode::Const(scalar) if e.is_wide[at] => return Ok(self.wide_literal(*scalar)),
            ExprNode::Apply(Op::Cast(DType::F64), operands)
                if expr.dtypes()[operands[0].index()] == DType::F32 =>
            {
                let a = self.whole(e, operands[0].index())?;
                let to = self.register(Class::Vector);
                self.push(VInst::Widen { to, a, half, number: Number::Float });
                to
            }
            ExprNode::Apply(op, operands) if e.is_wide[at] => {
                let mut args = Vec::with_capacity(operands.len());
                for operand in operands {
                    let v = self.half(e, operand.index(), half)?;
                    args.push((v, expr.dtypes()[operand.index()]));
                }
                self.apply_wide(*op, &args)?
            }
            _ => return Err(Unsupported("values of two widths")),
        };
        e.halves[list][at] = Some(v);
        Ok(v)
    }

    fn wide_literal(&mut self, scalar: Scalar) -> V {
        self.wide_bits(scalar.to_bits())
    }

    fn wide_bits(&mut self, bits: u64) -> V {
        let to = self.register(Class::Vector);
        self.push(VInst::WideLiteral { to, bits });
        to
    }

    fn wide_literal_of(&self, v: V) -> Option<u64> {
        let inst = self.program.insts.iter().rev().find(|inst| inst.def() == Some(v))?;
        match inst {
            VInst::WideLiteral { bits, .. } => Some(*bits),
            _ => None,
        }
    }

    fn apply_wide(&mut self, op: Op, args: &[(V, DType)]) -> Result<V, Unsupported> {
        match (op, args) {
            (Op::Bitcast(_), [(x, from)]) if is_wide(*from) => Ok(*x),
            (Op::Select, [(c, _), (x, DType::Bool), (y, _)]) => self.select_masks(*c, *x, *y),
            (Op::Select, [(c, _), (x, _), (y, _)]) => Ok(self.choose_wide(*c, *x, *y)),
            (_, [(_, DType::Bool), ..]) => self.over_masks(op, args),
            (_, [(_, DType::F64), ..]) => self.wide_float(op, args),
            (_, [(_, DType::U64), ..]) => self.wide_integer(op, args),
            _ => Err(Unsupported("an operation over wide numbers")),
        }
    }

    fn choose_wide(&mut self, mask: V, x: V, y: V) -> V {
        let to = self.register(Class::Vector);
        self.push(VInst::Choose { to, mask, x: Source::Register(x), y, is_wide: true });
        to
    }

    fn wide_float(&mut self, op: Op, args: &[(V, DType)]) -> Result<V, Unsupported> {
        let x = args[0].0;
        let y = args.get(1).map_or(x, |a| a.0);
        let two = match op {
            Op::Neg => {
                let sign = self.wide_bits(SIGN);
                return Ok(self.two(Two::XorWide, x, sign));
            }
            Op::Abs => {
                let rest = self.wide_bits(!SIGN);
                return Ok(self.two(Two::AndWide, x, rest));
            }
            Op::Round => return Ok(self.one(One::RoundWide(0), x)),
            Op::Floor => return Ok(self.one(One::RoundWide(1), x)),
            Op::Ceil => return Ok(self.one(One::RoundWide(2), x)),
            Op::Trunc => return Ok(self.one(One::RoundWide(3), x)),
            Op::Sqrt => return Ok(self.one(One::SqrtWide, x)),
            Op::Fma => {
                let to = self.register(Class::Vector);
                let (y, z) = (Source::Register(y), Source::Register(args[2].0));
                self.push(VInst::Fma { to, x, y, z, is_wide: true });
                return Ok(to);
            }
            Op::Min | Op::Max => return self.wide_extremum(op, x, y),
            Op::Add => Two::AddWide,
            Op::Sub => Two::SubWide,
            Op::Mul => Two::MulWide,
            Op::Div => Two::DivWide,
            _ => {
                let relation = relation_of(op).ok_or(Unsupported("an operation over f64"))?;
                return self.compare(Compared::WideFloat, relation, x, y);
            }
        };
        Ok(self.two(two, x, y))
    }

    /// As of 32 bits: `vminpd y, x` gives `x` where either is NaN, and a NaN in `y` is chosen then.
    fn wide_extremum(&mut self, op: Op, x: V, y: V) -> Result<V, Unsupported> {
        let two = if op == Op::Min { Two::MinWide } else { Two::MaxWide };
        let ordered = self.two(two, y, x);
        if self.wide_literal_of(y).is_some_and(|bits| !f64::from_bits(bits).is_nan()) {
            return Ok(ordered);
        }
        let is_nan = self.compare(Compared::WideFloat, Relation::Unordered, y, y)?;
        Ok(self.choose_wide(is_nan, y, ordered))
    }

    fn wide_integer(&mut self, op: Op, args: &[(V, DType)]) -> Result<V, Unsupported> {
        let x = args[0].0;
        let y = args.get(1).map_or(x, |a| a.0);
        let two = match op {
            Op::Add => Two::AddLong,
            Op::Sub => Two::SubLong,
            Op::And => Two::AndWide,
            Op::Or => Two::OrWide,
            Op::Xor => Two::XorWide,
            Op::Shl | Op::Shr => {
                let by = self.wide_literal_of(y).filter(|by| *by < 64);
                let by = by.ok_or(Unsupported("a shift by no small literal"))? as u8;
                let shift = match op {
                    Op::Shl => One::ShiftLeftWide(by),
                    _ => One::ShiftRightWide(by),
                };
                return Ok(self.one(shift, x));
            }
            Op::Eq => return self.compare(Compared::WideInteger, Relation::Eq, x, y),
            Op::Ne if self.width == Width::Zmm => {
                return self.compare(Compared::WideInteger, Relation::Ne, x, y);
            }
            Op::Ne => {
                let equal = self.compare(Compared::WideInteger, Relation::Eq, x, y)?;
                return Ok(self.mask_not(equal));
            }
            _ => return Err(Unsupported("an operation over u64")),
        };
        Ok(self.two(two, x, y))
    }
}
