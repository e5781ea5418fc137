//! Filters as the products want them, and how much they amplify errors.

use super::{
    algorithm::{Algorithm, TAPS},
    error,
};

/// The filters that are transformed at a time.
const BLOCK: usize = 16;

/// Where the taps of a layer's filters lie, in elements.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Filters {
    /// The first element.
    pub(super) base: i64,
    /// The distances between rows, columns, input channels and output channels.
    pub(super) strides: [i64; 4],
    /// The number of input channels.
    pub(super) n_in: usize,
    /// The number of output channels.
    pub(super) n_out: usize,
}

/// One number for each filter of a block.
type Lane = [f64; BLOCK];

impl Filters {
    /// One tap of the filters from `first` on for one input channel.
    fn tap(&self, source: &[u8], tap: usize, channel: usize, first: usize, out: &mut [f64]) {
        let [row, column, input, output] = self.strides;
        let (i, j) = ((tap / TAPS) as i64, (tap % TAPS) as i64);
        let from = self.base + i * row + j * column + channel as i64 * input;
        let at = |k: usize| {
            let at = from + k as i64 * output;
            4 * usize::try_from(at).expect("reads of constants are verified")
        };
        let number =
            |bytes: &[u8]| f64::from(f32::from_le_bytes(bytes.try_into().expect("four bytes")));
        if output == 1 {
            let bytes = &source[at(first)..at(first) + 4 * out.len()];
            out.iter_mut().zip(bytes.chunks_exact(4)).for_each(|(x, b)| *x = number(b));
        } else {
            for (k, x) in out.iter_mut().enumerate() {
                *x = number(&source[at(first + k)..at(first + k) + 4]);
            }
        }
    }

    /// For each tap, the sum of its squares over the input channels, per output channel.
    pub(super) fn energies(&self, source: &[u8]) -> Vec<Vec<f64>> {
        let mut energies = vec![vec![0.0; self.n_out]; TAPS * TAPS];
        if self.strides[..2] == [TAPS as i64, 1] {
            for channel in 0..self.n_out {
                for (sums, energy) in energies.iter_mut().zip(self.energy(source, channel)) {
                    sums[channel] = energy;
                }
            }
            return energies;
        }
        let mut taps = vec![0.0; self.n_out];
        for (tap, sums) in energies.iter_mut().enumerate() {
            for channel in 0..self.n_in {
                self.tap(source, tap, channel, 0, &mut taps);
                sums.iter_mut().zip(&taps).for_each(|(sum, x)| *sum += x * x);
            }
        }
        energies
    }

    /// The sums of one output channel, where the taps of each filter lie side by side: such filters
    /// are read in the order of memory.
    fn energy(&self, source: &[u8], channel: usize) -> [f64; TAPS * TAPS] {
        let [.., input, output] = self.strides;
        let mut sums = [0.0; TAPS * TAPS];
        for k in 0..self.n_in {
            let at = self.base + channel as i64 * output + k as i64 * input;
            let at = 4 * usize::try_from(at).expect("reads of constants are verified");
            let (taps, _) = source[at..at + 4 * TAPS * TAPS].as_chunks();
            for (sum, bytes) in sums.iter_mut().zip(taps) {
                let tap = f64::from(f32::from_le_bytes(*bytes));
                *sum += tap * tap;
            }
        }
        sums
    }

    /// The lines of a product in transformed filters: one for each input channel, and one that is not
    /// used. Without it, those of all products that a channel has would lie a power of two apart,
    /// where few sets of a cache have room for them.
    pub(super) fn n_lines(&self) -> usize {
        self.n_in + 1
    }

    /// The transformed filters in panels: `[panel][product][line][column]`, the last panel narrower.
    /// Computed in f64 and rounded once.
    pub(super) fn pack(&self, source: &[u8], algorithm: Algorithm, panel: usize, out: &mut [u8]) {
        let transform = FilterTransform::of(algorithm);
        let n = algorithm.n_products();
        let mut half = vec![[[0.0; BLOCK]; TAPS]; n];
        let mut line = vec![[0.0; BLOCK]; n];
        for start in (0..self.n_out).step_by(panel) {
            let width = panel.min(self.n_out - start);
            let out = &mut out[4 * start * n * n * self.n_lines()..];
            for channel in 0..self.n_in {
                for first in (0..width).step_by(BLOCK) {
                    let used = BLOCK.min(width - first);
                    let mut taps = [[[0.0; BLOCK]; TAPS]; TAPS];
                    for (k, lane) in taps.as_flattened_mut().iter_mut().enumerate() {
                        self.tap(source, k, channel, start + first, &mut lane[..used]);
                    }
                    for j in 0..TAPS {
                        let column = [&taps[0][j], &taps[1][j], &taps[2][j]];
                        transform.apply(column, &mut |k, lane| half[k][j] = *lane);
                    }
                    for (i, [a, b, c]) in half.iter().enumerate() {
                        transform.apply([a, b, c], &mut |k, lane| line[k] = *lane);
                        for (j, lane) in line.iter().enumerate() {
                            let at = 4 * (((i * n + j) * self.n_lines() + channel) * width + first);
                            let to = out[at..at + 4 * used].chunks_exact_mut(4);
                            to.zip(lane).for_each(|(to, x)| {
                                to.copy_from_slice(&(*x as f32).to_le_bytes());
                            });
                        }
                    }
                }
            }
        }
    }
}

