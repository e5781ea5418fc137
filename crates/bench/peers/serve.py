#!/usr/bin/env python3
"""Loads one model in ONNX Runtime or OpenVINO and measures it when told to.

  serve.py ENGINE MODEL.onnx DATA.npz THREADS

Out: {"event":"load",...} at once; for each line `measure SECONDS` on standard input an
{"event":"measure",...}; for `finish` an {"event":"final",...}, which ends it.
"""
import json, os, sys, time

engine, model, data, threads = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
os.environ["OMP_NUM_THREADS"] = str(threads)
out = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # Engines print to standard output.
import numpy as np


def say(event, **values):
    out.write(json.dumps({"event": event, **values}) + "\n")
    out.flush()


def status_mb(field):
    with open("/proc/self/status") as lines:
        return next(int(l.split()[1]) / 1024 for l in lines if l.startswith(field))


def onnxruntime(inputs):
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = dict(zip([i.name for i in session.get_inputs()], inputs))
    run = lambda: session.run(None, feed)
    return run, run


def openvino(inputs):
    compiled = ov.Core().compile_model(model, "CPU", {
        "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads})
    request = compiled.create_infer_request()
    for k, x in enumerate(inputs):
        request.set_input_tensor(k, ov.Tensor(x, shared_memory=True))

    def outputs():
        request.infer()
        return [request.get_output_tensor(k).data.copy() for k in range(len(compiled.outputs))]
    return request.infer, outputs


def measure(run, seconds):
    start = time.perf_counter()
    while time.perf_counter() - start < 0.1 * seconds:
        run()
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < seconds:
        begin = time.perf_counter()
        run()
        times.append((time.perf_counter() - begin) * 1e3)
    return {"n": len(times), "median_ms": float(np.median(times)), "min_ms": min(times)}


file = np.load(data)
inputs = [np.ascontiguousarray(file[f"in_{k}"]) for k in range(len(file)) if f"in_{k}" in file]
expected = [file[f"out_{k}"] for k in range(len(file)) if f"out_{k}" in file]
if engine == "onnxruntime":
    import onnxruntime as ort
    version, load = ort.__version__, onnxruntime
else:
    import openvino as ov
    version, load = ov.__version__.split("-")[0], openvino
begin = time.perf_counter()  # Not the time to import a package.
run, outputs = load(inputs)
run()
say("load", version=version, to_first_s=time.perf_counter() - begin)
for line in sys.stdin:
    words = line.split()
    if words[0] == "measure":
        say("measure", **measure(run, float(words[1])))
    else:
        peak, worst = status_mb("VmHWM"), 0.0
        found = outputs()
        assert len(found) == len(expected)
        for x, e in zip(found, expected):
            error = np.abs(x.reshape(e.shape).astype("f8") - e).max() / np.abs(e).max()
            worst = max(worst, float("inf") if np.isnan(error) else float(error))
        say("final", peak_rss_mb=peak, max_rel_err=worst)
        break
