//! Types of inputs and lists of extents as one writes them.

use tracelift_ir::{Shape, TensorType};
use tracelift_tensor::{DType, Dim};

/// A list of extents: an array, a slice, a `Vec`, a [`Shape`], or a tuple that mixes numbers,
/// symbols such as `"B"`, and [`Dim`]s.
pub trait Dims {
    /// The extents in order.
    fn dims(self) -> Vec<Dim>;
}

impl<D: Into<Dim>, const N: usize> Dims for [D; N] {
    fn dims(self) -> Vec<Dim> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<D: Into<Dim>> Dims for Vec<D> {
    fn dims(self) -> Vec<Dim> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<D: Into<Dim> + Clone> Dims for &[D] {
    fn dims(self) -> Vec<Dim> {
        self.iter().cloned().map(Into::into).collect()
    }
}

impl Dims for Shape {
    fn dims(self) -> Vec<Dim> {
        self.0
    }
}

impl Dims for &Shape {
    fn dims(self) -> Vec<Dim> {
        self.0.clone()
    }
}

macro_rules! dims_of_tuples {
    ($(($($name:ident $field:tt),*))*) => { $(
        impl<$($name: Into<Dim>),*> Dims for ($($name,)*) {
            fn dims(self) -> Vec<Dim> {
                vec![$(self.$field.into()),*]
            }
        }
    )* };
}
dims_of_tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

/// The type of a tensor by dtype and extents, such as `spec(DType::F32, ("B", 3))`.
pub fn spec(dtype: DType, dims: impl Dims) -> TensorType {
    TensorType { dtype, shape: Shape(dims.dims()) }
}

macro_rules! specs {
    ($($(#[$doc:meta])* $name:ident = $dtype:ident;)*) => { $(
        $(#[$doc])*
        pub fn $name(dims: impl Dims) -> TensorType {
            spec(DType::$dtype, dims)
        }
    )* };
}

specs! {
    /// The type of an `f32` tensor, such as `f32([1, 3, 224, 224])` or `f32(("B", 3))`.
    f32 = F32;
    /// The type of an `f64` tensor.
    f64 = F64;
    /// The type of an `i64` tensor.
    i64 = I64;
    /// The type of an `i32` tensor.
    i32 = I32;
    /// The type of a `u8` tensor.
    u8 = U8;
    /// The type of a `bool` tensor.
    bool = Bool;
}
