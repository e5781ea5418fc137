use std::path::Path;
use tracelift::prelude::*;
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let t0 = std::time::Instant::now();
    let model = tracelift::load(&path).unwrap_or_else(|e| {
        eprintln!("{e}");
        std::process::exit(2)
    });
    println!("load {:.3}", t0.elapsed().as_secs_f64());
    let c =
        model.compile(&Options { compile_threads: 1, ..Options::default() }).unwrap_or_else(|e| {
            eprintln!("{e}");
            std::process::exit(2)
        });
    let io = tracelift::tensor::npz::read_npz(Path::new(&path.replace(".onnx", ".npz"))).unwrap();
    let ins: Vec<Tensor> =
        io.iter().filter(|(n, _)| n.starts_with("in_")).map(|(_, t)| t.clone()).collect();
    let outs: Vec<Tensor> =
        io.iter().filter(|(n, _)| n.starts_with("out_")).map(|(_, t)| t.clone()).collect();
    let y = c.run(&ins).unwrap();
    println!("to_first {:.3}", t0.elapsed().as_secs_f64());
    let s = c.for_inputs(&ins).unwrap();
    let r = s.report();
    println!(
        "{:?} kernels {} launches {} arena {} live {} consts {}",
        r.stages, r.n_kernels, r.n_launches, r.arena_bytes, r.max_live_bytes, r.constant_bytes
    );
    for (a, e) in y.iter().zip(&outs) {
        let (a, e): (Vec<f32>, Vec<f32>) = (a.to_vec(), e.to_vec());
        assert_eq!(a.len(), e.len());
        let m = e.iter().fold(0f32, |m, x| m.max(x.abs()));
        let d = a.iter().zip(&e).fold(0f32, |m, (x, y)| {
            if (x - y).is_nan() { f32::INFINITY } else { m.max((x - y).abs()) }
        });
        println!("rel err {:e} (max {m})", d / m);
    }
    let mut ctx = s.context(1);
    for _ in 0..3 {
        let t = std::time::Instant::now();
        s.program().run_tensors(&mut ctx, &ins).unwrap();
        println!("run {:.2} ms", t.elapsed().as_secs_f64() * 1e3);
    }
    if std::env::args().nth(2).is_some() {
        let bytes: Vec<&[u8]> = ins.iter().map(|t| &t.bytes()[..]).collect();
        let mut bufs: Vec<Vec<u8>> = y.iter().map(|t| vec![0; t.bytes().len()]).collect();
        let mut views: Vec<&mut [u8]> = bufs.iter_mut().map(|b| &mut b[..]).collect();
        let times = s.program().run_profiled(&mut ctx, &bytes, &mut views).unwrap();
        let p = s.program().plan();
        let mut rows: Vec<_> = times.iter().zip(&p.launches).collect();
        rows.sort_by_key(|(t, _)| std::cmp::Reverse(**t));
        for (t, l) in rows.iter().take(25) {
            println!(
                "{:9.3} ms {} tasks {} {}",
                **t as f64 / 1e6,
                p.kernels[l.kernel],
                l.n_tasks,
                &l.label.chars().take(100).collect::<String>()
            );
        }
    }
}
