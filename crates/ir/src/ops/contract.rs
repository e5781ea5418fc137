//! `contract`.

use tracelift_scalar::{ExprBuilder, IndexExpr, Op as ScalarOp};
use tracelift_tensor::{Dim, Scalar, Tensor, for_each_index};

use super::exactly;
use crate::{
    Access, Fold, FoldKind, Primitive, Structure, TensorType, TypeError, operator, require,
};

operator! {
    /// Sums products of two operands over shared axes, as an Einstein summation says.
    ///
    /// `spec` names the axes of both operands and of the result by letters, such as
    /// `"bij, bjk -> bik"`; letters absent from the result are summed over.
    ///
    /// (C1) `spec` is two lists of letters, `->`, and a list; no letter repeats within a list.
    /// (C2) Each list has one letter per axis.
    /// (C3) Axes of one letter have one extent.
    /// (C4) Every letter of the result occurs in an operand.
    /// (C5) The operands are numbers of one dtype.
    ///
    /// Result: the operands' dtype with the extents of the result's letters. Floats accumulate by
    /// fused multiply-add in the operands' dtype; an empty sum is 0.
    /// Gradient: each operand receives the contraction of the cotangent with the other.
    /// Source: ONNX `Einsum`, opset 12, two operands without diagonals.
    Contract = "contract" {
        /// The axes by letter.
        spec: String,
    }
}

/// The letters of a contraction: operand 0, operand 1, result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letters {
    /// The axes of each operand.
    pub operands: [Vec<char>; 2],
    /// The axes of the result.
    pub result: Vec<char>,
}

impl Letters {
    /// The letters summed over, in the order of their first occurrence.
    pub fn summed(&self) -> Vec<char> {
        let mut out: Vec<char> = Vec::new();
        for &c in self.operands.iter().flatten() {
            if !self.result.contains(&c) && !out.contains(&c) {
                out.push(c);
            }
        }
        out
    }
}

impl Contract {
    /// A contraction by its letters, such as `"ik, kj -> ij"`.
    pub fn new(spec: &str) -> Contract {
        Contract { spec: spec.to_string() }
    }

    /// The letters of `spec` (C1).
    ///
    /// # Errors
    /// When it is not of the form.
    pub fn letters(&self) -> Result<Letters, TypeError> {
        let malformed = || TypeError(format!("C1: spec {:?}, expected \"ij, jk -> ik\"", self.spec));
        let (operands, result) = self.spec.split_once("->").ok_or_else(malformed)?;
        let (lhs, rhs) = operands.split_once(',').ok_or_else(malformed)?;
        let list = |text: &str| -> Result<Vec<char>, TypeError> {
            let letters: Vec<char> = text.trim().chars().collect();
            let distinct = letters.iter().enumerate().all(|(k, c)| !letters[..k].contains(c));
            let alphabetic = letters.iter().all(|c| c.is_ascii_alphabetic());
            if distinct && alphabetic { Ok(letters) } else { Err(malformed()) }
        };
        Ok(Letters { operands: [list(lhs)?, list(rhs)?], result: list(result)? })
    }

    /// The dimension of a letter among the operands, the first one found.
    fn dim_of(letters: &Letters, operands: &[TensorType; 2], letter: char) -> Option<Dim> {
        (0..2).find_map(|k| {
            let axis = letters.operands[k].iter().position(|&c| c == letter)?;
            Some(operands[k].dim(axis).clone())
        })
    }
}

