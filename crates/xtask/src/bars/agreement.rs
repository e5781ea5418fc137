//! Errors of whole models, and the same bits on any number of threads.

use anyhow::Context;
use tracelift::{
    Options,
    tensor::{DType, Tensor, npz::read_npz},
};
use tracelift_bench::models::{file, runnable};

use super::{
    bar::{Bar, Side},
    results::{Accuracy, Agreement},
    say,
};

/// The largest error of an output, in its largest number.
const MOST_ERROR: f64 = 1e-4;

/// The numbers of threads that must agree with one.
const THREADS: [usize; 3] = [2, 3, 8];

/// The largest error of each model against the outputs that its file expects.
///
/// # Errors
/// When a model cannot be run or its file expects other outputs.
pub fn errors(models: &[String]) -> anyhow::Result<Vec<Accuracy>> {
    let of_model = |model: &String| {
        let mut runnable = runnable(model, &Options::default())?;
        runnable.run()?;
        let tensors = read_npz(&file(model, "npz"))?;
        let mut max_rel_err = 0f64;
        for (k, bytes) in runnable.outputs().iter().enumerate() {
            let expected = tensors.iter().find(|(name, _)| *name == format!("out_{k}"));
            let (_, expected) = expected.with_context(|| format!("{model}: no output {k}"))?;
            max_rel_err = max_rel_err.max(relative_error(bytes, expected)?);
        }
        say(&format!("{model}: error {max_rel_err:.1e}"));
        Ok(Accuracy { model: model.clone(), max_rel_err })
    };
    models.iter().map(of_model).collect()
}

/// max |found − expected| / max |expected|; infinite where NaN is found.
fn relative_error(bytes: &[u8], expected: &Tensor) -> anyhow::Result<f64> {
    anyhow::ensure!(expected.dtype() == DType::F32, "expected outputs are f32");
    anyhow::ensure!(expected.bytes().len() == bytes.len(), "the output has another size");
    let (mut error, mut largest) = (0f64, 0f64);
    let found = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    for (found, expected) in found.zip(expected.to_vec::<f32>()) {
        let difference = (f64::from(found) - f64::from(expected)).abs();
        error = if difference.is_nan() { f64::INFINITY } else { error.max(difference) };
        largest = largest.max(f64::from(expected).abs());
    }
    Ok(error / largest.max(f64::MIN_POSITIVE))
}

/// How much each model's outputs differ between numbers of threads.
///
/// # Errors
/// When a model cannot be run.
pub fn threads(models: &[String]) -> anyhow::Result<Vec<Agreement>> {
    let of_model = |model: &String| {
        let outputs = |threads: usize| -> anyhow::Result<Vec<u8>> {
            let mut runnable = runnable(model, &Options { threads, ..Options::default() })?;
            runnable.run()?;
            Ok(runnable.outputs().iter().flat_map(|bytes| bytes.to_vec()).collect())
        };
        let one = outputs(1)?;
        let mut n_bytes_different = 0;
        for n in THREADS {
            n_bytes_different += outputs(n)?.iter().zip(&one).filter(|(a, b)| a != b).count();
        }
        say(&format!("{model}: {n_bytes_different} bytes differ between numbers of threads"));
        Ok(Agreement { model: model.clone(), n_bytes_different })
    };
    models.iter().map(of_model).collect()
}

/// The bars of both.
pub fn bars(errors: &[Accuracy], threads: &[Agreement]) -> Vec<Bar> {
    let bar = |group, name: &str, figure, bound, unit| {
        let (name, side, note) = (name.to_string(), Side::AtMost, String::new());
        Bar { group, name, figure: Some(figure), side, bound, unit, note }
    };
    let of_error =
        |a: &Accuracy| bar("accuracy", &a.model, a.max_rel_err, MOST_ERROR, "of the largest");
    let of_threads =
        |a: &Agreement| bar("threads", &a.model, a.n_bytes_different as f64, 0.0, "bytes differ");
    errors.iter().map(of_error).chain(threads.iter().map(of_threads)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_relative_to_the_largest_and_nan_is_infinite() {
        let expected = Tensor::new(&[3], &[1.0f32, -4.0, 2.0]);
        let bytes = |values: [f32; 3]| values.map(f32::to_le_bytes).concat();
        assert_eq!(relative_error(&bytes([1.0, -4.0, 1.0]), &expected).unwrap(), 0.25);
        let nan = relative_error(&bytes([1.0, f32::NAN, 2.0]), &expected).unwrap();
        assert_eq!(nan, f64::INFINITY);
        assert!(relative_error(&[0; 4], &expected).is_err());
    }
}
