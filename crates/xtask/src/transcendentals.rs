//! `transcendentals`: the errors of compiled functions on every f32 there is.
//!
//! In: nothing but the 2³² bit patterns.  Out: the largest error of each function and where, and
//! `docs/accuracy.md`.

use std::{
    fmt::Write,
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use anyhow::{Context, bail};
use clap::Args;
use tracelift::{
    Model, Options, Specialised,
    frontend::{TraceError, Var, f32, trace},
    ir::Graph,
    runtime::AlignedBytes,
    scalar::{
        Op,
        check::{reference, ulp_error_f32},
    },
    tensor::{Bindings, Target},
};

const NOTE: &str = "<!-- Written by `cargo xtask transcendentals --page`. -->\n";

/// The number of inputs of one run.
const BLOCK: u64 = 1 << 16;

/// Which functions are tested, and on what.
#[derive(Args)]
pub struct Transcendentals {
    /// The functions [default: all]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    only: Option<Vec<String>>,
    /// Test only every n-th block of 65,536 neighbouring inputs
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    stride: u64,
    /// The processors to compile for, such as native or x86-64-v3
    #[arg(long, value_name = "A,B", value_delimiter = ',', default_value = "native")]
    target_cpu: Vec<String>,
    /// The number of threads [default: all]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Write docs/accuracy.md
    #[arg(long)]
    page: bool,
}

/// How the error of a function is counted.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Measure {
    /// In units of the last place of the exact result.
    Ulp,
    /// As a difference, over the result where that is greater than 1.
    Absolute,
}

impl Measure {
    fn bound(self) -> f64 {
        match self {
            Measure::Ulp => 2.0,
            Measure::Absolute => 5e-7,
        }
    }

    /// The error; infinite where NaN, an infinity or (for `Ulp`) the sign of a zero is wrong.
    fn error(self, found: f32, exact: f64) -> f64 {
        let ulp = ulp_error_f32(found, exact);
        match self {
            Measure::Ulp => ulp,
            _ if exact.is_nan() || found.is_nan() || exact.is_infinite() => ulp,
            _ if found.is_infinite() => ulp,
            Measure::Absolute => (f64::from(found) - exact).abs() / exact.abs().max(1.0),
        }
    }
}

/// A function as a graph, its exact value, and how its error is counted.
struct Function {
    name: &'static str,
    layer: fn(&Var) -> Var,
    exact: fn(f64) -> f64,
    measure: Measure,
}

/// The functions tested.
const FUNCTIONS: [Function; 10] = [
    Function { name: "exp", layer: Var::exp, exact: f64::exp, measure: Measure::Ulp },
    Function { name: "log", layer: Var::log, exact: f64::ln, measure: Measure::Ulp },
    Function { name: "sin", layer: Var::sin, exact: f64::sin, measure: Measure::Ulp },
    Function { name: "cos", layer: Var::cos, exact: f64::cos, measure: Measure::Ulp },
    Function { name: "tanh", layer: Var::tanh, exact: f64::tanh, measure: Measure::Ulp },
    Function { name: "erf", layer: Var::erf, exact: erf, measure: Measure::Ulp },
    Function {
        name: "gelu",
        layer: |x| x.gelu(),
        exact: |x| 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        measure: Measure::Absolute,
    },
    Function {
        name: "gelu_tanh",
        layer: |x| x.gelu_tanh(),
        exact: |x| {
            let inner = std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        },
        measure: Measure::Absolute,
    },
    Function {
        name: "sigmoid",
        layer: Var::sigmoid,
        exact: |x| 1.0 / (1.0 + (-x).exp()),
        measure: Measure::Absolute,
    },
    Function {
        name: "silu",
        layer: Var::silu,
        exact: |x| x * (1.0 / (1.0 + (-x).exp())),
        measure: Measure::Absolute,
    },
];

fn erf(x: f64) -> f64 {
    reference(Op::Erf).expect("erf is a function of floats")(x, 0.0)
}

/// What was found of one function on one target.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    /// The largest finite error.
    worst: f64,
    /// Its input.
    at: f32,
    /// What was computed there.
    value: f32,
    /// The inputs where NaN, an infinity or the sign of a zero is wrong, and the first of them.
    n_wrong: u64,
    first_wrong: Option<f32>,
    /// The number of inputs.
    n_inputs: u64,
}

