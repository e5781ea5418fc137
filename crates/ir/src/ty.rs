//! Types of values: a dtype and a shape of symbolic dimensions.

use std::fmt;

use serde::{Deserialize, Serialize};
use tracelift_tensor::{Bindings, DType, Dim};

/// The extents of a tensor, outermost first.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shape(pub Vec<Dim>);

impl Shape {
    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The extents, where every one is known.
    pub fn as_consts(&self) -> Option<Vec<usize>> {
        self.0.iter().map(Dim::as_const).collect()
    }

    /// The number of elements.
    pub fn count(&self) -> Dim {
        self.0.iter().cloned().product()
    }

    /// Replaces bound symbols by their values.
    pub fn bind(&self, bindings: &Bindings) -> Shape {
        Shape(self.0.iter().map(|d| d.bind(bindings)).collect())
    }
}

impl std::ops::Deref for Shape {
    type Target = [Dim];
    fn deref(&self) -> &[Dim] {
        &self.0
    }
}

impl<D: Into<Dim>> FromIterator<D> for Shape {
    fn from_iter<I: IntoIterator<Item = D>>(iter: I) -> Shape {
        Shape(iter.into_iter().map(Into::into).collect())
    }
}

impl<D: Into<Dim> + Clone> From<&[D]> for Shape {
    fn from(dims: &[D]) -> Shape {
        dims.iter().cloned().collect()
    }
}

impl<D: Into<Dim> + Clone, const N: usize> From<[D; N]> for Shape {
    fn from(dims: [D; N]) -> Shape {
        dims.into_iter().collect()
    }
}

impl fmt::Display for Shape {
    /// Writes `[B, 3, 224]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.0.iter().map(Dim::to_string).collect();
        write!(f, "[{}]", dims.join(", "))
    }
}

/// The type of a value.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct TensorType {
    /// The element type.
    pub dtype: DType,
    /// The extents.
    pub shape: Shape,
}

impl TensorType {
    /// A type from its parts.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> TensorType {
        TensorType { dtype, shape: shape.into() }
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.shape.rank()
    }

    /// The extent along an axis.
    ///
    /// # Panics
    /// When the axis lies outside the rank.
    pub fn dim(&self, axis: usize) -> &Dim {
        &self.shape[axis]
    }

    /// This type with one extent replaced.
    pub fn with_dim(&self, axis: usize, dim: impl Into<Dim>) -> TensorType {
        let mut out = self.clone();
        out.shape.0[axis] = dim.into();
        out
    }

    /// This type with another dtype.
    pub fn with_dtype(&self, dtype: DType) -> TensorType {
        TensorType { dtype, shape: self.shape.clone() }
    }

    /// This type with another shape.
    pub fn with_shape(&self, shape: impl Into<Shape>) -> TensorType {
        TensorType { dtype: self.dtype, shape: shape.into() }
    }

    /// The extents of a type without symbols.
    ///
    /// # Panics
    /// When a symbol is left.
    pub fn extents(&self) -> Vec<usize> {
        self.shape.as_consts().expect("symbols are bound before lowering and evaluation")
    }
}

impl fmt::Display for TensorType {
    /// Writes `f32[B, 3]`; a scalar is `f32[]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}
