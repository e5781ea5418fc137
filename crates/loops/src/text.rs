//! The text form of kernels.
//!
//! ```text
//! kernel @f32_gemm_2x4(%x: f32[20] input, %out: f32[24] output, %tmp: f32[8] scratch) {
//!   grid (m: 2, n: 2)
//!   for kb in 0..4 {
//!     if 0 <= m + kb < 5 {
//!       tile (r: 2, c: 4) {
//!         %0: f32 = 0.0
//!         %1: f32 = accumulator(%0)
//!         loop k in 0..5 unroll 4 {
//!           %2: f32 = load %x[10*m + 5*r + k] if 0 <= 4*n + c < 6 else 0.0
//!           %3: f32 = add(%1, %2)
//!           update %1 = %3
//!         }
//!         %5: f32 = fold_columns(max, %1)
//!         %6: i64 = index(floordiv(c, 2))
//!         %7: bool = test(0 <= r < 1)
//!         store %out[12*m; %6 * 3] = %5 if 0 <= c < 3 when %7
//!       }
//!     }
//!   }
//! }
//! ```
//!
//! A value is numbered by its instruction. Instructions before `loop` are the tile's `init`, those
//! after it its `finish`; a tile without `loop` is all `init`. An axis is declared where it is
//! first bound; where this order is not that of [`Kernel::axes`](crate::Kernel::axes), a line
//! `axes (…)` before the grid declares them in theirs.
//!
//! Reading what was written gives an equal kernel, provided that names are unique, consist of
//! letters, digits and `_`, and do not begin with a digit; other names are replaced in the text.

mod cursor;
mod parse;
mod print;

pub use parse::parse;

#[cfg(test)]
mod tests;
