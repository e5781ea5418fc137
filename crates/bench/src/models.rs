//! The whole models measured, where they are present.

use std::{env, path::PathBuf};

use tracelift::{
    Error, Options, load,
    tensor::{Tensor, npz::read_npz},
};

use crate::Runnable;

/// The models, the smallest first.
pub const NAMES: [&str; 9] = [
    "small_cnn_b1",
    "small_cnn_b32",
    "squeezenet1_1",
    "mobilenet_v2",
    "resnet18",
    "resnet50",
    "bert_base_s128",
    "bert_base_s384",
    "gpt2_prefill_s128",
];

/// The folder of models, Python environment and engines: `TRACELIFT_PEERS`, or a folder of the
/// user's cache.
pub fn data_folder() -> PathBuf {
    if let Some(folder) = env::var_os("TRACELIFT_PEERS") {
        return folder.into();
    }
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| env::home_dir().map(|home| home.join(".cache")));
    cache.unwrap_or_default().join("tracelift").join("peers")
}

/// The file of a model with this ending.
pub fn file(name: &str, ending: &str) -> PathBuf {
    data_folder().join("models").join(format!("{name}.{ending}"))
}

/// The models that are present.
pub fn present() -> Vec<&'static str> {
    NAMES.into_iter().filter(|name| file(name, "onnx").is_file()).collect()
}

/// A model's inputs: `in_0`, `in_1`, … of its file of data.
///
/// # Errors
/// When the file cannot be read.
pub fn inputs(name: &str) -> Result<Vec<Tensor>, Error> {
    let tensors = read_npz(&file(name, "npz"))?;
    let input = |k: usize| tensors.iter().find(|(key, _)| *key == format!("in_{k}"));
    Ok((0..).map_while(input).map(|(_, tensor)| tensor.clone()).collect())
}

/// A model compiled and ready to run.
///
/// # Errors
/// When it cannot be loaded or compiled.
pub fn runnable(name: &str, options: &Options) -> Result<Runnable, Error> {
    let compiled = load(file(name, "onnx"))?.compile(options)?;
    Runnable::with_inputs(&compiled, &inputs(name)?, options.threads)
}
