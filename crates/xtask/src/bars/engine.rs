//! Engines in processes of their own, which measure when told to.
//!
//! A process that is not being measured is stopped, so that its idle threads disturb no other.

use std::{
    env,
    fs::File,
    io::{BufRead, BufReader, Read, Seek, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tracelift_bench::models::{data_folder, file};

/// The engine that is compared with the others.
pub const OURS: &str = "tracelift";

/// The engines it is compared with.
pub const PEERS: [&str; 4] = ["onnxruntime", "openvino", "tract", "rten"];

/// A model loaded in an engine.
pub struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// A file, since nobody reads while the engine writes.
    errors: File,
    /// What it said when loaded.
    pub loaded: Value,
}

impl Worker {
    /// Starts a process, has it load a model, and stops it.
    ///
    /// # Errors
    /// When it cannot be started or ends before the model is loaded.
    pub fn start(root: &Path, engine: &str, model: &str, threads: usize) -> anyhow::Result<Worker> {
        let mut command = command(root, engine, model, threads)?;
        command.env("OMP_NUM_THREADS", threads.to_string()).process_group(0);
        let errors = tempfile::tempfile()?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors.try_clone()?);
        let mut child = command.spawn().with_context(|| format!("starting {engine}"))?;
        let input = child.stdin.take().context("standard input is piped")?;
        let output = BufReader::new(child.stdout.take().context("standard output is piped")?);
        let mut worker = Worker { child, input, output, errors, loaded: Value::Null };
        worker.loaded = worker.read()?;
        worker.signal(Signal::STOP)?;
        Ok(worker)
    }

    /// The median milliseconds of some seconds.
    ///
    /// # Errors
    /// When the process ends.
    pub fn measure(&mut self, seconds: f64) -> anyhow::Result<f64> {
        self.signal(Signal::CONT)?;
        writeln!(self.input, "measure {seconds}")?;
        let found = self.read()?;
        self.signal(Signal::STOP)?;
        found["median_ms"].as_f64().context("a measurement has a median")
    }

    /// What it says at the end: memory and errors.
    ///
    /// # Errors
    /// When the process ends before that.
    pub fn finish(mut self) -> anyhow::Result<Value> {
        self.signal(Signal::CONT)?;
        writeln!(self.input, "finish")?;
        self.read()
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill_process_group(Pid::from_child(&self.child), signal)?)
    }

    /// The next line that is an object; engines may print others.
    fn read(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        while self.output.read_line(&mut line)? > 0 {
            if line.starts_with('{') {
                return Ok(serde_json::from_str(&line)?);
            }
            line.clear();
        }
        let mut text = String::new();
        self.errors.rewind()?;
        self.errors.read_to_string(&mut text)?;
        bail!("it ended: {}", text.trim().lines().last().unwrap_or("without a word"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

fn command(root: &Path, engine: &str, model: &str, threads: usize) -> anyhow::Result<Command> {
    let (onnx, npz) = (file(model, "onnx"), file(model, "npz"));
    let threads = threads.to_string();
    let mut command = match engine {
        OURS => {
            let program = env::current_exe()?.with_file_name("tracelift");
            let mut command = Command::new(program);
            command.arg("bench").arg(onnx).arg("--inputs").arg(npz);
            command.args(["--threads", &threads, "--serve"]);
            command
        }
        "onnxruntime" | "openvino" => {
            let python = env::var_os("TRACELIFT_PEERS_PYTHON").map(Into::into);
            let python = python.unwrap_or_else(|| data_folder().join("venv/bin/python"));
            let mut command = Command::new(python);
            command.arg(root.join("crates/bench/peers/serve.py")).arg(engine);
            command.arg(onnx).arg(npz).arg(&threads);
            command
        }
        "tract" | "rten" => {
            let mut command = Command::new(data_folder().join("rust_target/release/rust_peers"));
            command.args(["--engine", engine, "--threads", &threads]);
            command.arg("--model").arg(onnx).arg("--io").arg(npz);
            command
        }
        _ => bail!("found engine '{engine}', expected some of {}", PEERS.join(", ")),
    };
    command.env("RUST_BACKTRACE", "0");
    Ok(command)
}
