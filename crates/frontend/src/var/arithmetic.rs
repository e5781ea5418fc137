//! Elementwise operators: Rust's operators, comparisons, functions of one and two tensors.

use tracelift_ir::{self as ir, Builder, Literal, Op, Shape, TensorType, Value};
use tracelift_tensor::DType;

use crate::{Fault, MistakeKind, Var};

/// An operand of an elementwise operator: a tensor, or a number that takes the other's dtype.
#[derive(Clone, Debug)]
pub enum Term {
    /// A tensor.
    Tensor(Var),
    /// A number.
    Number(Literal),
}

impl From<Var> for Term {
    fn from(var: Var) -> Term {
        Term::Tensor(var)
    }
}

impl From<&Var> for Term {
    fn from(var: &Var) -> Term {
        Term::Tensor(var.clone())
    }
}

macro_rules! numbers {
    ($($ty:ty => $variant:ident;)*) => { $(
        impl From<$ty> for Term {
            fn from(number: $ty) -> Term {
                Term::Number(Literal::$variant(number.into()))
            }
        }
    )* };
}
numbers! { f64 => Real; f32 => Real; i64 => Int; i32 => Int; bool => Int; }

/// Rounds a number to the dtype of the tensors beside it.
fn number(literal: Literal, dtype: DType) -> Result<tracelift_tensor::Scalar, Fault> {
    let whole = match literal {
        Literal::Int(_) => true,
        Literal::Real(x) => x.fract() == 0.0,
    };
    if whole || dtype.is_float() {
        return Ok(literal.to_scalar(dtype));
    }
    let message = format!("the number {literal} beside a tensor of dtype {dtype}");
    let fault = Fault::new(MistakeKind::DType, message).expected("a whole number");
    Err(fault.hint("convert the tensor first, as with .to(DType::F32)"))
}

/// Refuses tensors of different dtypes.
fn one_dtype(vars: &[&Var]) -> Result<(), Fault> {
    let dtypes: Vec<DType> = vars.iter().map(|v| v.dtype()).collect();
    if dtypes.windows(2).all(|pair| pair[0] == pair[1]) {
        return Ok(());
    }
    let names: Vec<&str> = dtypes.iter().map(|d| d.name()).collect();
    let found: Vec<String> = vars.iter().map(|v| v.described()).collect();
    let wide = dtypes.iter().max().expect("there are at least two");
    let fault = Fault::new(MistakeKind::DType, format!("dtypes {} are mixed", names.join(" and ")));
    Err(fault
        .found(found.join(" and "))
        .expected("operands of one dtype")
        .hint(format!("convert one of them, as with .to(DType::{wide:?})")))
}

/// The shape that tensors broadcast to.
pub(crate) fn one_shape(vars: &[&Var]) -> Result<Shape, Fault> {
    let shapes: Vec<Shape> = vars.iter().map(|v| v.shape()).collect();
    ir::broadcast_shapes(&shapes).map_err(|_| {
        let texts: Vec<String> = shapes.iter().map(Shape::to_string).collect();
        let found: Vec<String> = vars.iter().map(|v| v.described()).collect();
        let message = format!("shapes {} do not broadcast", texts.join(" and "));
        let fault = Fault::new(MistakeKind::Broadcast, message)
            .found(found.join(" and "))
            .expected("extents that are equal or 1, aligned at the last axis");
        match &shapes[..] {
            [a, b] => fault.hint(broadcast_hint(a, b)),
            _ => fault,
        }
    })
}

/// Says how a shape of fewer axes would fit, where one new axis at the end does it.
fn broadcast_hint(a: &Shape, b: &Shape) -> String {
    let (long, short) = if a.rank() >= b.rank() { (a, b) } else { (b, a) };
    let fits = |new: usize| {
        let mut dims = short.0.clone();
        dims.extend(vec![1.into(); new]);
        ir::broadcast_shapes(&[long.clone(), Shape(dims)]).is_ok()
    };
    match (1..=long.rank().saturating_sub(short.rank())).find(|&new| fits(new)) {
        Some(1) => format!("{short}.unsqueeze(-1) would fit {long}"),
        Some(new) => format!("{short} with {new} axes of extent 1 after it would fit {long}"),
        None => String::new(),
    }
}