/// Tests the functions and prints what it finds.
///
/// # Errors
/// When a function is misnamed or exceeds its bound, or the page cannot be written.
pub fn main(root: &Path, arguments: &Transcendentals) -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        return crate::bars::in_release(root);
    }
    let is_wanted = |f: &&Function| match &arguments.only {
        Some(only) => only.iter().any(|name| name == f.name),
        None => true,
    };
    let wanted: Vec<&Function> = FUNCTIONS.iter().filter(is_wanted).collect();
    if wanted.len() != arguments.only.as_ref().map_or(FUNCTIONS.len(), Vec::len) {
        let known = FUNCTIONS.map(|f| f.name).join(", ");
        bail!("found {:?}, expected some of {known}", arguments.only);
    }
    let n_threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let n_threads = arguments.threads.unwrap_or(n_threads);
    let mut rows = Vec::new();
    for target in &arguments.target_cpu {
        let target = Target::parse(target)?;
        for function in &wanted {
            let found = test(function, &target, arguments.stride, n_threads)?;
            println!("{}", line(function, &target, &found));
            rows.push((*function, target, found));
        }
    }
    if arguments.page {
        let path = root.join("docs/accuracy.md");
        fs::write(&path, page(&rows, arguments.stride))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    let n_bad = rows.iter().filter(|(function, _, found)| !passes(function, found)).count();
    if n_bad > 0 {
        bail!("{n_bad} functions exceed their bounds");
    }
    Ok(())
}

fn passes(function: &Function, found: &Found) -> bool {
    found.n_wrong == 0 && found.worst <= function.measure.bound()
}

fn graph(function: &Function) -> Result<Graph, TraceError> {
    trace(function.name, &[("x", f32([BLOCK as usize]))], |[x]| (function.layer)(&x))
}

/// Runs a function on all blocks, on some threads.
fn test(
    function: &Function,
    target: &Target,
    stride: u64,
    n_threads: usize,
) -> anyhow::Result<Found> {
    let options = Options { target: Some(*target), ..Options::default() };
    let compiled = Model::from_graph(graph(function)?).compile(&options)?;
    let program = compiled.specialise(&Bindings::new())?;
    let n_blocks = (1u64 << 32) / BLOCK / stride;
    let (next, start) = (AtomicU64::new(0), Instant::now());
    let parts: Vec<anyhow::Result<Found>> = std::thread::scope(|scope| {
        let work = || {
            let mut found = Found::default();
            loop {
                let block = next.fetch_add(1, Ordering::Relaxed);
                if block >= n_blocks {
                    return Ok(found);
                }
                if block % (n_blocks / 8).max(1) == 0 {
                    let percent = 100 * block / n_blocks;
                    let seconds = start.elapsed().as_secs();
                    eprintln!("{}: {percent} % after {seconds} s", function.name);
                }
                let one = test_block(function, &program, (block * stride * BLOCK) as u32)?;
                found = found.join(one);
            }
        };
        let threads: Vec<_> = (0..n_threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|t| t.join().expect("comparing does not panic")).collect()
    });
    parts.into_iter().try_fold(Found::default(), |all, part| Ok(all.join(part?)))
}

/// Runs a function on one block of neighbouring bit patterns.
fn test_block(function: &Function, program: &Specialised, first: u32) -> anyhow::Result<Found> {
    let mut x = AlignedBytes::zeroed(4 * BLOCK as usize);
    let mut y = AlignedBytes::zeroed(4 * BLOCK as usize);
    let bits = |k: usize| first.wrapping_add(k as u32);
    for (k, bytes) in x.chunks_exact_mut(4).enumerate() {
        bytes.copy_from_slice(&bits(k).to_le_bytes());
    }
    let mut context = program.context(1);
    program.program().run(&mut context, &[&x[..]], &mut [&mut y[..]])?;
    program.give_back(context);
    let mut found = Found { n_inputs: BLOCK, ..Found::default() };
    for (k, bytes) in y.chunks_exact(4).enumerate() {
        let at = f32::from_bits(bits(k));
        let value = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let error = function.measure.error(value, (function.exact)(f64::from(at)));
        if error.is_infinite() {
            found.n_wrong += 1;
            found.first_wrong.get_or_insert(at);
        } else if error > found.worst {
            (found.worst, found.at, found.value) = (error, at, value);
        }
    }
    Ok(found)
}

