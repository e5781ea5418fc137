//! Runs one ONNX model with one Rust engine (tract or rten) and speaks the line protocol of
//! `../serve.py`.
#![forbid(unsafe_code)]

use anyhow::{anyhow, bail, Context, Result};
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::NpzReader;
use serde_json::json;
use std::fs::File;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Instant;

#[derive(Clone)]
enum In {
    F32(ArrayD<f32>),
    I64(ArrayD<i64>),
}

fn load_npz(path: &str, prefix: &str) -> Result<Vec<In>> {
    let mut z = NpzReader::new(File::open(path)?)?;
    let names = z.names()?;
    let mut v = vec![];
    for i in 0.. {
        let key = format!("{prefix}_{i}");
        // Older and newer writers disagree about the ".npy" suffix.
        let Some(name) = names.iter().find(|n| n.trim_end_matches(".npy") == key) else { break };
        if let Ok(a) = z.by_name::<OwnedRepr<f32>, IxDyn>(name) {
            v.push(In::F32(a));
        } else if let Ok(a) = z.by_name::<OwnedRepr<i64>, IxDyn>(name) {
            v.push(In::I64(a));
        } else {
            bail!("{key}: neither f32 nor i64");
        }
    }
    Ok(v)
}

trait Engine {
    fn run(&mut self) -> Result<()>;
    fn outputs(&mut self) -> Result<Vec<Vec<f32>>>;
}

mod tr {
    use super::*;
    use tract_onnx::prelude::*;
    pub struct Tract {
        state: TypedSimpleState,
        inputs: TVec<TValue>,
    }
    pub fn load(model: &str, inputs: &[In], threads: usize) -> Result<Tract> {
        use tract_linalg::multithread::{set_default_executor, Executor};
        if threads > 1 {
            set_default_executor(Executor::multithread(threads));
        }
        let ins: Vec<Tensor> = inputs
            .iter()
            .map(|i| match i {
                In::F32(a) => Tensor::from_shape(a.shape(), a.as_slice().unwrap()),
                In::I64(a) => Tensor::from_shape(a.shape(), a.as_slice().unwrap()),
            })
            .collect::<TractResult<_>>()?;
        let mut m = tract_onnx::onnx().model_for_path(model)?;
        for (ix, t) in ins.iter().enumerate() {
            m.set_input_fact(ix, InferenceFact::dt_shape(t.datum_type(), t.shape()))?;
        }
        let m = m.into_optimized()?;
        let plan = m.into_runnable()?;
        let state = plan.spawn()?;
        Ok(Tract { state, inputs: ins.into_iter().map(|t| t.into_tvalue()).collect() })
    }
    impl Engine for Tract {
        fn run(&mut self) -> Result<()> {
            self.state.run(self.inputs.clone())?;
            Ok(())
        }
        fn outputs(&mut self) -> Result<Vec<Vec<f32>>> {
            let o = self.state.run(self.inputs.clone())?;
            o.iter()
                .map(|t| Ok(t.cast_to::<f32>()?.try_as_plain_ram()?.as_slice::<f32>()?.to_vec()))
                .collect()
        }
    }
}

mod rt {
    use super::*;
    use rten::{Model, ModelOptions, NodeId, RunOptions, Value, ValueOrView};
    use rten_tensor::prelude::*;
    pub struct Rten {
        model: Model,
        inputs: Vec<(NodeId, Value)>,
        outs: Vec<NodeId>,
        opts: RunOptions,
    }
    pub fn load(model: &str, inputs: &[In], threads: usize) -> Result<Rten> {
        let mut o = ModelOptions::with_all_ops();
        o.prepack_weights(true);
        let model = o.load_file(model)?;
        let ids = model.input_ids().to_vec();
        let outs = model.output_ids().to_vec();
        if ids.len() != inputs.len() {
            bail!("model has {} inputs, npz {}", ids.len(), inputs.len());
        }
        let inputs = ids
            .into_iter()
            .zip(inputs)
            .map(|(id, i)| {
                let v = match i {
                    In::F32(a) => Value::from_shape(a.shape(), a.iter().copied().collect::<Vec<f32>>())
                        .map_err(|e| anyhow!("{e}"))?,
                    In::I64(a) => Value::from_shape(a.shape(), a.iter().map(|&x| x as i32).collect::<Vec<i32>>())
                        .map_err(|e| anyhow!("{e}"))?,
                };
                Ok((id, v))
            })
            .collect::<Result<Vec<_>>>()?;
        let pool = Arc::new(rten::ThreadPool::with_num_threads(threads));
        let opts = RunOptions::default().with_thread_pool(Some(pool));
        Ok(Rten { model, inputs, outs, opts })
    }
    impl Rten {
        fn go(&self) -> Result<Vec<Value>> {
            let ins = self.inputs.iter().map(|(i, v)| (*i, ValueOrView::from(v))).collect();
            self.model.run(ins, &self.outs, Some(self.opts.clone())).map_err(|e| anyhow!("{e}"))
        }
    }
    impl Engine for Rten {
        fn run(&mut self) -> Result<()> {
            self.go()?;
            Ok(())
        }
        fn outputs(&mut self) -> Result<Vec<Vec<f32>>> {
            self.go()?
                .iter()
                .map(|v| match v {
                    Value::FloatTensor(t) => Ok(t.iter().copied().collect()),
                    Value::Int32Tensor(t) => Ok(t.iter().map(|&x| x as f32).collect()),
                    _ => bail!("output type"),
                })
                .collect()
        }
    }
}

