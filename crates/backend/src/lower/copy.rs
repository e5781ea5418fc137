//! Weights packed at compile time: strided copies of constants.

use tracelift_tensor::{Bytes, DType, Tensor};

/// A strided view of a constant, copied to row-major order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct StridedCopy {
    /// The first element.
    pub(super) base: i64,
    /// Extents and source strides in elements, outermost first.
    pub(super) dims: Vec<(usize, i64)>,
}

impl StridedCopy {
    /// Appends the elements of the view to `out`.
    ///
    /// # Panics
    /// When the view leaves the source; positions come from verified index maps.
    pub(super) fn append(&self, source: &[u8], size: usize, out: &mut Vec<u8>) {
        copy(source, size, self.base, &self.dims, out);
    }
}

fn copy(source: &[u8], size: usize, base: i64, dims: &[(usize, i64)], out: &mut Vec<u8>) {
    let at = |position: i64| {
        usize::try_from(position).expect("positions of verified reads are not negative") * size
    };
    match dims {
        [] => out.extend_from_slice(&source[at(base)..at(base) + size]),
        [(n, 1)] => out.extend_from_slice(&source[at(base)..at(base) + n * size]),
        [(n, stride)] => {
            for k in 0..*n as i64 {
                let from = at(base + k * stride);
                out.extend_from_slice(&source[from..from + size]);
            }
        }
        [(n, stride), rest @ ..] => {
            for k in 0..*n as i64 {
                copy(source, size, base + k * stride, rest, out);
            }
        }
    }
}

/// The copies one after another as a flat tensor.
pub(super) fn pack(source: &Tensor, copies: &[StridedCopy]) -> Tensor {
    let dtype: DType = source.dtype();
    let size = dtype.size_bytes();
    let count: usize =
        copies.iter().map(|c| c.dims.iter().map(|(n, _)| n).product::<usize>()).sum();
    let mut out = Vec::with_capacity(count * size);
    copies.iter().for_each(|c| c.append(source.bytes(), size, &mut out));
    Tensor::from_bytes(dtype, &[count], Bytes::from(out)).expect("the copies fill the shape")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transpose_is_a_strided_copy() {
        let x = Tensor::new(&[2, 3], &[1u8, 2, 3, 4, 5, 6]);
        let copy = StridedCopy { base: 0, dims: vec![(3, 1), (2, 3)] };
        assert_eq!(pack(&x, &[copy]).to_vec::<u8>(), [1, 4, 2, 5, 3, 6]);
    }
}
