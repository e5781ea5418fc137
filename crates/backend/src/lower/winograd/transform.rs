//! The one-dimensional transforms as instructions of a tile program.

use tracelift_loops::ValueId;
use tracelift_scalar::Op;
use tracelift_tensor::Scalar;

use super::algorithm::{Algorithm, TAPS};
use crate::lower::tile_builder::TileBuilder;

/// A sum under construction: nothing, or a value.
type Sum = Option<ValueId>;

impl Algorithm {
    /// The values that the products take from these inputs; missing inputs are 0.
    ///
    /// The rows of B for p and −p agree in the coefficients of every other input and differ in sign
    /// in the rest, so that both come from two sums.
    pub(super) fn transform_input(self, b: &mut TileBuilder<'_, '_>, x: &[Sum]) -> Vec<ValueId> {
        let matrix = self.input_matrix();
        let points = self.finite_points();
        let whole = |b: &mut TileBuilder<'_, '_>, row: &[f64]| {
            let terms = row.iter().zip(x).filter_map(|(c, x)| x.map(|x| (*c, x)));
            combine(b, &terms.collect::<Vec<_>>())
        };
        let mut out = Vec::new();
        let first = whole(b, &matrix[0]);
        out.push(or_zero(b, first));
        for k in (1..points.len()).step_by(2) {
            let point = points[k];
            let part = |b: &mut TileBuilder<'_, '_>, sign: f64, scale: f64| {
                let row = matrix[k].iter().zip(&matrix[k + 1]).zip(x);
                let terms = row.filter_map(|((plus, minus), x)| {
                    x.map(|x| ((plus + sign * minus) / 2.0 / scale, x))
                });
                combine(b, &terms.collect::<Vec<_>>())
            };
            let even = part(b, 1.0, 1.0);
            let odd = part(b, -1.0, point);
            for sign in [point, -point] {
                let sum = add_product(b, even, sign, odd);
                out.push(or_zero(b, sum));
            }
        }
        let last = whole(b, &matrix[points.len()]);
        out.push(or_zero(b, last));
        out
    }

    /// The factors of the products from three taps.
    pub(super) fn transform_filter(
        self,
        b: &mut TileBuilder<'_, '_>,
        [first, middle, last]: [ValueId; TAPS],
    ) -> Vec<ValueId> {
        let matrix = self.filter_matrix();
        let mut out = Vec::with_capacity(matrix.len());
        let zero = combine(b, &[(matrix[0][0], first)]);
        out.push(or_zero(b, zero));
        // The rows for p and −p differ in the sign of the middle tap's coefficient.
        for row in matrix[1..matrix.len() - 1].iter().step_by(2) {
            let even = combine(b, &[(row[0], first), (row[2], last)]);
            for sign in [1.0, -1.0] {
                let sum = add_product(b, even, sign * row[1], Some(middle));
                out.push(or_zero(b, sum));
            }
        }
        out.push(last);
        out
    }

    /// The first `n` outputs from the products.
    pub(super) fn transform_output(
        self,
        b: &mut TileBuilder<'_, '_>,
        products: &[ValueId],
        n: usize,
    ) -> Vec<ValueId> {
        let points = self.finite_points();
        let pairs: Vec<(f64, ValueId, ValueId)> = (1..points.len())
            .step_by(2)
            .map(|k| {
                let sum = b.apply(Op::Add, &[products[k], products[k + 1]]);
                let difference = b.apply(Op::Sub, &[products[k], products[k + 1]]);
                (points[k], sum, difference)
            })
            .collect();
        let output = |b: &mut TileBuilder<'_, '_>, i: usize| {
            let powers = pairs.iter().map(|(point, sum, difference)| {
                (point.powi(i as i32), if i.is_multiple_of(2) { *sum } else { *difference })
            });
            let zero = (i == 0).then_some((1.0, products[0]));
            let infinity = (i + 1 == self.n_outputs()).then_some((1.0, products[points.len()]));
            let terms: Vec<_> = zero.into_iter().chain(infinity).chain(powers).collect();
            let sum = combine(b, &terms);
            or_zero(b, sum)
        };
        (0..n).map(|i| output(b, i)).collect()
    }
}

/// `Σ c · x`, terms with coefficient 0 left out; terms with coefficient 1 come first.
fn combine(b: &mut TileBuilder<'_, '_>, terms: &[(f64, ValueId)]) -> Sum {
    let mut terms: Vec<(f64, ValueId)> = terms.iter().copied().filter(|t| t.0 != 0.0).collect();
    terms.sort_by_key(|(c, _)| *c != 1.0);
    terms.into_iter().fold(None, |sum, (c, x)| add_product(b, sum, c, Some(x)))
}

/// `sum + c · x`.
fn add_product(b: &mut TileBuilder<'_, '_>, sum: Sum, c: f64, x: Sum) -> Sum {
    let Some(x) = x else { return sum };
    let value = match sum {
        None if c == 1.0 => x,
        None => {
            let c = b.constant(Scalar::F32(c as f32));
            b.apply(Op::Mul, &[c, x])
        }
        Some(sum) if c == 1.0 => b.apply(Op::Add, &[sum, x]),
        Some(sum) if c == -1.0 => b.apply(Op::Sub, &[sum, x]),
        Some(sum) => {
            let c = b.constant(Scalar::F32(c as f32));
            b.apply(Op::Fma, &[c, x, sum])
        }
    };
    Some(value)
}

fn or_zero(b: &mut TileBuilder<'_, '_>, sum: Sum) -> ValueId {
    sum.unwrap_or_else(|| b.constant(Scalar::F32(0.0)))
}