impl Primitive for Contract {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let operands: &[TensorType; 2] = exactly(operands)?;
        let letters = self.letters()?;
        for (ty, list) in operands.iter().zip(&letters.operands) {
            require!(ty.rank() == list.len(), "C2: {} letters for {ty}", list.len());
            for (axis, &letter) in list.iter().enumerate() {
                let dim = Contract::dim_of(&letters, operands, letter).unwrap_or_default();
                require!(*ty.dim(axis) == dim, "C3: '{letter}' is {dim} and {}", ty.dim(axis));
            }
        }
        let [a, b] = operands;
        let numbers = a.dtype == b.dtype && a.dtype != tracelift_tensor::DType::Bool;
        require!(numbers, "C5: dtypes {} and {}", a.dtype, b.dtype);
        let dims: Option<Vec<Dim>> =
            letters.result.iter().map(|&c| Contract::dim_of(&letters, operands, c)).collect();
        let dims = dims.ok_or_else(|| TypeError(format!("C4: spec {:?}", self.spec)))?;
        Ok(vec![a.with_shape(crate::Shape(dims))])
    }

    fn structure(&self, operands: &[TensorType]) -> Structure {
        let operands: &[TensorType; 2] = operands.try_into().expect("operands passed infer");
        let letters = self.letters().expect("operands passed infer");
        let summed = letters.summed();
        let axes: Vec<char> = letters.result.iter().chain(&summed).copied().collect();
        let reads = (0..2)
            .map(|operand| {
                let axis = |c: &char| axes.iter().position(|a| a == c).expect("C4");
                let list = letters.operands[operand].iter();
                Access { operand, index: list.map(|c| IndexExpr::axis(axis(c))).collect() }
            })
            .collect();
        let extent = |c: &char| Contract::dim_of(&letters, operands, *c)?.as_const();
        let domain: Option<Vec<usize>> = summed.iter().map(extent).collect();
        let mut b = ExprBuilder::default();
        let (x, y) = (b.input(0, operands[0].dtype), b.input(1, operands[0].dtype));
        let term = b.apply(ScalarOp::Mul, &[x, y]);
        Structure::Contract(Fold {
            domain: domain.expect("symbols are bound before lowering"),
            guards: Vec::new(),
            reads,
            term: b.finish(term),
            kind: FoldKind::Sum,
        })
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        let types: Vec<TensorType> =
            operands.iter().map(|x| TensorType::new(x.dtype(), x.shape())).collect();
        let shape = self.infer(&types).expect("operands passed infer")[0].extents();
        let Structure::Contract(fold) = self.structure(&types) else {
            unreachable!("a contraction has the structure of one")
        };
        vec![sum_of_products(operands, &shape, &fold)]
    }
}

/// `result[i] = Σ_r a(i, r) · b(i, r)`, `a` being 0 where a guard fails, by fused multiply-add for
/// floats.
pub(crate) fn sum_of_products(operands: &[&Tensor], shape: &[usize], fold: &Fold) -> Tensor {
    let dtype = operands[0].dtype();
    Tensor::from_fn(dtype, shape, |index| {
        let mut point = index.to_vec();
        let mut sum = Scalar::zero(dtype);
        for_each_index(&fold.domain, |r| {
            point.truncate(shape.len());
            point.extend_from_slice(r);
            let [a, b] = [0, 1].map(|k| {
                if k == 0 && !fold.guards.iter().all(|g| g.holds(&point)) {
                    return Scalar::zero(dtype);
                }
                let at: Vec<usize> =
                    fold.reads[k].index.iter().map(|e| e.eval(&point) as usize).collect();
                operands[k].at(&at)
            });
            sum = multiply_add(a, b, sum);
        });
        sum
    })
}

fn multiply_add(a: Scalar, b: Scalar, sum: Scalar) -> Scalar {
    match (a, b, sum) {
        (Scalar::F32(a), Scalar::F32(b), Scalar::F32(c)) => Scalar::F32(a.mul_add(b, c)),
        (Scalar::F64(a), Scalar::F64(b), Scalar::F64(c)) => Scalar::F64(a.mul_add(b, c)),
        _ => ScalarOp::Add.eval(&[ScalarOp::Mul.eval(&[a, b]), sum]),
    }
}

/// `n` letters for axes; X, Y and Z are left for the caller.
///
/// # Errors
/// When there are not that many letters.
pub(crate) fn letters(n: usize) -> Result<String, TypeError> {
    let names: String = ('a'..='z').chain('A'..='W').take(n).collect();
    if names.len() == n { Ok(names) } else { Err(TypeError(format!("C1: {n} axes to contract"))) }
}
