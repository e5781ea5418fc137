//! Comparison of results with the published ones.

use tracelift_tensor::{Scalar, Tensor};

/// The suite's own bounds: relative, then absolute.
const TOLERANCE: (f64, f64) = (1e-3, 1e-7);

/// Describes the first difference, where there is one.
pub fn first_difference(found: &[Tensor], expected: &[Tensor]) -> Option<String> {
    if found.len() != expected.len() {
        return Some(format!("{} results, expected {}", found.len(), expected.len()));
    }
    found.iter().zip(expected).enumerate().find_map(|(k, (found, expected))| {
        difference(found, expected).map(|what| format!("result {k}: {what}"))
    })
}

fn difference(found: &Tensor, expected: &Tensor) -> Option<String> {
    if (found.dtype(), found.shape()) != (expected.dtype(), expected.shape()) {
        return Some(format!(
            "{}{:?}, expected {}{:?}",
            found.dtype(),
            found.shape(),
            expected.dtype(),
            expected.shape()
        ));
    }
    let n_wrong = found.iter().zip(expected.iter()).filter(|(f, e)| !agrees(*f, *e)).count();
    let mut pairs = found.iter().zip(expected.iter()).enumerate();
    let (at, (f, e)) = pairs.find(|(_, (f, e))| !agrees(*f, *e))?;
    Some(format!(
        "{n_wrong} of {} elements differ, number {at} is {f}, expected {e}",
        found.count()
    ))
}

/// Integers and bools are equal; floats are close, both NaN, or the same infinity.
fn agrees(found: Scalar, expected: Scalar) -> bool {
    if !expected.dtype().is_float() {
        return found == expected;
    }
    let (found, expected) = (found.to_f64(), expected.to_f64());
    let (relative, absolute) = TOLERANCE;
    found == expected
        || found.is_nan() && expected.is_nan()
        || (found - expected).abs() <= absolute + relative * expected.abs() && expected.is_finite()
}
