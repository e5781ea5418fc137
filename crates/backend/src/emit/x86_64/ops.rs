//! Operations of the scalar language as virtual instructions.

use tracelift_scalar::{Expr, ExprNode, Op, expansion_of};
use tracelift_tensor::DType;

use super::{
    Unsupported, Width,
    program::{Class, Compared, MaskTwo, One, Relation, Source, Two, V, VInst},
    select::Selector,
    wide::is_wide,
};

const SIGN: u32 = 1 << 31;

impl Width {
    /// Where masks live.
    pub(super) fn mask_class(self) -> Class {
        match self {
            Width::Ymm => Class::Vector,
            Width::Zmm => Class::Mask,
        }
    }
}

impl Selector<'_, '_, '_> {
    /// Applies an operation.
    pub(super) fn apply(&mut self, op: Op, args: &[(V, DType)]) -> Result<V, Unsupported> {
        let dtypes: Vec<DType> = args.iter().map(|a| a.1).collect();
        let result = match op.result_dtype(&dtypes).expect("a verified tile is well typed") {
            // Such a value fits into 32 bits, or it would not be here.
            DType::I64 => DType::I32,
            result => result,
        };
        match (op, args) {
            (Op::Cast(_), [(x, from)]) => self.cast(*x, *from, result),
            (Op::Bitcast(_), [(x, from)]) if *from != DType::Bool && result != DType::Bool => {
                Ok(*x)
            }
            (Op::Select, [(c, _), (x, dtype), (y, _)]) => match dtype {
                DType::Bool => self.select_masks(*c, *x, *y),
                _ => Ok(self.choose(*c, *x, *y)),
            },
            _ if dtypes[0] == DType::Bool => self.over_masks(op, args),
            _ if !op.is_basic(dtypes[0]) => self.expanded(op, args),
            _ if dtypes[0] == DType::F32 => self.float(op, args),
            _ => self.integer(op, args),
        }
    }

    pub(super) fn one(&mut self, op: One, a: V) -> V {
        let to = self.register(Class::Vector);
        self.push(VInst::One { op, to, a: Source::Register(a) });
        to
    }

    fn choose(&mut self, mask: V, x: V, y: V) -> V {
        let to = self.register(Class::Vector);
        self.push(VInst::Choose { to, mask, x: Source::Register(x), y, is_wide: false });
        to
    }

    fn mask_two(&mut self, op: MaskTwo, a: V, b: V) -> V {
        let to = self.register(self.width.mask_class());
        self.push(VInst::MaskTwo { op, to, a, b });
        to
    }

    pub(super) fn mask_not(&mut self, a: V) -> V {
        let to = self.register(self.width.mask_class());
        self.push(VInst::MaskNot { to, a });
        to
    }

    pub(super) fn select_masks(&mut self, c: V, x: V, y: V) -> Result<V, Unsupported> {
        let yes = self.mask_two(MaskTwo::And, c, x);
        let not = self.mask_not(c);
        let no = self.mask_two(MaskTwo::And, not, y);
        Ok(self.mask_two(MaskTwo::Or, yes, no))
    }

    pub(super) fn over_masks(&mut self, op: Op, args: &[(V, DType)]) -> Result<V, Unsupported> {
        match (op, args) {
            (Op::Not, [(x, _)]) => Ok(self.mask_not(*x)),
            (Op::And, [(x, _), (y, _)]) => Ok(self.mask_two(MaskTwo::And, *x, *y)),
            (Op::Or, [(x, _), (y, _)]) => Ok(self.mask_two(MaskTwo::Or, *x, *y)),
            (Op::Xor | Op::Ne, [(x, _), (y, _)]) => Ok(self.mask_two(MaskTwo::Xor, *x, *y)),
            (Op::Eq, [(x, _), (y, _)]) => {
                let differs = self.mask_two(MaskTwo::Xor, *x, *y);
                Ok(self.mask_not(differs))
            }
            _ => Err(Unsupported("an operation over bools")),
        }
    }

    pub(super) fn compare(
        &mut self,
        what: Compared,
        relation: Relation,
        a: V,
        b: V,
    ) -> Result<V, Unsupported> {
        let to = self.register(self.width.mask_class());
        let inst =
            |relation, a, b| VInst::Compare { what, relation, to, a, b: Source::Register(b) };
        let is_whole = matches!(what, Compared::Signed | Compared::Unsigned);
        if !is_whole || self.width == Width::Zmm {
            self.push(inst(relation, a, b));
            return Ok(to);
        }
        if what == Compared::Unsigned && !matches!(relation, Relation::Eq | Relation::Ne) {
            let sign = self.bits(SIGN);
            let (a, b) = (self.two(Two::Xor, a, sign), self.two(Two::Xor, b, sign));
            return self.compare(Compared::Signed, relation, a, b);
        }
        // AVX2 compares integers for equality and greater only.
        match relation {
            Relation::Eq | Relation::Gt => self.push(inst(relation, a, b)),
            Relation::Lt => self.push(inst(Relation::Gt, b, a)),
            Relation::Ne | Relation::Le | Relation::Ge => {
                let (relation, a, b) = match relation {
                    Relation::Ne => (Relation::Eq, a, b),
                    Relation::Le => (Relation::Gt, a, b),
                    _ => (Relation::Gt, b, a),
                };
                self.push(inst(relation, a, b));
                return Ok(self.mask_not(to));
            }
            Relation::Unordered => return Err(Unsupported("integers are always ordered")),
        }
        Ok(to)
    }

    fn float(&mut self, op: Op, args: &[(V, DType)]) -> Result<V, Unsupported> {
        let x = args[0].0;
        let y = args.get(1).map_or(x, |a| a.0);
        let two = match op {
            Op::Neg => {
                let sign = self.bits(SIGN);
                return Ok(self.two(Two::Xor, x, sign));
            }
            Op::Abs => {
                let rest = self.bits(!SIGN);
                return Ok(self.two(Two::And, x, rest));
            }
            Op::Round => return Ok(self.one(One::Round(0), x)),
            Op::Floor => return Ok(self.one(One::Round(1), x)),
            Op::Ceil => return Ok(self.one(One::Round(2), x)),
            Op::Trunc => return Ok(self.one(One::Round(3), x)),
            Op::Sqrt => return Ok(self.one(One::Sqrt, x)),
            Op::Add => Two::Add,
            Op::Sub => Two::Sub,
            Op::Mul => Two::Mul,
            Op::Div => Two::Div,
            Op::Min | Op::Max => return self.extremum(op, x, y),
            Op::Fma => {
                let to = self.register(Class::Vector);
                let (y, z) = (Source::Register(y), Source::Register(args[2].0));
                self.push(VInst::Fma { to, x, y, z, is_wide: false });
                return Ok(to);
            }
            _ => {
                let relation = relation_of(op).ok_or(Unsupported("an operation over floats"))?;
                return self.compare(Compared::Float, relation, x, y);
            }
        };
        Ok(self.two(two, x, y))
    }

    /// The smaller or larger; NaN where either is NaN, `x` where they are equal.
    ///
    /// `vminps y, x` gives `x` where they are equal or either is NaN; then only a NaN in `y` is
    /// left, which a literal excludes.
    fn extremum(&mut self, op: Op, x: V, y: V) -> Result<V, Unsupported> {
        let two = if op == Op::Min { Two::Min } else { Two::Max };
        let ordered = self.two(two, y, x);
        if self.is_ordered_literal(y) {
            return Ok(ordered);
        }
        let is_nan = self.compare(Compared::Float, Relation::Unordered, y, y)?;
        Ok(self.choose(is_nan, y, ordered))
    }

    fn is_ordered_literal(&self, v: V) -> bool {
        self.program.insts.iter().rev().find(|inst| inst.def() == Some(v)).is_some_and(
            |inst| matches!(inst, VInst::Literal { bits, .. } if !f32::from_bits(*bits).is_nan()),
        )
    }

    fn literal_of(&self, v: V) -> Option<u32> {
        self.program.insts.iter().rev().find(|inst| inst.def() == Some(v)).and_then(|inst| {
            match inst {
                VInst::Literal { bits, .. } => Some(*bits),
                _ => None,
            }
        })
    }

    fn integer(&mut self, op: Op, args: &[(V, DType)]) -> Result<V, Unsupported> {
        let (x, dtype) = args[0];
        let y = args.get(1).map_or(x, |a| a.0);
        let is_signed = dtype == DType::I32;
        let what = if is_signed { Compared::Signed } else { Compared::Unsigned };
        let signed = |yes: Two, no: Two| if is_signed { yes } else { no };
        let relation = match op {
            Op::Neg => {
                let zero = self.bits(0);
                return Ok(self.two(Two::SubInt, zero, x));
            }
            Op::Abs if is_signed => return Ok(self.one(One::AbsInt, x)),
            Op::Abs => return Ok(x),
            Op::Not => {
                let ones = self.bits(u32::MAX);
                return Ok(self.two(Two::Xor, x, ones));
            }
            Op::Add => return Ok(self.two(Two::AddInt, x, y)),
            Op::Sub => return Ok(self.two(Two::SubInt, x, y)),
            Op::Mul => return Ok(self.two(Two::MulInt, x, y)),
            Op::And => return Ok(self.two(Two::And, x, y)),
            Op::Or => return Ok(self.two(Two::Or, x, y)),
            Op::Xor => return Ok(self.two(Two::Xor, x, y)),
            Op::Min => return Ok(self.two(signed(Two::MinInt, Two::MinUnsigned), x, y)),
            Op::Max => return Ok(self.two(signed(Two::MaxInt, Two::MaxUnsigned), x, y)),
            Op::Shl | Op::Shr => {
                let by = self.literal_of(y).filter(|by| *by < 32);
                let by = by.ok_or(Unsupported("a shift by no small literal"))? as u8;
                let one = match (op, is_signed) {
                    (Op::Shl, _) => One::ShiftLeft(by),
                    (_, true) => One::ShiftRightSigned(by),
                    (_, false) => One::ShiftRight(by),
                };
                return Ok(self.one(one, x));
            }
            _ => order_of(op).ok_or(Unsupported("an operation over integers"))?,
        };
        self.compare(what, relation, x, y)
    }

    pub(super) fn cast(&mut self, x: V, from: DType, to: DType) -> Result<V, Unsupported> {
        use DType::{Bool, F32, I32, U32};
        match (from, to) {
            _ if from == to => Ok(x),
            (I32, U32) | (U32, I32) => Ok(x),
            (Bool, _) => {
                let one = if to == F32 { 1f32.to_bits() } else { 1 };
                let (one, zero) = (self.bits(one), self.bits(0));
                Ok(self.choose(x, one, zero))
            }
            (_, Bool) => {
                let zero = self.bits(0);
                let what = if from == F32 { Compared::Float } else { Compared::Signed };
                self.compare(what, Relation::Ne, x, zero)
            }
            (I32, F32) => Ok(self.one(One::FromInt, x)),
            (U32, F32) if self.width == Width::Zmm => Ok(self.one(One::FromUnsigned, x)),
            (F32, I32) => {
                // The instruction gives the lowest integer for all it cannot represent.
                let raw = self.one(One::ToInt, x);
                let limit = self.bits(2147483648f32.to_bits());
                let above = self.compare(Compared::Float, Relation::Ge, x, limit)?;
                let highest = self.bits(i32::MAX as u32);
                let capped = self.choose(above, highest, raw);
                let is_nan = self.compare(Compared::Float, Relation::Unordered, x, x)?;
                let zero = self.bits(0);
                Ok(self.choose(is_nan, zero, capped))
            }
            _ => Err(Unsupported("a cast")),
        }
    }

    /// Applies an operation by its expansion.
    fn expanded(&mut self, op: Op, args: &[(V, DType)]) -> Result<V, Unsupported> {
        let expr = expansion_of(op, args[0].1).ok_or(Unsupported("an operation"))?;
        self.expression(&expr, args)
    }

    fn expression(&mut self, expr: &Expr, inputs: &[(V, DType)]) -> Result<V, Unsupported> {
        let is_lane = |d: &DType| matches!(d, DType::F32 | DType::I32 | DType::U32 | DType::Bool);
        if !expr.dtypes().iter().all(is_lane) {
            let is_known = |d: &DType| is_lane(d) || is_wide(*d);
            return match expr.dtypes().iter().all(is_known) {
                true => self.wide_expression(expr, inputs),
                false => Err(Unsupported("an expansion in other numbers")),
            };
        }
        let mut known: Vec<Option<V>> = vec![None; expr.nodes().len()];
        for (k, node) in expr.nodes().iter().enumerate() {
            known[k] = match node {
                ExprNode::Input(i) => Some(inputs[*i as usize].0),
                ExprNode::Const(_) => None,
                ExprNode::Index(_) => return Err(Unsupported("coordinates as numbers")),
                ExprNode::Apply(op, operands) => {
                    let mut args = Vec::with_capacity(operands.len());
                    for id in operands {
                        let v = self.node(expr, &known, id.index())?;
                        args.push((v, expr.dtypes()[id.index()]));
                    }
                    Some(self.apply(*op, &args)?)
                }
            };
        }
        self.node(expr, &known, expr.root().index())
    }

    fn node(&mut self, expr: &Expr, known: &[Option<V>], at: usize) -> Result<V, Unsupported> {
        match (known[at], &expr.nodes()[at]) {
            (Some(v), _) => Ok(v),
            (None, ExprNode::Const(scalar)) => self.literal(*scalar),
            _ => unreachable!("operands come before their users"),
        }
    }
}

/// What a test of floats asks for; `None` for other operations.
pub(super) fn relation_of(op: Op) -> Option<Relation> {
    if op == Op::IsNan { Some(Relation::Unordered) } else { order_of(op) }
}

/// What a comparison asks for; `None` for other operations.
fn order_of(op: Op) -> Option<Relation> {
    Some(match op {
        Op::Eq => Relation::Eq,
        Op::Ne => Relation::Ne,
        Op::Lt => Relation::Lt,
        Op::Le => Relation::Le,
        Op::Gt => Relation::Gt,
        Op::Ge => Relation::Ge,
        _ => return None,
    })
}
