//! What a call costs: a network of 1,004 parameters, compiled and by hand.
//!
//! By hand it is as fast as this build's target allows: give `RUSTFLAGS="-C target-cpu=native"`.

use divan::{Bencher, black_box};
use tracelift::Options;
use tracelift_bench::{Runnable, mlp};

fn main() {
    divan::main();
}

#[divan::bench]
fn compiled(bencher: Bencher<'_, '_>) {
    let graph = mlp::graph().expect("the shapes fit");
    let mut runnable = Runnable::new(graph, &Options::default()).expect("the network compiles");
    bencher.bench_local(|| runnable.run().expect("the inputs fit"));
}

#[divan::bench]
fn plain(bencher: Bencher<'_, '_>) {
    let (network, x) = (mlp::plain(), mlp::input());
    bencher.bench_local(|| black_box(&network).forward(black_box(&x)));
}

#[divan::bench]
fn by_hand(bencher: Bencher<'_, '_>) {
    let (network, x) = (mlp::by_hand(), mlp::input());
    bencher.bench_local(|| black_box(&network).forward(black_box(&x)));
}
