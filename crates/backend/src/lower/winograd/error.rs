//! How large the rounding errors of a layer are likely to be.
//!
//! A worst-case bound grows with the number of terms and exceeds what is seen by orders of
//! magnitude, so this is an estimate: inputs are taken to be independent with mean 0, and roundings
//! to be independent with variance `u²/3` relative to the number rounded, `u = 2⁻²⁴`. Then variances
//! add. What is rounded: the transformed input, twice as often as a row of B has terms; the
//! transformed filter, once, or, where
//! every run transforms it, as often as both passes have roundings; the sum over C channels, whose partial sums grow evenly, as often as
//! half of C; and the transformed output, twice as often as a row of A has terms. Each adds up to
//! `u²/3 · E` with
//!
//! `E = Σ_ξη q_ξ q_η Σ_c U²`, `q_ξ = max_i A_iξ² · Σ_j B_ξj²`
//!
//! where U is the layer's transformed filter. As `H = Gᵀ diag(q) G` is below the diagonal matrix of
//! the sums `d_i = Σ_j |H_ij|`, E is at most `Σ_ij d_i d_j Σ_c g_ij²`, which needs no transform.
//!
//! Source: Barabasz, Anderson, Soodhalter & Gregg 2020, "Error analysis and improving the accuracy
//! of Winograd convolution for deep neural networks"; Higham & Mary 2019, "A new approach to
//! probabilistic rounding error analysis".

use super::algorithm::{Algorithm, TAPS};

/// How many standard deviations count: one output in 5·10⁸ lies beyond.
const DEVIATIONS: f64 = 6.0;
/// The unit roundoff of f32.
const UNIT_ROUNDOFF: f64 = 5.960_464_477_539_063e-8;

/// The weights `d` of the taps.
pub(super) fn tap_weights(algorithm: Algorithm) -> [f64; TAPS] {
    let (a, b) = (algorithm.output_matrix(), algorithm.input_matrix());
    let mut h = [[0.0; TAPS]; TAPS];
    for (k, row) in algorithm.filter_matrix().iter().enumerate() {
        let gain = a.iter().map(|row| row[k] * row[k]).fold(0.0, f64::max);
        let q = gain * b[k].iter().map(|c| c * c).sum::<f64>();
        for i in 0..TAPS {
            for j in 0..TAPS {
                h[i][j] += q * row[i] * row[j];
            }
        }
    }
    h.map(|row| row.iter().map(|x| x.abs()).sum())
}

/// The error that outputs hardly ever exceed, relative to the root mean square of the inputs times
/// the norm of the filter (to the typical output, that is), for `E / ‖g‖²` and the number of
/// channels summed over.
pub(super) fn estimate(
    algorithm: Algorithm,
    transforms_at_run: bool,
    amplification: f64,
    n_channels: usize,
) -> f64 {
    let terms = |row: &Vec<f64>| row.iter().filter(|c| **c != 0.0).count();
    let most = |matrix: &[Vec<f64>]| matrix.iter().map(terms).max().unwrap_or(0) as f64;
    let n_input = 2.0 * most(&algorithm.input_matrix());
    let n_output = 2.0 * most(&algorithm.output_matrix());
    let n_sum = n_channels as f64 / 2.0 + 1.0;
    // A coefficient and a sum for each of three taps, in both passes.
    let n_filter = if transforms_at_run { 2.0 * 2.0 * TAPS as f64 } else { 1.0 };
    let variance = (n_input + n_sum + n_output + n_filter) / 3.0;
    DEVIATIONS * UNIT_ROUNDOFF * (variance * amplification).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_tiles_and_more_channels_cost_accuracy() {
        let small = estimate(Algorithm::F2, false, 4.0, 64);
        assert!(small < estimate(Algorithm::F2, false, 4.0, 512));
        assert!(small < estimate(Algorithm::F2, true, 4.0, 64));
        assert_eq!(tap_weights(Algorithm::F2), [4.0, 1.0, 4.0]);
        assert!(tap_weights(Algorithm::F4)[0] > 16.0);
        assert!((1e-7..1e-5).contains(&small), "{small}");
    }
}
