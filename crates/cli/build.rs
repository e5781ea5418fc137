//! Links the functions of the program in the order of their first use, so that a run takes memory
//! for those it calls and not for their neighbours.
//!
//! In: `functions.order`, which `cargo xtask order` writes.  Out: an argument for the linker.

use std::{env, fs, path::Path, process::Command};

/// The names of functions, in order, below the compiler that chose the names.
const ORDER: &str = "functions.order";

fn main() {
    println!("cargo::rerun-if-changed={ORDER}");
    println!("cargo::rerun-if-changed=build.rs");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(ORDER);
    let Ok(order) = fs::read_to_string(&path) else { return };
    if is_optimised() && linker_is_lld() && compiler().is_some_and(|c| order.contains(&c)) {
        println!("cargo::rustc-link-arg-bins=-Wl,--symbol-ordering-file={}", path.display());
        // Functions that are gone or inlined since have no place to take.
        println!("cargo::rustc-link-arg-bins=-Wl,--no-warn-symbol-ordering");
    }
}

fn is_optimised() -> bool {
    env::var("OPT_LEVEL").is_ok_and(|level| level != "0")
}

/// Whether the compiler links with the linker it brings along, which knows the argument: it does on
/// this target unless told otherwise.
fn linker_is_lld() -> bool {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    env::var("TARGET").is_ok_and(|target| target == "x86_64-unknown-linux-gnu")
        && env::var_os("RUSTC_LINKER").is_none()
        && !flags.contains("link")
}

/// The version of the compiler; another one names functions otherwise.
fn compiler() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_string())
}