/// Applies an elementwise operator whose operands have one dtype.
#[track_caller]
fn combine(what: &str, op: impl Into<Op>, terms: &[Term]) -> Var {
    spread(what, op, &[], terms)
}

/// Applies an elementwise operator to `leading` tensors and `terms` of one dtype, broadcast.
#[track_caller]
fn spread(what: &str, op: impl Into<Op>, leading: &[&Var], terms: &[Term]) -> Var {
    let tensors: Vec<&Var> = terms
        .iter()
        .filter_map(|t| match t {
            Term::Tensor(var) => Some(var),
            Term::Number(_) => None,
        })
        .collect();
    let all: Vec<&Var> = leading.iter().copied().chain(tensors.iter().copied()).collect();
    let checked = if all.iter().any(|v| v.is_poisoned()) {
        Ok(Shape::default())
    } else {
        one_dtype(&tensors).and_then(|()| one_shape(&all))
    };
    let dtype = tensors.first().map_or(DType::F32, |v| v.dtype());
    Var::build(what, &all, |b, values| {
        let shape = checked?;
        let mut values = values.iter();
        let mut operands: Vec<Value> = values.by_ref().take(leading.len()).copied().collect();
        for term in terms {
            operands.push(match term {
                Term::Tensor(_) => *values.next().expect("one value per tensor"),
                Term::Number(literal) => b.splat(number(*literal, dtype)?, shape.clone()),
            });
        }
        elementwise(b, op.into(), &operands, &shape)
    })
}

fn elementwise(
    b: &mut Builder<'_>,
    op: Op,
    operands: &[Value],
    shape: &Shape,
) -> Result<Value, Fault> {
    let operands: Result<Vec<Value>, _> =
        operands.iter().map(|v| b.broadcast_to(*v, shape)).collect();
    let operands = operands?;
    let types: Vec<TensorType> = operands.iter().map(|v| b.ty(*v).clone()).collect();
    b.op1(op, &operands).map_err(|error| {
        let found: Vec<String> = types.iter().map(TensorType::to_string).collect();
        let message = error.0.trim_start_matches("C2: ").to_string();
        Fault::new(MistakeKind::DType, message).found(found.join(" and "))
    })
}