impl Found {
    fn join(self, other: Found) -> Found {
        let worse = if other.worst > self.worst { other } else { self };
        Found {
            n_wrong: self.n_wrong + other.n_wrong,
            first_wrong: self.first_wrong.or(other.first_wrong),
            n_inputs: self.n_inputs + other.n_inputs,
            ..worse
        }
    }
}

/// The largest error with its unit.
fn error_text(measure: Measure, error: f64) -> String {
    match measure {
        Measure::Ulp => format!("{error:.3} ULP"),
        Measure::Absolute => format!("{error:.2e}"),
    }
}

fn line(function: &Function, target: &Target, found: &Found) -> String {
    let Found { worst, at, value, n_wrong, n_inputs, first_wrong } = found;
    let verdict = if passes(function, found) { "pass" } else { "FAIL" };
    let first = first_wrong.map_or(String::new(), |x| format!(" (first at {x:e})"));
    format!(
        "{verdict}  {:<9} {:<10} {n_inputs} inputs, largest error {} at {at:e} (found {value:e}), \
         {n_wrong} wrong NaN, infinity or zero{first}",
        function.name,
        target.isa.name(),
        error_text(function.measure, *worst)
    )
}

fn page(rows: &[(&Function, Target, Found)], stride: u64) -> String {
    let mut out = format!("{NOTE}\n# Accuracy of functions\n\n");
    out += match stride {
        1 => "Compiled code for all 2³² inputs in f32 against f64.\n",
        _ => {
            "Compiled code for a part of the 2³² inputs in f32, in blocks of 65,536, against f64.\n"
        }
    };
    out += "Errors are in units of the last place of the exact result (ULP), for the lower \
            functions absolute, and\nrelative where the result exceeds 1. *Wrong* counts the inputs \
            whose result is NaN, an infinity or a\nzero of a sign (in ULP) where the exact one is \
            not, or the other way round.\n\n\
            | function | target | inputs | largest error | at | bound | wrong |\n\
            |---|---|---:|---:|---:|---:|---:|\n";
    for (function, target, found) in rows {
        let measure = function.measure;
        let bound = match measure {
            Measure::Ulp => "2 ULP".to_string(),
            Measure::Absolute => format!("{:.0e}", measure.bound()),
        };
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {:e} | {bound} | {} |",
            function.name,
            target.isa.name(),
            found.n_inputs,
            error_text(measure, found.worst),
            found.at,
            found.n_wrong
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiled_functions_keep_their_bounds_on_some_blocks() {
        // Zeros and denormals, numbers near 1, infinity with NaN behind it; of both signs.
        let blocks = [0, 0x3f80_0000, 0x7f7f_0000, 0x7f80_0000, 0xbf80_0000, 0xff80_0000];
        for function in &FUNCTIONS {
            let compiled = Model::from_graph(graph(function).unwrap());
            let compiled = compiled.compile(&Options::default()).unwrap();
            let program = compiled.specialise(&Bindings::new()).unwrap();
            let found = blocks.map(|first| test_block(function, &program, first).unwrap());
            let found = found.into_iter().fold(Found::default(), Found::join);
            let target = Target::host().unwrap();
            assert!(passes(function, &found), "{}", line(function, &target, &found));
            assert_eq!(found.n_inputs, blocks.len() as u64 * BLOCK);
        }
    }

    #[test]
    fn wrong_results_are_found() {
        let exact = |x: f64| x.exp();
        let error = |found: f32, x: f64| Measure::Ulp.error(found, exact(x));
        assert_eq!(error(f32::NAN, 1.0), f64::INFINITY);
        assert_eq!(error(1.0, 0.0), 0.0);
        assert!((error(1.0 + 4.0 * f32::EPSILON, 0.0) - 4.0).abs() < 1e-9);
        assert_eq!(Measure::Ulp.error(-0.0, 0.0), f64::INFINITY);
        assert_eq!(Measure::Absolute.error(-0.0, 0.0), 0.0);
        assert_eq!(Measure::Absolute.error(3.0, 2.0), 0.5);
        assert_eq!(Measure::Absolute.error(0.5, f64::NAN), f64::INFINITY);
    }
}
