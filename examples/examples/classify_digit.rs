//! Loads the network that ships with the project, compiles it, and names a handwritten digit.
//!
//! ```text
//! cargo run --release -p tracelift-examples --example classify_digit [DIGIT]
//! ```

use std::{fs, path::Path, time::Instant};

use tracelift::{Report, prelude::*, runtime::Program};
use tracelift_examples::{Digit, as_svg, as_text, data_file, digits, largest, relative_error};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted = match std::env::args().nth(1) {
        Some(text) => text.parse().map_err(|_| format!("'{text}' is no digit from 0 to 9"))?,
        None => 3,
    };
    let digits = digits()?;
    let digit: &Digit = digits.get(wanted).ok_or("give a digit from 0 to 9")?;

    let start = Instant::now();
    let model = load(data_file("digits_cnn.onnx"))?;
    let compiled = model.compile(&Options::default())?;
    let logits = compiled.run(std::slice::from_ref(&digit.image))?[0].to_vec::<f32>();
    let to_first = start.elapsed().as_secs_f64() * 1e3;

    let specialised = compiled.for_inputs(std::slice::from_ref(&digit.image))?;
    print_report(specialised.report(), specialised.program(), model.load_seconds() * 1e3);
    println!("\nfrom file to first answer: {to_first:.1} ms");
    println!("a run after that:          {:.1} µs", run_micros(&compiled, &digit.image)?);

    print!("\nthe image (somebody meant a {}):\n\n{}", digit.label, as_text(&digit.image));
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/digit.svg");
    fs::create_dir_all(picture.parent().expect("a file has a folder"))?;
    fs::write(&picture, as_svg(&digit.image))?;
    println!("\nas a picture: target/digit.svg\n");

    print_answer(&logits);
    let error = relative_error(&logits, &digit.logits);
    println!("\nlargest difference from PyTorch's logits: {error:.1e} of the largest logit");
    assert!(error <= 1e-5, "the answer is not PyTorch's: {logits:?}, not {:?}", digit.logits);
    assert_eq!(largest(&logits), digit.label, "the network knows this digit");
    Ok(())
}

fn print_report(report: &Report, program: &Program, load_ms: f64) {
    println!("passes that changed the graph:");
    for run in report.passes.runs.iter().filter(|run| run.changed) {
        let laws: Vec<String> = run.laws.iter().map(|(law, n)| format!("{law} ×{n}")).collect();
        let nodes = format!("{} → {} nodes", run.nodes_before, run.nodes_after);
        println!("  {:<16} {nodes:<16} {}", run.name, laws.join(", "));
    }
    println!("\n{} kernels, {} launches:", report.n_kernels, report.n_launches);
    for launch in &program.plan().launches {
        let kernel = &program.plan().kernels[launch.kernel];
        println!("  {kernel:<28} {:>4} tasks   {}", launch.n_tasks, launch.label);
    }
    let (arena, live) = (report.arena_bytes, report.max_live_bytes);
    println!("\nmemory: arena {arena} bytes (no arena can be smaller than {live})");
    println!("        constants {} bytes", report.constant_bytes);
    println!("\ntime:   load      {load_ms:7.2} ms");
    for (stage, ms) in &report.stages {
        println!("        {stage:<9} {ms:7.2} ms");
    }
}

/// The median time of a run in microseconds.
fn run_micros(compiled: &Compiled, image: &Tensor) -> Result<f64, Box<dyn std::error::Error>> {
    let mut times = Vec::with_capacity(101);
    for _ in 0..101 {
        let start = Instant::now();
        compiled.run(std::slice::from_ref(image))?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

fn print_answer(logits: &[f32]) {
    let answer = largest(logits);
    let powers: Vec<f32> = logits.iter().map(|x| (x - logits[answer]).exp()).collect();
    let total: f32 = powers.iter().sum();
    println!("the answer: {answer}");
    for (class, power) in powers.iter().enumerate() {
        let probability = power / total;
        let bar = "█".repeat((probability * 40.0).round() as usize);
        println!("  {class}  {:6.2} %  {bar}", probability * 100.0);
    }
}
