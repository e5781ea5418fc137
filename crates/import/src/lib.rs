//! Readers of ONNX files and Hugging Face checkpoints.
