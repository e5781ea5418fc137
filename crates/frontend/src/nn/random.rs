//! The numbers parameters start with: a counter-based generator.
//!
//! Element `i` of the `s`-th parameter built on a thread is a function of (seed, `s`, `i`) alone,
//! so that parameters can be filled in any order. The numbers have PyTorch's distributions; they
//! are not PyTorch's numbers.

use std::cell::Cell;

thread_local! {
    static NEXT: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Restarts the sequence of initial values on this thread; it starts with seed 0.
pub fn manual_seed(seed: u64) {
    NEXT.set((seed, 0));
}

/// The numbers of one parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream(u64);

impl Stream {
    /// The stream of the next parameter of this thread.
    pub(crate) fn next() -> Stream {
        let (seed, number) = NEXT.get();
        NEXT.set((seed, number.wrapping_add(1)));
        Stream(mix(mix(seed).wrapping_add(number)))
    }

    /// 64 random bits.
    fn bits(self, counter: u64) -> u64 {
        mix(self.0.wrapping_add(counter.wrapping_mul(GOLDEN)))
    }

    /// A number in `[0, 1)`, a multiple of 2⁻²⁴.
    pub(crate) fn unit(self, counter: u64) -> f64 {
        (self.bits(counter) >> 40) as f64 / (1u64 << 24) as f64
    }

    /// A number of the normal distribution with mean 0 and variance 1, by Box and Muller.
    pub(crate) fn normal(self, counter: u64) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit(2 * counter)).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit(2 * counter + 1)).cos()
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of SplitMix64. Source: Steele, Lea & Flood, OOPSLA 2014.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(GOLDEN);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
