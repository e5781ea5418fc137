//! Comparison of results with expected ones.

use tracelift::tensor::{Scalar, Tensor};

/// How large an error may be; integers and bools have to be equal in any case.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Bound {
    /// At most this part of the largest expected magnitude of the output.
    OfLargest(f64),
    /// At most `atol + rtol · |expected|` for each element.
    Elementwise {
        /// The part relative to the expected element.
        rtol: f64,
        /// The absolute part.
        atol: f64,
    },
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bound::OfLargest(part) => write!(f, "max |error| ≤ {part:e} · max |expected|"),
            Bound::Elementwise { rtol, atol } => {
                write!(f, "|error| ≤ {atol:e} + {rtol:e} · |expected|")
            }
        }
    }
}

/// How one output differs from what was expected.
#[derive(Clone, PartialEq, Debug)]
pub struct Difference {
    /// What makes the two incomparable, such as their shapes.
    pub mismatch: Option<String>,
    /// The largest |error|; infinite where one of two elements is NaN.
    pub max_abs: f64,
    /// The largest |error| as a part of the largest finite |expected|.
    pub max_rel: f64,
    /// The index of the largest error with the elements found and expected there; `None` where
    /// there is no error.
    pub worst: Option<(Vec<usize>, Scalar, Scalar)>,
    /// The number of elements outside the bound.
    pub n_wrong: usize,
    /// The number of elements.
    pub count: usize,
}

impl Difference {
    /// Whether the output is as expected.
    pub fn is_within(&self) -> bool {
        self.mismatch.is_none() && self.n_wrong == 0
    }
}

/// Compares an output with what was expected.
pub fn compare(found: &Tensor, expected: &Tensor, bound: Bound) -> Difference {
    let ty = |t: &Tensor| format!("{}{:?}", t.dtype(), t.shape());
    if ty(found) != ty(expected) {
        return Difference {
            mismatch: Some(format!("found {}, expected {}", ty(found), ty(expected))),
            max_abs: f64::INFINITY,
            max_rel: f64::INFINITY,
            worst: None,
            n_wrong: expected.count(),
            count: expected.count(),
        };
    }
    let magnitudes = expected.iter().map(|e| e.to_f64().abs()).filter(|e| e.is_finite());
    let largest = magnitudes.fold(0.0, f64::max);
    let (mut max_abs, mut worst, mut n_wrong) = (0.0, None, 0);
    for (position, (f, e)) in found.iter().zip(expected.iter()).enumerate() {
        let error = error(f, e);
        n_wrong += usize::from(error > limit(e, largest, bound));
        if error > max_abs {
            (max_abs, worst) = (error, Some(position));
        }
    }
    let at = |k: usize| (unravel(found.shape(), k), found.get(k), expected.get(k));
    Difference {
        mismatch: None,
        max_abs,
        max_rel: if max_abs == 0.0 { 0.0 } else { max_abs / largest.max(1e-30) },
        worst: worst.map(at),
        n_wrong,
        count: found.count(),
    }
}

/// |found − expected|; 0 for two NaN or the same infinity, infinite where only one is.
fn error(found: Scalar, expected: Scalar) -> f64 {
    if found == expected {
        return 0.0;
    }
    let (found, expected) = (found.to_f64(), expected.to_f64());
    if found == expected || found.is_nan() && expected.is_nan() {
        // Unequal 64-bit integers may round to the same float.
        return if found.abs() >= 2f64.powi(53) && found.is_finite() { 1.0 } else { 0.0 };
    }
    let error = (found - expected).abs();
    if error.is_nan() { f64::INFINITY } else { error }
}

fn limit(expected: Scalar, largest: f64, bound: Bound) -> f64 {
    if !expected.dtype().is_float() {
        return 0.0;
    }
    let magnitude = expected.to_f64().abs();
    match bound {
        Bound::OfLargest(part) => part * largest,
        // A limit relative to an infinite or NaN element would allow everything.
        Bound::Elementwise { .. } if !magnitude.is_finite() => 0.0,
        Bound::Elementwise { rtol, atol } => atol + rtol * magnitude,
    }
}

/// The index of a row-major position.
pub fn unravel(shape: &[usize], mut position: usize) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (i, &extent) in index.iter_mut().zip(shape).rev() {
        (*i, position) = (position % extent, position / extent);
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGEST: Bound = Bound::OfLargest(1e-4);
    const EACH: Bound = Bound::Elementwise { rtol: 1e-3, atol: 1e-7 };

    fn floats(x: &[f32]) -> Tensor {
        Tensor::new(&[x.len()], x)
    }

    #[test]
    fn the_default_bound_is_relative_to_the_largest() {
        let expected = floats(&[100.0, 0.0]);
        assert!(compare(&floats(&[100.0, 0.009]), &expected, LARGEST).is_within());
        let far = compare(&floats(&[100.0, 0.011]), &expected, LARGEST);
        assert_eq!((far.n_wrong, far.is_within()), (1, false));
        assert_eq!(far.worst.as_ref().map(|w| w.0.clone()), Some(vec![1]));
        assert!(!compare(&floats(&[100.0, 0.009]), &expected, EACH).is_within());
    }

    #[test]
    fn nan_and_infinities_have_to_match() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let expected = floats(&[nan, inf, 1.0]);
        for bound in [LARGEST, EACH] {
            assert!(compare(&expected, &expected, bound).is_within());
            for wrong in [[0.0, inf, 1.0], [nan, -inf, 1.0], [nan, 1.0, 1.0], [nan, inf, nan]] {
                assert_eq!(compare(&floats(&wrong), &expected, bound).n_wrong, 1, "{wrong:?}");
            }
        }
    }

    #[test]
    fn signed_zeros_are_equal() {
        assert!(compare(&floats(&[-0.0]), &floats(&[0.0]), LARGEST).is_within());
    }

    #[test]
    fn integers_are_exact() {
        let ints = |x: &[i64]| Tensor::new(&[x.len()], x);
        assert!(!compare(&ints(&[50_001]), &ints(&[50_000]), LARGEST).is_within());
        let high = 1i64 << 60;
        assert!(!compare(&ints(&[high + 1]), &ints(&[high]), EACH).is_within());
    }

    #[test]
    fn other_types_and_shapes_are_mismatches() {
        let difference = compare(&floats(&[1.0]), &floats(&[1.0, 2.0]), LARGEST);
        assert_eq!(difference.mismatch.as_deref(), Some("found f32[1], expected f32[2]"));
        assert!(compare(&floats(&[]), &floats(&[]), LARGEST).is_within());
    }

    #[test]
    fn positions_unravel() {
        assert_eq!(unravel(&[2, 3, 4], 23), [1, 2, 3]);
        assert_eq!(unravel(&[], 0), Vec::<usize>::new());
    }
}
