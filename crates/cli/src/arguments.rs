//! Options that several subcommands share.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::bail;
use clap::Args;
use tracelift::{
    Options,
    tensor::{IsaLevel, Target, TargetError},
};

/// The model, and what is fixed in it.
#[derive(Args)]
pub struct ModelArgs {
    /// The model: an .onnx file, or a .graph text with its .safetensors beside it
    pub model: PathBuf,
    /// Fix a symbolic dimension (--set seq=128) or the value of an input, as one number or a
    /// comma-separated list (--set axes=0,2); may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub settings: Vec<Setting>,
}

/// One `--set NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The name of a symbolic dimension or an input.
    pub name: String,
    /// The value as written.
    pub value: String,
}

fn parse_setting(text: &str) -> Result<Setting, String> {
    // A name may hold any character, a value no `=`.
    match text.rsplit_once('=') {
        Some((name, value)) if !name.is_empty() => {
            Ok(Setting { name: name.into(), value: value.trim().into() })
        }
        _ => Err(format!("found '{text}', expected NAME=VALUE, such as batch=1")),
    }
}

/// How passes run.
#[derive(Args)]
pub struct PassArgs {
    /// The passes to run in place of the default pipeline, separated by commas
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub passes: Option<Vec<String>>,
    /// A pass to leave out; may be repeated
    #[arg(long, value_name = "NAME")]
    pub skip: Vec<String>,
    /// The pass after whose first run to stop
    #[arg(long, value_name = "NAME")]
    pub stop_after: Option<String>,
    /// The number of optional changes that passes may make, to find the one that breaks a model
    #[arg(long, value_name = "N")]
    pub bisect_limit: Option<u64>,
    /// Write the graph before the first and after every pass to this folder
    #[arg(long, value_name = "DIR")]
    pub dump_ir: Option<PathBuf>,
    /// Check the graph after every pass, not only after the last
    #[arg(long)]
    pub check_each: bool,
}

impl PassArgs {
    /// The library's options.
    pub fn options(&self) -> tracelift::passes::Options {
        tracelift::passes::Options {
            dump_dir: self.dump_ir.clone(),
            passes: self.passes.clone(),
            skip: self.skip.clone(),
            stop_after: self.stop_after.clone(),
            bisect_limit: self.bisect_limit,
            check_each: self.check_each || cfg!(debug_assertions),
            check_changes: false,
        }
    }
}

/// How a model is compiled.
#[derive(Args)]
pub struct CompileArgs {
    /// Threads to compile and to run with [default: all to compile, 1 to run]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// The processor to compile for: native, x86-64-v2, x86-64-v3, x86-64-v4 (v2, v3, v4), aarch64
    #[arg(long, value_name = "CPU", value_parser = parse_target)]
    pub target_cpu: Option<Target>,
    /// The largest error, relative to a typical output, that Winograd's algorithm may bring into a
    /// convolution; 0 turns it off [default: 5e-5]
    #[arg(long, value_name = "X", value_parser = parse_budget)]
    pub winograd_budget: Option<f64>,
    #[command(flatten)]
    pub passes: PassArgs,
}

fn parse_target(text: &str) -> Result<Target, TargetError> {
    match text {
        short if short.starts_with('v') => Target::parse(&format!("x86-64-{short}")),
        _ => Target::parse(text),
    }
}

fn parse_budget(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x >= 0.0 => Ok(x),
        _ => Err(format!("found '{text}', expected an error of at least 0, such as 1e-5")),
    }
}

impl CompileArgs {
    /// The library's options, with these extents of symbolic dimensions.
    pub fn options(&self, dims: &BTreeMap<String, usize>) -> Options {
        let mut options = Options {
            target: self.target_cpu,
            dims: dims.clone(),
            passes: self.passes.options(),
            ..Options::default()
        };
        if let Some(budget) = self.winograd_budget {
            options.lower.winograd_budget = budget;
        }
        if let Some(n) = self.threads {
            options.threads = n.into();
            options.compile_threads = n.into();
        }
        options
    }

    /// As [`CompileArgs::options`], for code that runs here.
    ///
    /// # Errors
    /// When the processor asked for has instructions that this one lacks.
    pub fn options_to_run(&self, dims: &BTreeMap<String, usize>) -> anyhow::Result<Options> {
        if let Some(target) = &self.target_cpu {
            let host = Target::host()?.isa;
            let is_arm = |isa: IsaLevel| isa == IsaLevel::Aarch64;
            if is_arm(target.isa) != is_arm(host) || target.isa > host {
                bail!(
                    "code for {} does not run on this processor\n  found:    {host}\n  \
                     expected: {} or higher\n  hint:     `dump --stage asm` and `compile` take any \
                     processor",
                    target.isa,
                    target.isa
                );
            }
        }
        Ok(self.options(dims))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_split_at_the_last_equals_sign() {
        let setting = |name: &str, value: &str| Setting { name: name.into(), value: value.into() };
        assert_eq!(parse_setting("B=1"), Ok(setting("B", "1")));
        assert_eq!(parse_setting("a=b=1,2"), Ok(setting("a=b", "1,2")));
        assert!(parse_setting("=1").is_err() && parse_setting("B").is_err());
    }

    #[test]
    fn short_names_of_processors_are_known() {
        assert_eq!(parse_target("v3"), Target::parse("x86-64-v3"));
        assert!(parse_target("v5").unwrap_err().to_string().contains("x86-64-v4"));
    }
}
