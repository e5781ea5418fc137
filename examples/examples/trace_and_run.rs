//! Writes a network in Rust, loads PyTorch's parameters into it, and gets PyTorch's answer.
//!
//! ```text
//! cargo run --release -p tracelift-examples --example trace_and_run
//! ```

use tracelift::frontend::nn::{Forward as _, Module as _, StateDict};
use tracelift::prelude::*;
use tracelift_examples::{data_file, digits, largest, relative_error};

/// The network of `data/make_digits.py`, layer by layer.
fn digits_cnn() -> nn::Sequential {
    nn::sequential![
        nn::Conv2d::new(1, 8, 3).padding(1),
        nn::ReLU::new(),
        nn::MaxPool2d::new(2),
        nn::Conv2d::new(8, 16, 3).padding(1),
        nn::ReLU::new(),
        nn::MaxPool2d::new(2),
        nn::Flatten::new(),
        nn::Linear::new(16 * 2 * 2, 32),
        nn::ReLU::new(),
        nn::Linear::new(32, 10),
    ]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = digits_cnn();
    network.load_state_dict(&StateDict::read(&data_file("digits_cnn.safetensors"))?)?;

    // `B` is any number of images; a program is compiled for each number that is met.
    let graph = trace("digits", &[("image", f32(("B", 1, 8, 8)))], |[x]| network.forward(&x))?;
    let compiled = Model::from_graph(graph).compile(&Options::default())?;

    for digit in digits()? {
        let logits = compiled.run(&[digit.image])?[0].to_vec::<f32>();
        let error = relative_error(&logits, &digit.logits);
        println!("{} is a {}  (error {error:.1e})", digit.label, largest(&logits));
        assert!(error <= 1e-5, "PyTorch says {:?}, not {logits:?}", digit.logits);
        assert_eq!(largest(&logits), digit.label);
    }

    // A mistake is an error at the line that made it.
    let wrong = nn::sequential![nn::Flatten::new(), nn::Linear::new(16 * 3 * 3, 32)];
    let mistake = trace("wrong", &[("x", f32([1, 16, 2, 2]))], |[x]| wrong.forward(&x));
    let text = mistake.expect_err("64 features are not 144").to_string();
    println!("\n{text}");
    assert!(text.contains("64") && text.contains("144"));
    Ok(())
}
