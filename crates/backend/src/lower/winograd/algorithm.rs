//! The algorithms F(m, 3): m outputs of a filter with three taps from m + 2 products.
//!
//! `y = A (G g · B d)` with `d` the m + 2 inputs and `g` the three taps: polynomial products by
//! interpolation at 0, at pairs of points ±p, and at infinity. The two-dimensional algorithm applies
//! it to rows and columns.
//!
//! Source: Lavin & Gray 2016, arXiv:1509.09308.

/// The number of taps of the filter.
pub(super) const TAPS: usize = 3;

/// A one-dimensional algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Algorithm {
    /// Two outputs from four products, by the points ±1.
    F2,
    /// Four outputs from six products, by the points ±11/16 and ±23/16.
    ///
    /// Among pairs of sixteenths these make the estimated error least; ±1 and ±2 more than double
    /// it. All coefficients are exact in f32.
    F4,
}

impl Algorithm {
    /// The points other than 0 and infinity, without their negatives.
    fn points(self) -> &'static [f64] {
        match self {
            Algorithm::F2 => &[1.0],
            Algorithm::F4 => &[11.0 / 16.0, 23.0 / 16.0],
        }
    }

    /// The number of outputs, m.
    pub(super) fn n_outputs(self) -> usize {
        2 * self.points().len()
    }

    /// The number of inputs, and of products.
    pub(super) fn n_products(self) -> usize {
        self.n_outputs() + TAPS - 1
    }

    /// The name used in dumps.
    pub(super) fn name(self) -> &'static str {
        match self {
            Algorithm::F2 => "F(2x2,3x3)",
            Algorithm::F4 => "F(4x4,3x3)",
        }
    }

    /// Every finite point; the products are in this order, infinity last.
    pub(super) fn finite_points(self) -> Vec<f64> {
        let pairs = self.points().iter().flat_map(|p| [*p, -p]);
        std::iter::once(0.0).chain(pairs).collect()
    }

    /// B: one row of `n_products` coefficients for each product.
    ///
    /// The row of a finite point is the product of `x − q` over the other points q, that of infinity
    /// the product over all.
    pub(super) fn input_matrix(self) -> Vec<Vec<f64>> {
        let points = self.finite_points();
        let without = |skipped: Option<usize>| {
            let others = (0..points.len()).filter(|k| Some(*k) != skipped).map(|k| points[k]);
            let mut row = others.fold(vec![1.0], |p, q| times_linear(&p, q));
            row.resize(self.n_products(), 0.0);
            row
        };
        (0..points.len()).map(Some).chain([None]).map(without).collect()
    }

    /// G: one row of three coefficients for each product.
    pub(super) fn filter_matrix(self) -> Vec<[f64; TAPS]> {
        let points = self.finite_points();
        let row = |(k, p): (usize, &f64)| {
            let others = points.iter().enumerate().filter(|(j, _)| *j != k);
            let scale = 1.0 / others.map(|(_, q)| p - q).product::<f64>();
            [scale, p * scale, p * p * scale]
        };
        points.iter().enumerate().map(row).chain([[0.0, 0.0, 1.0]]).collect()
    }

    /// A: one row of `n_products` coefficients for each output.
    pub(super) fn output_matrix(self) -> Vec<Vec<f64>> {
        let points = self.finite_points();
        let m = self.n_outputs();
        let row = |i: usize| {
            let powers = points.iter().map(move |p| p.powi(i as i32));
            powers.chain([if i + 1 == m { 1.0 } else { 0.0 }]).collect()
        };
        (0..m).map(row).collect()
    }
}

/// The coefficients of `p(x) · (x − q)`, constant first.
fn times_linear(p: &[f64], q: f64) -> Vec<f64> {
    let mut out = vec![0.0; p.len() + 1];
    for (k, c) in p.iter().enumerate() {
        out[k + 1] += c;
        out[k] -= q * c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(matrix: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
        matrix.iter().map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
    }

    #[test]
    fn products_at_the_points_give_the_filtered_signal() {
        for algorithm in [Algorithm::F2, Algorithm::F4] {
            let d: Vec<f64> = (0..algorithm.n_products()).map(|k| (k * k) as f64 - 3.5).collect();
            let g = [0.25, -2.0, 1.5];
            let filter: Vec<Vec<f64>> =
                algorithm.filter_matrix().iter().map(|r| r.to_vec()).collect();
            let products: Vec<f64> = apply(&filter, &g)
                .iter()
                .zip(apply(&algorithm.input_matrix(), &d))
                .map(|(u, v)| u * v)
                .collect();
            let found = apply(&algorithm.output_matrix(), &products);
            for (i, y) in found.iter().enumerate() {
                let expected: f64 = (0..TAPS).map(|k| d[i + k] * g[k]).sum();
                assert!((y - expected).abs() < 1e-12 * 40.0, "{algorithm:?} {i}: {y} {expected}");
            }
        }
    }

    #[test]
    fn coefficients_of_transforms_are_exact_in_single_precision() {
        for algorithm in [Algorithm::F2, Algorithm::F4] {
            let matrices = [algorithm.input_matrix(), algorithm.output_matrix()];
            for c in matrices.iter().flatten().flatten() {
                assert_eq!(f64::from(*c as f32), *c, "{algorithm:?}");
            }
        }
    }
}