fn status_mb(field: &str) -> f64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|s| {
            s.lines()
                .find(|l| l.starts_with(field))
                .and_then(|l| l.split_whitespace().nth(1).and_then(|x| x.parse::<f64>().ok()))
        })
        .map_or(0.0, |kb| kb / 1024.0)
}

fn pct(v: &[f64], q: f64) -> f64 {
    let x = q * (v.len() - 1) as f64;
    let (i, f) = (x.floor() as usize, x.fract());
    if i + 1 < v.len() { v[i] * (1.0 - f) + v[i + 1] * f } else { v[i] }
}

fn measure(e: &mut dyn Engine, secs: f64) -> Result<serde_json::Value> {
    let w = Instant::now();
    while w.elapsed().as_secs_f64() < 0.1 * secs {
        e.run()?;
    }
    let mut v = vec![];
    let t0 = Instant::now();
    while v.len() < 3 || t0.elapsed().as_secs_f64() < secs {
        let t = Instant::now();
        e.run()?;
        v.push(t.elapsed().as_secs_f64() * 1e3);
    }
    v.sort_by(|a, b| a.total_cmp(b));
    Ok(json!({"event":"measure","n":v.len(),"median_ms":pct(&v,0.5),"min_ms":v[0]}))
}

fn say(v: serde_json::Value) {
    println!("{v}");
    std::io::stdout().flush().ok();
}

fn main() -> Result<()> {
    let mut arg = std::collections::HashMap::new();
    let mut it = std::env::args().skip(1);
    while let (Some(k), Some(v)) = (it.next(), it.next()) {
        arg.insert(k.trim_start_matches('-').to_string(), v);
    }
    let get = |k: &str| arg.get(k).cloned().with_context(|| format!("--{k} missing"));
    let (engine, model, io) = (get("engine")?, get("model")?, get("io")?);
    let threads: usize = get("threads")?.parse()?;
    let inputs = load_npz(&io, "in")?;
    let base = status_mb("VmRSS");
    let t0 = Instant::now();
    let mut e: Box<dyn Engine> = match engine.as_str() {
        "tract" => Box::new(tr::load(&model, &inputs, threads)?),
        "rten" => Box::new(rt::load(&model, &inputs, threads)?),
        _ => bail!("unknown engine"),
    };
    let load = t0.elapsed().as_secs_f64();
    e.run()?;
    let first = t0.elapsed().as_secs_f64();
    let version = match engine.as_str() { "tract" => "0.23.9", _ => "0.27.0" };
    say(json!({"event":"load","engine":engine,"version":version,"threads":threads,
        "load_s":load,"to_first_s":first,"rss_base_mb":base}));
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut w = line.split_whitespace();
        match w.next() {
            Some("measure") => {
                let s: f64 = w.next().unwrap_or("2").parse()?;
                say(measure(e.as_mut(), s)?);
            }
            Some("finish") => {
                let out = e.outputs()?;
                let peak = status_mb("VmHWM");
                let exp = load_npz(&io, "out")?;
                let (mut ma, mut mr) = (0f64, 0f64);
                if exp.len() != out.len() {
                    bail!("{} outputs, {} expected", out.len(), exp.len());
                }
                for (o, x) in out.iter().zip(&exp) {
                    let In::F32(x) = x else { bail!("expected output type") };
                    if x.len() != o.len() {
                        bail!("output size {} expected {}", o.len(), x.len());
                    }
                    let mut scale = 0f64;
                    let mut d = 0f64;
                    for (a, b) in o.iter().zip(x.iter()) {
                        let e = (*a as f64 - *b as f64).abs();
                        d = if e.is_nan() { f64::INFINITY } else { d.max(e) };
                        scale = scale.max(b.abs() as f64);
                    }
                    ma = ma.max(d);
                    mr = mr.max(d / scale.max(1e-30));
                }
                say(json!({"event":"final","peak_rss_mb":peak,"max_abs_err":ma,"max_rel_err":mr}));
                break;
            }
            _ => break,
        }
    }
    Ok(())
}
