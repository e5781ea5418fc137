//! Times the network written by hand; built apart, so that all of it is compiled for one processor.
//!
//! For each line of standard input it prints the nanoseconds of one call, the best of some batches.

#[path = "../src/by_hand.rs"]
mod by_hand;

use std::{hint::black_box, io::BufRead, time::Instant};

const N_CALLS: u32 = 2000;
const N_BATCHES: usize = 20;

fn main() {
    let network = by_hand::ByHand::new(|k| ((k * 37 % 101) as f32 - 50.0) / 100.0);
    let mut x = [0.0; by_hand::N_IN];
    x.iter_mut().enumerate().for_each(|(k, x)| *x = k as f32 / 9.0 - 1.0);
    let mut batch = || {
        let start = Instant::now();
        for _ in 0..N_CALLS {
            black_box(black_box(&network).forward(black_box(&x)));
        }
        start.elapsed().as_nanos() as f64 / f64::from(N_CALLS)
    };
    for line in std::io::stdin().lock().lines() {
        if line.is_err() {
            return;
        }
        println!("{:.3}", (0..N_BATCHES).map(|_| batch()).fold(f64::INFINITY, f64::min));
    }
}
