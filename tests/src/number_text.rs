//! Tensors as one line of text, `f32[2, 2] 1 2 nan -inf`, and their comparison.

use anyhow::{Context, Result, bail, ensure};
use tracelift::ir::{Attribute, Shape, TensorType};
use tracelift_tensor::{DType, Scalar, Tensor};

/// A type, and the elements where there are any.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorText {
    /// The type.
    pub ty: TensorType,
    /// The elements; `None` where a tensor that has some is given by its type alone.
    pub tensor: Option<Tensor>,
}

/// Reads a type and elements in row-major order, such as `f32[2, 1] 1 2`.
///
/// # Errors
/// When the text is not of the form, or the number of elements is not that of the shape.
pub fn parse_tensor(text: &str) -> Result<TensorText> {
    let form = || format!("'{text}': expected a tensor such as \"f32[2, 1] 1 2\"");
    let (dtype, rest) = text.split_once('[').with_context(form)?;
    let (shape, elements) = rest.split_once(']').with_context(form)?;
    let dtype: DType = dtype.trim().parse().with_context(form)?;
    let shape = Shape::parse(&format!("[{shape}]")).with_context(form)?;
    let ty = TensorType { dtype, shape };
    let elements: Vec<Scalar> = elements
        .split_whitespace()
        .map(|element| Scalar::parse(dtype, element))
        .collect::<Result<_, _>>()
        .with_context(form)?;
    let Some(extents) = ty.shape.as_consts() else {
        ensure!(elements.is_empty(), "'{text}': a symbolic type has no elements");
        return Ok(TensorText { ty, tensor: None });
    };
    let count: usize = extents.iter().product();
    if elements.is_empty() && count > 0 {
        return Ok(TensorText { ty, tensor: None });
    }
    ensure!(elements.len() == count, "'{text}': {} elements of {count}", elements.len());
    let mut elements = elements.into_iter();
    let tensor = Tensor::from_fn(dtype, &extents, |_| elements.next().expect("counted"));
    Ok(TensorText { ty, tensor: Some(tensor) })
}

/// How far a float may lie from the one expected; within either bound is enough.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tolerance {
    /// Units in the last place.
    pub ulp: u64,
    /// Absolute distance.
    pub abs: f64,
}

/// Checks that a tensor is the one expected.
///
/// Types, integers, bools, NaN and infinities agree exactly; the sign of zero only where no
/// tolerance is given.
///
/// # Errors
/// Names the first element that differs.
pub fn compare(found: &Tensor, expected: &Tensor, tolerance: Tolerance) -> Result<()> {
    let types = [found, expected].map(|x| TensorType::new(x.dtype(), x.shape()));
    ensure!(types[0] == types[1], "type {}, expected {}", types[0], types[1]);
    for (k, (x, y)) in found.iter().zip(expected.iter()).enumerate() {
        if !is_close(x, y, tolerance) {
            bail!("element {k} is {x}, expected {y}\n   found {found:?}\nexpected {expected:?}");
        }
    }
    Ok(())
}

fn is_close(x: Scalar, y: Scalar, tolerance: Tolerance) -> bool {
    let (a, b) = (x.to_f64(), y.to_f64());
    if x == y || (x.dtype().is_float() && a.is_nan() && b.is_nan()) {
        return true;
    }
    if !x.dtype().is_float() || !a.is_finite() || !b.is_finite() {
        return false;
    }
    (tolerance.ulp > 0 && rank(x).abs_diff(rank(y)) <= tolerance.ulp.into())
        || (tolerance.abs > 0.0 && (a - b).abs() <= tolerance.abs)
}

/// The place of a float among all of its dtype; both zeros have one.
fn rank(x: Scalar) -> i128 {
    let sign = 1i128 << (8 * x.dtype().size_bytes() - 1);
    let bits = i128::from(x.to_bits());
    if bits >= sign { sign - bits } else { bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_read_and_compare() {
        let tensor = |text: &str| parse_tensor(text).unwrap().tensor.unwrap();
        let ulp = |ulp| Tolerance { ulp, abs: 0.0 };
        assert!(compare(&tensor("f32[2] nan 1"), &tensor("f32[2] nan 1"), ulp(0)).is_ok());
        assert!(compare(&tensor("f32[] 1"), &tensor("f32[] 1.0000001"), ulp(0)).is_err());
        assert!(compare(&tensor("f32[] 1"), &tensor("f32[] 1.0000001"), ulp(1)).is_ok());
        assert!(compare(&tensor("f32[] -0"), &tensor("f32[] 0"), ulp(0)).is_err());
        assert!(compare(&tensor("f32[] inf"), &tensor("f32[] 3.4028235e38"), ulp(4)).is_err());
        assert!(compare(&tensor("i8[1] 1"), &tensor("i8[1] 2"), ulp(4)).is_err());
        assert!(compare(&tensor("f32[0]"), &tensor("f32[0, 1]"), ulp(4)).is_err());
        assert_eq!(parse_tensor("f32[B, 2]").unwrap().tensor, None);
        assert!(parse_tensor("f32[2] 1").is_err());
        assert!(parse_tensor("u8[1] 256").is_err());
    }
}
