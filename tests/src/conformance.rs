//! Files of operator conformance cases, `tests/ops/NAME.toml`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tracelift::ir::{AttributeTexts, Op, TensorType};
use tracelift_tensor::Tensor;

use crate::{
    engine::Engine,
    number_text::{Tolerance, compare, parse_tensor},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    test: Vec<Case>,
}

/// One case: an operator, its operands, and its results or the constraint they violate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The name, unique in the file.
    pub name: String,
    /// The operator with its attributes, such as `concat(axis=1)`.
    pub op: String,
    /// The operands; types alone where an error is expected.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// The result, where there is one.
    output: Option<String>,
    /// The results, where there are several.
    outputs: Option<Vec<String>>,
    /// What the type error contains, such as `C2`.
    error: Option<String>,
    /// Units in the last place that floats may differ by.
    #[serde(default)]
    ulp: u64,
    /// Absolute distance that floats may differ by.
    #[serde(default)]
    abs: f64,
}

/// The folder of the conformance files.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ops")
}

/// Reads the cases of one operator.
///
/// # Errors
/// When there is no such file or it is not of the form.
pub fn read_cases(operator: &str) -> Result<Vec<Case>> {
    let path = folder().join(format!("{operator}.toml"));
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let file: File = toml::from_str(&text).with_context(|| path.display().to_string())?;
    Ok(file.test)
}

/// Reads an operator with attributes, such as `pad(low=[1, 0], high=[0, 0])`.
///
/// # Errors
/// When there is no such operator, or an attribute is missing, unknown or ill-formed.
pub fn parse_op(text: &str) -> Result<Op> {
    let (name, rest) = text.split_once('(').unwrap_or((text, ")"));
    let list = rest.trim_end().strip_suffix(')').with_context(|| format!("'{text}': no ')'"))?;
    let mut attributes = AttributeTexts::new();
    for part in split_list(list) {
        let (key, value) = part.split_once('=').with_context(|| format!("'{part}': no '='"))?;
        attributes.insert(key.trim().to_string(), value.trim().to_string());
    }
    let op = Op::parse(name.trim(), &attributes);
    op.with_context(|| format!("no operator '{name}'"))?.with_context(|| text.to_string())
}

/// Splits at the commas outside brackets and quotes.
fn split_list(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut start, mut parts) = (0, false, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

impl Case {
    /// Runs the case on an engine.
    ///
    /// # Errors
    /// When it fails, with what was found and expected.
    pub fn check(&self, engine: &dyn Engine) -> Result<()> {
        let op = parse_op(&self.op)?;
        let inputs: Vec<_> = self.inputs.iter().map(|t| parse_tensor(t)).collect::<Result<_>>()?;
        let types: Vec<TensorType> = inputs.iter().map(|input| input.ty.clone()).collect();
        let inferred = op.infer(&types);
        if let Some(expected) = &self.error {
            return match inferred {
                Err(error) if error.0.contains(expected) => Ok(()),
                Err(error) => bail!("error '{error}', expected '{expected}'"),
                Ok(found) => bail!("accepted with results {found:?}, expected '{expected}'"),
            };
        }
        let tensors: Option<Vec<Tensor>> = inputs.into_iter().map(|i| i.tensor).collect();
        let tensors = tensors.context("an input has no elements")?;
        let expected = self.results()?;
        let found = engine.run(&op, &tensors)?;
        ensure!(
            found.len() == expected.len(),
            "{} results, expected {}",
            found.len(),
            expected.len()
        );
        let types: Vec<TensorType> =
            found.iter().map(|x| TensorType::new(x.dtype(), x.shape())).collect();
        ensure!(inferred.as_ref() == Ok(&types), "results {types:?}, inferred {inferred:?}");
        let tolerance = Tolerance { ulp: self.ulp, abs: self.abs };
        for (k, (found, expected)) in found.iter().zip(&expected).enumerate() {
            compare(found, expected, tolerance).with_context(|| format!("result {k}"))?;
        }
        Ok(())
    }

    /// The name of the operator.
    pub fn operator(&self) -> &str {
        self.op.split('(').next().unwrap_or_default().trim()
    }

    fn results(&self) -> Result<Vec<Tensor>> {
        let texts = match (&self.output, &self.outputs) {
            (Some(output), None) => std::slice::from_ref(output),
            (None, Some(outputs)) => outputs,
            _ => bail!("expected one of 'output', 'outputs' and 'error'"),
        };
        let tensor = |text: &String| {
            parse_tensor(text)?.tensor.with_context(|| format!("'{text}' has no elements"))
        };
        texts.iter().map(tensor).collect()
    }
}
