//! Evaluates an expression for many points at once, faster than [`Expr::eval`] by an order of magnitude.
//!
//! A lane is the bits of a scalar in a `u64`. Operations without a loop of their own go through
//! [`Op::eval`]; the results are those of [`Expr::eval`], bit for bit.

use tracelift_tensor::{DType, Scalar};

use crate::{Expr, ExprNode, Op};

/// An expression with room for its intermediate values.
#[derive(Debug)]
pub struct Lanes<'e> {
    expr: &'e Expr,
    columns: Vec<Vec<u64>>,
}

impl<'e> Lanes<'e> {
    /// Prepares an expression without indices.
    ///
    /// # Panics
    /// When the expression has an index.
    pub fn new(expr: &'e Expr) -> Lanes<'e> {
        let has_index = expr.nodes().iter().any(|node| matches!(node, ExprNode::Index(_)));
        assert!(!has_index, "lanes have no coordinates");
        Lanes { expr, columns: vec![Vec::new(); expr.nodes().len()] }
    }

    /// The bits of the values for the bits of the inputs; all columns have one length.
    ///
    /// # Panics
    /// When an input is missing, or columns differ in length.
    pub fn eval(&mut self, inputs: &[Vec<u64>]) -> &[u64] {
        let n_lanes = inputs.first().map_or(1, Vec::len);
        assert!(inputs.iter().all(|column| column.len() == n_lanes), "columns have one length");
        for (k, node) in self.expr.nodes().iter().enumerate() {
            let mut out = std::mem::take(&mut self.columns[k]);
            out.clear();
            match node {
                ExprNode::Input(input) => out.extend_from_slice(&inputs[*input as usize]),
                ExprNode::Index(_) => unreachable!("lanes have no coordinates"),
                ExprNode::Const(scalar) => out.resize(n_lanes, scalar.to_bits()),
                ExprNode::Apply(op, operands) => {
                    let columns: Vec<&[u64]> =
                        operands.iter().map(|o| self.columns[o.index()].as_slice()).collect();
                    let dtypes: Vec<DType> =
                        operands.iter().map(|o| self.expr.dtype_of(*o)).collect();
                    apply(*op, &dtypes, &columns, &mut out);
                }
            }
            self.columns[k] = out;
        }
        &self.columns[self.expr.root().index()]
    }
}

fn apply(op: Op, dtypes: &[DType], columns: &[&[u64]], out: &mut Vec<u64>) {
    match (dtypes[0], op) {
        (DType::F32, _) if float32(op, columns, out) => {}
        (DType::F64, _) if float64(op, columns, out) => {}
        (DType::U32, _) if unsigned(op, 0xffff_ffff, 32, columns, out) => {}
        (DType::U64, _) if unsigned(op, u64::MAX, 64, columns, out) => {}
        (DType::Bool, Op::Select) => {
            let [c, a, b] = *columns else { unreachable!("select has three operands") };
            out.extend(c.iter().zip(a).zip(b).map(|((c, a), b)| if *c != 0 { a } else { b }));
        }
        (DType::Bool, Op::And) => two(columns, out, |x, y| x & y),
        (DType::Bool, Op::Or) => two(columns, out, |x, y| x | y),
        _ => by_scalars(op, dtypes, columns, out),
    }
}

fn by_scalars(op: Op, dtypes: &[DType], columns: &[&[u64]], out: &mut Vec<u64>) {
    let mut operands = [Scalar::Bool(false); 3];
    out.extend((0..columns[0].len()).map(|lane| {
        for (k, column) in columns.iter().enumerate() {
            operands[k] = Scalar::from_bits(dtypes[k], column[lane]);
        }
        op.eval(&operands[..columns.len()]).to_bits()
    }));
}

fn one(columns: &[&[u64]], out: &mut Vec<u64>, f: impl Fn(u64) -> u64) {
    out.extend(columns[0].iter().map(|x| f(*x)));
}

fn two(columns: &[&[u64]], out: &mut Vec<u64>, f: impl Fn(u64, u64) -> u64) {
    out.extend(columns[0].iter().zip(columns[1]).map(|(x, y)| f(*x, *y)));
}

/// Runs an operation over unsigned integers; false where it has no loop here.
fn unsigned(op: Op, mask: u64, bits: u64, columns: &[&[u64]], out: &mut Vec<u64>) -> bool {
    match op {
        Op::Add => two(columns, out, |x, y| x.wrapping_add(y) & mask),
        Op::Sub => two(columns, out, |x, y| x.wrapping_sub(y) & mask),
        Op::And => two(columns, out, |x, y| x & y),
        Op::Or => two(columns, out, |x, y| x | y),
        Op::Xor => two(columns, out, |x, y| x ^ y),
        Op::Shl => two(columns, out, |x, y| if y < bits { (x << y) & mask } else { 0 }),
        Op::Shr => two(columns, out, |x, y| if y < bits { x >> y } else { 0 }),
        Op::Ne => two(columns, out, |x, y| (x != y).into()),
        Op::Bitcast(_) => one(columns, out, |x| x),
        _ => return false,
    }
    true
}

macro_rules! float_loops {
    ($name:ident, $ty:ident, $bits:ty, $other:ident) => {
        /// Runs an operation over floats; false where it has no loop here.
        fn $name(op: Op, columns: &[&[u64]], out: &mut Vec<u64>) -> bool {
            let get = |bits: u64| $ty::from_bits(bits as $bits);
            macro_rules! map1 {
                ($f:expr) => {
                    one(columns, out, |x| {
                        let f: fn($ty) -> $ty = $f;
                        f(get(x)).to_bits().into()
                    })
                };
            }
            macro_rules! map2 {
                ($f:expr) => {
                    two(columns, out, |x, y| {
                        let f: fn($ty, $ty) -> $ty = $f;
                        f(get(x), get(y)).to_bits().into()
                    })
                };
            }
            macro_rules! test2 {
                ($f:expr) => {
                    two(columns, out, |x, y| {
                        let f: fn($ty, $ty) -> bool = $f;
                        f(get(x), get(y)).into()
                    })
                };
            }
            match op {
                Op::Neg => map1!(|x| -x),
                Op::Abs => map1!(|x| x.abs()),
                Op::Sqrt => map1!(|x| x.sqrt()),
                Op::Trunc => map1!(|x| x.trunc()),
                Op::Add => map2!(|x, y| x + y),
                Op::Sub => map2!(|x, y| x - y),
                Op::Mul => map2!(|x, y| x * y),
                Op::Div => map2!(|x, y| x / y),
                Op::Min => map2!(|x, y| if y < x || y.is_nan() { y } else { x }),
                Op::Max => map2!(|x, y| if x < y || y.is_nan() { y } else { x }),
                Op::Eq => test2!(|x, y| x == y),
                Op::Ne => test2!(|x, y| x != y),
                Op::Lt => test2!(|x, y| x < y),
                Op::Le => test2!(|x, y| x <= y),
                Op::Gt => test2!(|x, y| x > y),
                Op::Ge => test2!(|x, y| x >= y),
                Op::Bitcast(_) => one(columns, out, |x| x),
                Op::Cast(DType::$other) => one(columns, out, |x| convert::$name(get(x))),
                Op::Fma => {
                    let rest = columns[0].iter().zip(columns[1]).zip(columns[2]);
                    out.extend(rest.map(|((x, y), z)| -> u64 {
                        get(*x).mul_add(get(*y), get(*z)).to_bits().into()
                    }));
                }
                _ => return false,
            }
            true
        }
    };
}

float_loops!(float32, f32, u32, F64);
float_loops!(float64, f64, u64, F32);

/// Conversions to the other float dtype.
mod convert {
    pub fn float32(x: f32) -> u64 {
        f64::from(x).to_bits()
    }

    pub fn float64(x: f64) -> u64 {
        (x as f32).to_bits().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expansion_of;

    #[test]
    fn lanes_agree_with_scalars() {
        for dtype in [DType::F32, DType::F64, DType::I16] {
            for &op in Op::ALL {
                let Some(expr) = expansion_of(op, dtype) else { continue };
                let points: Vec<u64> = (0..40u64)
                    .map(|k| k.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - 8 * dtype.size_bytes()))
                    .collect();
                let inputs = vec![points.clone(), points.iter().rev().copied().collect()];
                let values = Lanes::new(&expr).eval(&inputs).to_vec();
                for (lane, bits) in values.into_iter().enumerate() {
                    let scalars = [0, 1].map(|k| Scalar::from_bits(dtype, inputs[k][lane]));
                    let expected = expr.eval(&scalars, &[]);
                    let value = Scalar::from_bits(dtype, bits);
                    let both_nan = expected.to_f64().is_nan() && value.to_f64().is_nan();
                    assert!(both_nan || value == expected, "{} of {scalars:?}", op.name());
                }
            }
        }
    }
}
