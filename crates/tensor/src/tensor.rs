//! Host tensors: a dtype, a shape and little-endian bytes in row-major order.

use std::fmt;

use bytes::Bytes;

use crate::{DType, Element, Scalar};

/// A dense row-major array; cloning shares the bytes.
///
/// The bytes may lie in a mapped file, so they need not be aligned for the element type.
#[derive(Clone, PartialEq, Eq)]
pub struct Tensor {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Bytes,
}

/// A shape and a number of bytes that do not belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{dtype}{shape:?} needs {expected}, found {found} bytes")]
pub struct SizeMismatch {
    /// The element type.
    pub dtype: DType,
    /// The shape asked for.
    pub shape: Vec<usize>,
    /// The bytes needed, as text, because the product may not fit a machine word.
    pub expected: String,
    /// The bytes found.
    pub found: usize,
}

/// The number of elements of a shape, or `None` where it does not fit `usize`.
pub fn checked_count(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

impl Tensor {
    /// Wraps row-major little-endian bytes; bytes of a bool tensor other than 0 and 1 become 1.
    ///
    /// # Errors
    /// When the number of bytes is not that of the shape.
    pub fn from_bytes(dtype: DType, shape: &[usize], bytes: Bytes) -> Result<Tensor, SizeMismatch> {
        let expected = checked_count(shape).and_then(|n| n.checked_mul(dtype.size_bytes()));
        if expected != Some(bytes.len()) {
            return Err(SizeMismatch {
                dtype,
                shape: shape.to_vec(),
                expected: expected.map_or("too many bytes to count".into(), |n| n.to_string()),
                found: bytes.len(),
            });
        }
        let bytes = if dtype == DType::Bool && bytes.iter().any(|&b| b > 1) {
            bytes.iter().map(|&b| u8::from(b != 0)).collect()
        } else {
            bytes
        };
        Ok(Tensor { dtype, shape: shape.to_vec(), bytes })
    }

    /// A tensor of the given elements in row-major order.
    ///
    /// # Panics
    /// When `data` has another length than the shape.
    pub fn new<T: Element>(shape: &[usize], data: &[T]) -> Tensor {
        assert_eq!(checked_count(shape), Some(data.len()), "data fills the shape {shape:?}");
        let size = T::DTYPE.size_bytes();
        let mut bytes = vec![0u8; data.len() * size];
        for (chunk, &x) in bytes.chunks_exact_mut(size).zip(data) {
            x.write(chunk);
        }
        Tensor { dtype: T::DTYPE, shape: shape.to_vec(), bytes: bytes.into() }
    }

    /// A tensor without axes.
    pub fn scalar(value: Scalar) -> Tensor {
        Tensor::splat(value, &[])
    }

    /// A tensor whose elements are all `value`.
    ///
    /// # Panics
    /// When the shape has more elements than memory can hold.
    pub fn splat(value: Scalar, shape: &[usize]) -> Tensor {
        let count = checked_count(shape).expect("element count fits a machine word");
        let size = value.dtype().size_bytes();
        let bytes = value.to_bits().to_le_bytes()[..size].repeat(count);
        Tensor { dtype: value.dtype(), shape: shape.to_vec(), bytes: bytes.into() }
    }

    /// A tensor whose element at each index is given by `f`, called in row-major order.
    ///
    /// # Panics
    /// When `f` returns a scalar of another dtype.
    pub fn from_fn(dtype: DType, shape: &[usize], mut f: impl FnMut(&[usize]) -> Scalar) -> Tensor {
        let count = checked_count(shape).expect("element count fits a machine word");
        let size = dtype.size_bytes();
        let mut bytes = Vec::with_capacity(count * size);
        for_each_index(shape, |index| {
            let scalar = f(index);
            assert_eq!(scalar.dtype(), dtype, "element has the tensor's dtype");
            bytes.extend_from_slice(&scalar.to_bits().to_le_bytes()[..size]);
        });
        Tensor { dtype, shape: shape.to_vec(), bytes: bytes.into() }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extents.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The number of elements.
    pub fn count(&self) -> usize {
        self.bytes.len() / self.dtype.size_bytes()
    }

    /// The elements as row-major little-endian bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The elements in row-major order; a dtype other than `T`'s is cast.
    pub fn to_vec<T: Element>(&self) -> Vec<T> {
        if self.dtype == T::DTYPE {
            self.bytes.chunks_exact(self.dtype.size_bytes()).map(T::read).collect()
        } else {
            self.iter().map(T::from_scalar).collect()
        }
    }

    /// The elements in row-major order.
    pub fn iter(&self) -> impl Iterator<Item = Scalar> + '_ {
        (0..self.count()).map(|k| self.get(k))
    }

    /// The element at a row-major position.
    ///
    /// # Panics
    /// When the position lies outside.
    pub fn get(&self, position: usize) -> Scalar {
        let size = self.dtype.size_bytes();
        let mut bits = [0u8; 8];
        bits[..size].copy_from_slice(&self.bytes[position * size..(position + 1) * size]);
        Scalar::from_bits(self.dtype, u64::from_le_bytes(bits))
    }

    /// The element at an index.
    ///
    /// # Panics
    /// When the index lies outside.
    pub fn at(&self, index: &[usize]) -> Scalar {
        self.get(linear(&self.shape, index))
    }

    /// The same elements under another shape of equal count.
    ///
    /// # Panics
    /// When the counts differ.
    pub fn reshaped(&self, shape: &[usize]) -> Tensor {
        assert_eq!(checked_count(shape), Some(self.count()), "a reshape keeps the element count");
        Tensor { dtype: self.dtype, shape: shape.to_vec(), bytes: self.bytes.clone() }
    }

    /// Every element cast to another dtype.
    pub fn cast(&self, dtype: DType) -> Tensor {
        if dtype == self.dtype {
            return self.clone();
        }
        let size = dtype.size_bytes();
        let mut bytes = Vec::with_capacity(self.count() * size);
        for x in self.iter() {
            bytes.extend_from_slice(&x.cast(dtype).to_bits().to_le_bytes()[..size]);
        }
        Tensor { dtype, shape: self.shape.clone(), bytes: bytes.into() }
    }

    /// The value of every element, where they are all equal in bits and there is at least one.
    pub fn as_splat(&self) -> Option<Scalar> {
        let size = self.dtype.size_bytes();
        let first = self.bytes.get(..size)?;
        self.bytes.chunks_exact(size).all(|x| x == first).then(|| self.get(0))
    }
}

/// The row-major position of an index.
///
/// # Panics
/// When the index lies outside the shape.
pub fn linear(shape: &[usize], index: &[usize]) -> usize {
    assert_eq!(shape.len(), index.len(), "the index has one entry per axis");
    shape.iter().zip(index).fold(0, |at, (&extent, &i)| {
        assert!(i < extent, "index {index:?} lies inside shape {shape:?}");
        at * extent + i
    })
}

/// Calls `f` with every index of a shape in row-major order.
pub fn for_each_index(shape: &[usize], mut f: impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0usize; shape.len()];
    loop {
        f(&index);
        let Some(axis) = (0..shape.len()).rev().find(|&a| index[a] + 1 < shape[a]) else {
            return;
        };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.shape)?;
        let shown: Vec<String> = self.iter().take(32).map(|x| x.to_string()).collect();
        write!(f, " {}{}", shown.join(" "), if self.count() > 32 { " …" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_row_major() {
        let x = Tensor::new(&[2, 3], &[1i32, 2, 3, 4, 5, 6]);
        assert_eq!(x.at(&[1, 0]), Scalar::Signed(DType::I32, 4));
        assert_eq!(x.cast(DType::F64).to_vec::<f64>()[5], 6.0);
    }

    #[test]
    fn wrong_byte_counts_are_refused() {
        let error = Tensor::from_bytes(DType::F32, &[1 << 62, 16], Bytes::new()).unwrap_err();
        assert!(error.to_string().contains("too many"), "{error}");
        assert!(Tensor::from_bytes(DType::F32, &[2], Bytes::from_static(&[0; 4])).is_err());
        assert!(Tensor::from_bytes(DType::F32, &[1 << 62, 0], Bytes::new()).is_ok());
    }

    #[test]
    fn every_index_is_visited_in_order() {
        let mut seen = Vec::new();
        for_each_index(&[2, 2], |i| seen.push(i.to_vec()));
        assert_eq!(seen, [[0, 0], [0, 1], [1, 0], [1, 1]]);
        for_each_index(&[2, 0], |_| unreachable!("an empty shape has no index"));
        let mut calls = 0;
        for_each_index(&[], |_| calls += 1);
        assert_eq!(calls, 1);
    }
}
