//! This machine with each width of vectors that it has.

use tracelift::Options;
use tracelift_tensor::Target;

/// Options for each width, narrowest first, of which each target may be changed.
pub fn options(change: impl Fn(Target) -> Target) -> Vec<Options> {
    let host = Target::host().expect("a supported machine");
    let widths = [16, 32, 64].into_iter().filter(|n| *n <= host.vector_bytes);
    let of = |vector_bytes| Some(change(Target { vector_bytes, ..host }));
    widths.map(|n| Options { target: of(n), ..Options::default() }).collect()
}
