//! Times the network written by hand; built apart, so that all of it is compiled for one processor.
//!
//! It prints the nanoseconds of one call with plain loops and of one laid out for vectors, each the
//! best of some batches.

#[path = "../src/by_hand.rs"]
mod by_hand;

use std::{hint::black_box, time::Instant};

const N_CALLS: u32 = 2000;
const N_BATCHES: usize = 20;

fn main() {
    let plain = by_hand::Plain::new(|k| ((k * 37 % 101) as f32 - 50.0) / 100.0);
    let vectors = by_hand::ByHand::new(&plain);
    let mut x = [0.0; by_hand::N_IN];
    x.iter_mut().enumerate().for_each(|(k, x)| *x = k as f32 / 9.0 - 1.0);
    let plain = best_ns(|| black_box(&plain).forward(black_box(&x)));
    let vectors = best_ns(|| black_box(&vectors).forward(black_box(&x)));
    println!("{plain:.3} {vectors:.3}");
}

fn best_ns(call: impl Fn() -> [f32; by_hand::N_OUT]) -> f64 {
    let batch = || {
        let start = Instant::now();
        for _ in 0..N_CALLS {
            black_box(call());
        }
        start.elapsed().as_nanos() as f64 / f64::from(N_CALLS)
    };
    (0..N_BATCHES).map(|_| batch()).fold(f64::INFINITY, f64::min)
}
