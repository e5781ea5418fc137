//! The chain rule, one operation at a time.

use crate::{ExprBuilder, ExprId, ExprNode, Op};

/// An operation with its value, operands and their tangents; a missing tangent is an exact zero.
pub(super) struct Rule<'a> {
    pub b: &'a mut ExprBuilder,
    pub value: ExprId,
    pub args: &'a [ExprId],
    pub tangents: &'a [Option<ExprId>],
}

impl Rule<'_> {
    /// The tangent of the operation's float value.
    pub fn tangent(mut self, op: Op) -> Option<ExprId> {
        match op {
            Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Fma | Op::Rem => self.of_arithmetic(op),
            Op::Pow => self.of_pow(),
            Op::Min | Op::Max => self.of_extreme(op),
            Op::Select => self.of_select(),
            _ => {
                let t = self.tangents[0]?;
                self.of_unary(op, t)
            }
        }
    }

    fn literal(&mut self, value: f64) -> ExprId {
        self.b.constant_like(self.value, value)
    }

    fn one(&mut self, op: Op, x: ExprId) -> ExprId {
        self.b.apply(op, &[x])
    }

    fn two(&mut self, op: Op, x: ExprId, y: ExprId) -> ExprId {
        self.b.apply(op, &[x, y])
    }

    /// `x² `.
    fn square(&mut self, x: ExprId) -> ExprId {
        self.two(Op::Mul, x, x)
    }

    /// `(1 − x)·(1 + x)`, which keeps its digits near ±1.
    fn one_minus_square(&mut self, x: ExprId) -> ExprId {
        let one = self.literal(1.0);
        let (below, above) = (self.two(Op::Sub, one, x), self.two(Op::Add, one, x));
        self.two(Op::Mul, below, above)
    }

    /// The sum of two tangents.
    fn sum(&mut self, x: Option<ExprId>, y: Option<ExprId>) -> Option<ExprId> {
        match (x, y) {
            (Some(x), Some(y)) => Some(self.two(Op::Add, x, y)),
            (x, y) => x.or(y),
        }
    }

    fn or_zero(&mut self, tangent: Option<ExprId>) -> ExprId {
        tangent.unwrap_or_else(|| self.literal(0.0))
    }

    fn of_unary(&mut self, op: Op, t: ExprId) -> Option<ExprId> {
        let (x, y) = (self.args[0], self.value);
        Some(match op {
            Op::Neg => self.one(Op::Neg, t),
            Op::Abs => self.times_applied(t, Op::Sign, x),
            Op::Exp => self.two(Op::Mul, t, y),
            Op::Log => self.two(Op::Div, t, x),
            Op::Sqrt => {
                let twice = self.two(Op::Add, y, y);
                self.two(Op::Div, t, twice)
            }
            Op::Sin => self.times_applied(t, Op::Cos, x),
            Op::Sinh => self.times_applied(t, Op::Cosh, x),
            Op::Cosh => self.times_applied(t, Op::Sinh, x),
            Op::Cos => {
                let product = self.times_applied(t, Op::Sin, x);
                self.one(Op::Neg, product)
            }
            Op::Tan => {
                let (square, one) = (self.square(y), self.literal(1.0));
                let slope = self.two(Op::Add, square, one);
                self.two(Op::Mul, t, slope)
            }
            Op::Tanh => {
                let slope = self.one_minus_square(y);
                self.two(Op::Mul, t, slope)
            }
            Op::Erf => self.of_erf(x, t),
            Op::Asin | Op::Acos | Op::Atan | Op::Asinh | Op::Acosh | Op::Atanh => {
                self.of_inverse(op, x, t)
            }
            // Floor, Ceil, Round, Trunc and Sign are flat.
            _ => return None,
        })
    }

    /// `t · op(x)`.
    fn times_applied(&mut self, t: ExprId, op: Op, x: ExprId) -> ExprId {
        let slope = self.one(op, x);
        self.two(Op::Mul, t, slope)
    }

    /// `t · 2/√π · e^(−x²)`.
    fn of_erf(&mut self, x: ExprId, t: ExprId) -> ExprId {
        let square = self.square(x);
        let exponent = self.one(Op::Neg, square);
        let bell = self.one(Op::Exp, exponent);
        let factor = self.literal(std::f64::consts::FRAC_2_SQRT_PI);
        let slope = self.two(Op::Mul, bell, factor);
        self.two(Op::Mul, t, slope)
    }

    /// The inverse functions: `t` over a polynomial or its root.
    fn of_inverse(&mut self, op: Op, x: ExprId, t: ExprId) -> ExprId {
        let one = self.literal(1.0);
        let below = match op {
            Op::Atan => {
                let square = self.square(x);
                self.two(Op::Add, square, one)
            }
            Op::Asinh => {
                let square = self.square(x);
                let sum = self.two(Op::Add, square, one);
                self.one(Op::Sqrt, sum)
            }
            Op::Acosh => {
                let (low, high) = (self.two(Op::Sub, x, one), self.two(Op::Add, x, one));
                let product = self.two(Op::Mul, low, high);
                self.one(Op::Sqrt, product)
            }
            Op::Atanh => self.one_minus_square(x),
            _ => {
                let square = self.one_minus_square(x);
                self.one(Op::Sqrt, square)
            }
        };
        let quotient = self.two(Op::Div, t, below);
        if op == Op::Acos { self.one(Op::Neg, quotient) } else { quotient }
    }

    /// `tangent · factor`.
    fn scaled(&mut self, tangent: Option<ExprId>, factor: ExprId) -> Option<ExprId> {
        tangent.map(|t| self.two(Op::Mul, t, factor))
    }

    fn of_arithmetic(&mut self, op: Op) -> Option<ExprId> {
        let (x, y) = (self.args[0], self.args[1]);
        let (tx, ty) = (self.tangents[0], self.tangents[1]);
        match op {
            Op::Add => self.sum(tx, ty),
            Op::Sub => {
                let negated = ty.map(|t| self.one(Op::Neg, t));
                self.sum(tx, negated)
            }
            // The quotient's tangent is (x' − (x/y)·y')/y.
            Op::Div => {
                let part = self.scaled(ty, self.value).map(|t| self.one(Op::Neg, t));
                let above = self.sum(tx, part)?;
                Some(self.two(Op::Div, above, y))
            }
            // The remainder is x − trunc(x/y)·y, and the trunc is flat.
            Op::Rem => {
                let quotient = self.two(Op::Div, x, y);
                let whole = self.one(Op::Trunc, quotient);
                let part = self.scaled(ty, whole).map(|t| self.one(Op::Neg, t));
                self.sum(tx, part)
            }
            // Mul, and Fma with a third operand.
            _ => {
                let (left, right) = (self.scaled(tx, y), self.scaled(ty, x));
                let product = self.sum(left, right);
                let addend = self.tangents.get(2).copied().flatten();
                self.sum(product, addend)
            }
        }
    }

    /// `x'·y·x^(y−1) + y'·log(x)·xʸ`; the first is 0 where `y = 0`, the second where `x = 0` and
    /// `y ≥ 0`, as in PyTorch.
    fn of_pow(&mut self) -> Option<ExprId> {
        let (x, y) = (self.args[0], self.args[1]);
        let (zero, one) = (self.literal(0.0), self.literal(1.0));
        let left = self.tangents[0].map(|t| {
            let lower = self.two(Op::Sub, y, one);
            let power = self.two(Op::Pow, x, lower);
            let slope = self.two(Op::Mul, y, power);
            let is_flat = self.two(Op::Eq, y, zero);
            let slope = self.b.apply(Op::Select, &[is_flat, zero, slope]);
            self.two(Op::Mul, t, slope)
        });
        let right = self.tangents[1].map(|t| {
            let log = self.one(Op::Log, x);
            let slope = self.two(Op::Mul, log, self.value);
            let (at_zero, is_positive) = (self.two(Op::Eq, x, zero), self.two(Op::Ge, y, zero));
            let is_flat = self.two(Op::And, at_zero, is_positive);
            let slope = self.b.apply(Op::Select, &[is_flat, zero, slope]);
            self.two(Op::Mul, t, slope)
        });
        self.sum(left, right)
    }

    /// Minimum and maximum, with the corners the module states.
    fn of_extreme(&mut self, op: Op) -> Option<ExprId> {
        let (x, y) = (self.args[0], self.args[1]);
        let (lost, lost_or_equal) = if op == Op::Max { (Op::Lt, Op::Le) } else { (Op::Gt, Op::Ge) };
        let is_literal = |rule: &Self, id| matches!(rule.b.node(id), ExprNode::Const(_));
        let (left, right) = (self.tangents[0], self.tangents[1]);
        let (left, right) = (self.or_zero(left), self.or_zero(right));
        for (moving, fixed, tangent) in [(x, y, left), (y, x, right)] {
            if is_literal(self, fixed) {
                let zero = self.literal(0.0);
                let is_flat = self.two(lost_or_equal, moving, fixed);
                return Some(self.b.apply(Op::Select, &[is_flat, zero, tangent]));
            }
        }
        let (sum, half) = (self.two(Op::Add, left, right), self.literal(0.5));
        let mean = self.two(Op::Mul, sum, half);
        let is_equal = self.two(Op::Eq, x, y);
        let not_right = self.b.apply(Op::Select, &[is_equal, mean, left]);
        let is_right = self.two(lost, x, y);
        Some(self.b.apply(Op::Select, &[is_right, right, not_right]))
    }

    fn of_select(&mut self) -> Option<ExprId> {
        let (yes, no) = (self.tangents[1], self.tangents[2]);
        let (yes, no) = (self.or_zero(yes), self.or_zero(no));
        Some(self.b.apply(Op::Select, &[self.args[0], yes, no]))
    }
}