/// The most that filters of these energies amplify errors: `max E / ‖g‖²` over the output channels,
/// E as [`error`] has it.
pub(super) fn amplification(energies: &[Vec<f64>], algorithm: Algorithm) -> f64 {
    let d = error::tap_weights(algorithm);
    let ratio = |k: usize| {
        let norm: f64 = energies.iter().map(|energy| energy[k]).sum();
        let weighted =
            |(tap, energy): (usize, &Vec<f64>)| d[tap / TAPS] * d[tap % TAPS] * energy[k];
        let total: f64 = energies.iter().enumerate().map(weighted).sum();
        if norm > 0.0 { total / norm } else { 0.0 }
    };
    (0..energies[0].len()).map(ratio).fold(0.0, f64::max)
}

/// G as lanes of filters take it.
struct FilterTransform {
    /// The coefficient of the first tap at 0.
    at_zero: f64,
    /// The coefficients of the taps at each p; that of the middle one is negated at −p.
    pairs: Vec<[f64; TAPS]>,
}

impl FilterTransform {
    fn of(algorithm: Algorithm) -> FilterTransform {
        let g = algorithm.filter_matrix();
        let pairs = g[1..g.len() - 1].iter().step_by(2).copied().collect();
        FilterTransform { at_zero: g[0][0], pairs }
    }

    /// Hands out `G` times three taps, row by row.
    fn apply(&self, [a, b, c]: [&Lane; TAPS], out: &mut impl FnMut(usize, &Lane)) {
        out(0, &a.map(|a| self.at_zero * a));
        for (k, pair) in self.pairs.iter().enumerate() {
            let (mut plus, mut minus) = ([0.0; BLOCK], [0.0; BLOCK]);
            for lane in 0..BLOCK {
                let even = pair[0] * a[lane] + pair[2] * c[lane];
                let odd = pair[1] * b[lane];
                plus[lane] = even + odd;
                minus[lane] = even - odd;
            }
            out(2 * k + 1, &plus);
            out(2 * k + 2, &minus);
        }
        out(2 * self.pairs.len() + 1, c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters() -> (Filters, Vec<u8>) {
        let (n_in, n_out) = (3, 70);
        let strides = [3 * 3 * 70, 3 * 70, 70, 1];
        let bytes = (0..9 * 3 * 70).flat_map(|k: i32| (((k * 37) % 19 - 9) as f32).to_le_bytes());
        (Filters { base: 0, strides, n_in, n_out }, bytes.collect())
    }

    fn pack(filters: &Filters, source: &[u8], algorithm: Algorithm, panel: usize) -> Vec<f32> {
        let n = algorithm.n_products();
        let mut bytes = vec![0; 4 * n * n * filters.n_lines() * filters.n_out];
        filters.pack(source, algorithm, panel, &mut bytes);
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    #[test]
    fn a_panel_holds_each_product_of_each_channel() {
        let (filters, source) = filters();
        let algorithm = Algorithm::F2;
        let packed = pack(&filters, &source, algorithm, 32);
        let tap = |i, j, c, k| {
            let at = 4 * (i * 3 * 3 * 70 + j * 3 * 70 + c * 70 + k);
            f64::from(f32::from_le_bytes(source[at..at + 4].try_into().unwrap()))
        };
        let g = algorithm.filter_matrix();
        for (product, channel, k) in [(0, 0, 0), (5, 2, 31), (10, 1, 32), (15, 2, 69)] {
            let (row, column) = (g[product / 4], g[product % 4]);
            let expected: f64 =
                (0..9).map(|t| row[t / 3] * column[t % 3] * tap(t / 3, t % 3, channel, k)).sum();
            let (start, width) = (k / 32 * 32, if k < 64 { 32 } else { 6 });
            let at = start * 16 * 4 + (product * 4 + channel) * width + k - start;
            assert!((f64::from(packed[at]) - expected).abs() <= 1e-7 * expected.abs());
        }
    }

    #[test]
    fn energies_do_not_depend_on_the_order_in_memory() {
        let (filters, source) = filters();
        let Filters { n_in, n_out, .. } = filters;
        let turned = (0..n_out * n_in * 9).flat_map(|k| {
            let (output, input, tap) = (k / (9 * n_in), k / 9 % n_in, k % 9);
            let at = 4 * ((tap * n_in + input) * n_out + output);
            source[at..at + 4].to_vec()
        });
        let strides = [3, 1, 9, 9 * n_in as i64];
        let side_by_side = Filters { strides, ..filters.clone() };
        let found = side_by_side.energies(&turned.collect::<Vec<u8>>());
        assert_eq!(found, filters.energies(&source));
    }

    #[test]
    fn the_amplification_is_little_above_that_of_the_transformed_filters() {
        let (filters, source) = filters();
        for algorithm in [Algorithm::F2, Algorithm::F4] {
            let (a, b) = (algorithm.output_matrix(), algorithm.input_matrix());
            let n = algorithm.n_products();
            let q = |k: usize| {
                let gain = a.iter().map(|r| r[k] * r[k]).fold(0.0, f64::max);
                gain * b[k].iter().map(|c| c * c).sum::<f64>()
            };
            let packed = pack(&filters, &source, algorithm, 70);
            let ratio = |k: usize| {
                let (mut e, mut norm) = (0.0, 0.0);
                for c in 0..3 {
                    for p in 0..n * n {
                        let u = f64::from(packed[(p * 4 + c) * 70 + k]);
                        e += q(p / n) * q(p % n) * u * u;
                    }
                    for t in 0..9 {
                        let mut tap = [0.0];
                        filters.tap(&source, t, c, k, &mut tap);
                        norm += tap[0] * tap[0];
                    }
                }
                e / norm
            };
            let expected = (0..70).map(ratio).fold(0.0, f64::max);
            let found = amplification(&filters.energies(&source), algorithm);
            assert!((expected..2.5 * expected).contains(&found), "{found} {expected}");
        }
    }
}