macro_rules! unary {
    ($($(#[$doc:meta])* $method:ident = $op:ident;)*) => {
        impl Var { $(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(&self) -> Var {
                combine(stringify!($method), ir::$op {}, &[self.into()])
            }
        )* }
    };
}

unary! {
    /// `|x|`.
    abs = Abs;
    /// −1, 0 or 1.
    sign = Sign;
    /// The largest integer not above.
    floor = Floor;
    /// The smallest integer not below.
    ceil = Ceil;
    /// The nearest integer, ties to even.
    round = Round;
    /// The integer part.
    trunc = Trunc;
    /// The square root.
    sqrt = Sqrt;
    /// `eˣ`.
    exp = Exp;
    /// The natural logarithm.
    log = Log;
    /// The sine of radians.
    sin = Sin;
    /// The cosine of radians.
    cos = Cos;
    /// The tangent of radians.
    tan = Tan;
    /// The inverse sine.
    asin = Asin;
    /// The inverse cosine.
    acos = Acos;
    /// The inverse tangent.
    atan = Atan;
    /// The hyperbolic sine.
    sinh = Sinh;
    /// The hyperbolic cosine.
    cosh = Cosh;
    /// The hyperbolic tangent.
    tanh = Tanh;
    /// The error function.
    erf = Erf;
    /// Whether an element is NaN.
    isnan = IsNan;
    /// The larger of `x` and 0.
    relu = Relu;
    /// `1 / (1 + e^(−x))`.
    sigmoid = Sigmoid;
    /// `x · σ(x)`.
    silu = Silu;
    /// `ln(1 + e^x)`.
    softplus = Softplus;
    /// `1 / x`.
    reciprocal = Reciprocal;
    /// `1 / √x`.
    rsqrt = Rsqrt;
    /// Logical negation of bools, bitwise complement of integers.
    logical_not = Not;
}

macro_rules! binary {
    ($($(#[$doc:meta])* $method:ident = $op:ident;)*) => {
        impl Var { $(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(&self, other: impl Into<Term>) -> Var {
                combine(stringify!($method), ir::$op {}, &[self.into(), other.into()])
            }
        )* }
    };
}

binary! {
    /// The larger; NaN where either is NaN.
    maximum = Max;
    /// The smaller; NaN where either is NaN.
    minimum = Min;
    /// `xʸ`.
    pow = Pow;
    /// The remainder of truncating division, with the sign of `self`.
    fmod = Rem;
    /// The remainder of flooring division, with the sign of `other`, as Python's `%`.
    remainder = FloorMod;
    /// Whether the elements are equal.
    eq = Eq;
    /// Whether the elements differ.
    ne = Ne;
    /// Whether `self` is smaller.
    lt = Lt;
    /// Whether `self` is smaller or equal.
    le = Le;
    /// Whether `self` is larger.
    gt = Gt;
    /// Whether `self` is larger or equal.
    ge = Ge;
}

impl Var {
    /// Converts to a dtype: float to integer truncates and saturates, anything to bool is `x ≠ 0`.
    #[track_caller]
    pub fn to(&self, dtype: DType) -> Var {
        Var::build("to", &[self], |b, v| Ok(b.cast(v[0], dtype)?))
    }

    /// `x · x`.
    #[track_caller]
    pub fn square(&self) -> Var {
        self * self
    }

    /// Limits elements to `low..=high`; NaN stays.
    #[track_caller]
    pub fn clamp(&self, low: f64, high: f64) -> Var {
        let (min, max) = (Literal::Real(low), Literal::Real(high));
        combine("clamp", ir::Clamp { min, max }, &[self.into()])
    }

    /// `x · Φ(x)`, `Φ` the normal distribution function.
    #[track_caller]
    pub fn gelu(&self) -> Var {
        combine("gelu", ir::Gelu { approximate: ir::GeluForm::Exact }, &[self.into()])
    }

    /// `x · Φ(x)` with `Φ` by a hyperbolic tangent.
    #[track_caller]
    pub fn gelu_tanh(&self) -> Var {
        combine("gelu", ir::Gelu { approximate: ir::GeluForm::Tanh }, &[self.into()])
    }

    /// `x` where it is not negative, else `slope · x`.
    #[track_caller]
    pub fn leaky_relu(&self, slope: f64) -> Var {
        combine("leaky_relu", ir::LeakyRelu { alpha: Literal::Real(slope) }, &[self.into()])
    }

    /// `self` where the condition holds, else `other`.
    #[track_caller]
    pub fn where_(&self, condition: &Var, other: impl Into<Term>) -> Var {
        spread("where", ir::Select {}, &[condition], &[self.into(), other.into()])
    }

    /// `number` where the mask is true, else `self`.
    #[track_caller]
    pub fn masked_fill(&self, mask: &Var, number: f64) -> Var {
        spread("masked_fill", ir::Select {}, &[mask], &[number.into(), self.into()])
    }
}

/// Floating-point quotients only: PyTorch's `/` turns integers into floats.
#[track_caller]
fn quotient(a: Term, b: Term) -> Var {
    let tensor = [&a, &b].into_iter().find_map(|t| match t {
        Term::Tensor(var) if !var.is_poisoned() && !var.dtype().is_float() => Some(var.clone()),
        _ => None,
    });
    let Some(var) = tensor else { return combine("/", ir::Div {}, &[a, b]) };
    let message = format!("/ divides floats, found dtype {}", var.dtype());
    let fault = Fault::new(MistakeKind::DType, message).found(var.described());
    var.check("/", Err(fault.hint("convert first, as with .to(DType::F32), or use div_trunc")))
}

impl Var {
    /// The quotient of integers, truncated towards 0; a division by 0 gives 0.
    #[track_caller]
    pub fn div_trunc(&self, divisor: impl Into<Term>) -> Var {
        let quotient = combine("div_trunc", ir::Div {}, &[self.into(), divisor.into()]);
        if quotient.dtype().is_float() { quotient.trunc() } else { quotient }
    }
}

#[track_caller]
fn sum(a: Term, b: Term) -> Var {
    combine("+", ir::Add {}, &[a, b])
}

#[track_caller]
fn difference(a: Term, b: Term) -> Var {
    combine("-", ir::Sub {}, &[a, b])
}

#[track_caller]
fn product(a: Term, b: Term) -> Var {
    combine("*", ir::Mul {}, &[a, b])
}

#[track_caller]
fn remainder(a: Term, b: Term) -> Var {
    combine("%", ir::FloorMod {}, &[a, b])
}

#[track_caller]
fn and(a: Term, b: Term) -> Var {
    combine("&", ir::And {}, &[a, b])
}

#[track_caller]
fn or(a: Term, b: Term) -> Var {
    combine("|", ir::Or {}, &[a, b])
}

#[track_caller]
fn xor(a: Term, b: Term) -> Var {
    combine("^", ir::Xor {}, &[a, b])
}

macro_rules! rust_operator {
    ($trait:ident $method:ident $function:ident: $($lhs:ty, $rhs:ty;)*) => { $(
        impl std::ops::$trait<$rhs> for $lhs {
            type Output = Var;
            #[track_caller]
            fn $method(self, other: $rhs) -> Var {
                $function(self.into(), other.into())
            }
        }
    )* };
}

macro_rules! between_tensors {
    ($($trait:ident $method:ident $function:ident;)*) => { $(
        rust_operator! { $trait $method $function:
            Var, Var; Var, &Var; &Var, Var; &Var, &Var;
        }
    )* };
}

// One float and one integer type only: with more, a literal's type would be ambiguous in
// `(x * 2.0).relu()`.
macro_rules! with_numbers_after {
    ($($trait:ident $method:ident $function:ident;)*) => { $(
        rust_operator! { $trait $method $function:
            Var, f64; &Var, f64; Var, i64; &Var, i64;
        }
    )* };
}

macro_rules! with_numbers_before {
    ($($trait:ident $method:ident $function:ident;)*) => { $(
        rust_operator! { $trait $method $function:
            f64, Var; f64, &Var; i64, Var; i64, &Var;
        }
    )* };
}

between_tensors! {
    Add add sum; Sub sub difference; Mul mul product; Div div quotient; Rem rem remainder;
    BitAnd bitand and; BitOr bitor or; BitXor bitxor xor;
}
with_numbers_after! {
    Add add sum; Sub sub difference; Mul mul product; Div div quotient; Rem rem remainder;
}
with_numbers_before! {
    Add add sum; Sub sub difference; Mul mul product; Div div quotient; Rem rem remainder;
}

macro_rules! prefix_operators {
    ($($trait:ident $method:ident $text:literal $op:ident: $($ty:ty)*;)*) => { $($(
        impl std::ops::$trait for $ty {
            type Output = Var;
            #[track_caller]
            fn $method(self) -> Var {
                combine($text, ir::$op {}, &[self.into()])
            }
        }
    )*)* };
}
prefix_operators! { Neg neg "-" Neg: Var &Var; Not not "!" Not: Var &Var; }
