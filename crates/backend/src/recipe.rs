//! How constants are made: lowering says what a kernel wants to read, packing makes it.
//!
//! In: the constants that steps read, as [`Recipe`]s.  Out: their bytes.
//! Not here: the choice of a layout (`lower`), the place in a plan (`program`).

mod make;
mod views;

use std::{fmt, sync::Arc};

use tracelift_tensor::{DType, Scalar, Tensor};

pub use make::make_constants;
pub use views::StridedCopy;

/// How the bytes of a constant are made; cloning shares the source.
#[derive(Clone, PartialEq, Debug)]
pub enum Recipe {
    /// They are those of a tensor.
    Stored(Tensor),
    /// A number of elements are this.
    Splat(Scalar, usize),
    /// They are made from those of another recipe.
    Packed(Arc<Recipe>, Pack),
}

/// How the bytes of one constant become those of another.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Pack {
    /// Strided copies one after another.
    Copies(Vec<StridedCopy>),
    /// A function.
    Computed(Transform),
}

/// A function from the elements of a constant to those of another.
#[derive(Clone)]
pub struct Transform {
    /// What the function does; transforms of equal keys, dtypes and sizes are the same.
    pub key: String,
    /// The dtype of the result.
    pub dtype: DType,
    /// The number of elements of the result.
    pub len: usize,
    /// Reads the source's little-endian elements, which may lie at any address, and writes all of
    /// the result's, which is zero at first and begins at a multiple of 64 bytes.
    pub function: Arc<Fill>,
}

/// Reads the elements of one constant and writes those of another.
pub type Fill = dyn Fn(&[u8], &mut [u8]) + Send + Sync;

impl Transform {
    fn identity(&self) -> (&str, DType, usize) {
        (&self.key, self.dtype, self.len)
    }
}

impl PartialEq for Transform {
    fn eq(&self, other: &Transform) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Transform {}

impl std::hash::Hash for Transform {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}[{}]", self.key, self.dtype, self.len)
    }
}

impl Recipe {
    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        match self {
            Recipe::Stored(tensor) => tensor.dtype(),
            Recipe::Splat(scalar, _) => scalar.dtype(),
            Recipe::Packed(source, Pack::Copies(_)) => source.dtype(),
            Recipe::Packed(_, Pack::Computed(transform)) => transform.dtype,
        }
    }

    /// The number of elements.
    pub fn count(&self) -> usize {
        match self {
            Recipe::Stored(tensor) => tensor.count(),
            Recipe::Splat(_, count) => *count,
            Recipe::Packed(_, Pack::Copies(copies)) => copies.iter().map(StridedCopy::count).sum(),
            Recipe::Packed(_, Pack::Computed(transform)) => transform.len,
        }
    }

    /// The size in bytes.
    pub fn size_bytes(&self) -> usize {
        self.count() * self.dtype().size_bytes()
    }

    /// The elements, made now.
    pub fn make(&self) -> Tensor {
        make_constants(vec![self.clone()], 1).pop().expect("one constant per recipe")
    }
}
