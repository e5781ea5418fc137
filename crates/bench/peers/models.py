#!/usr/bin/env python3
"""Writes the benchmark models: NAME.onnx and NAME.npz (in_0.. inputs, out_0.. torch's outputs, f32).

  models.py FOLDER [NAME...]

Weights are seeded and random; batch norms are calibrated by one pass, norms and biases perturbed so
that a wrong fold shows. NAME.json has the operations of products and convolutions, those with
padding left out, and torch's own error in f32 against f64. What is present is kept.
"""
import copy, json, os, sys, warnings, zlib

NAMES = ["small_cnn_b1", "small_cnn_b32", "resnet18", "resnet50", "mobilenet_v2", "squeezenet1_1",
         "bert_base_s128", "bert_base_s384", "gpt2_prefill_s128"]
SEED = 20260101
folder, names = sys.argv[1], sys.argv[2:] or NAMES
names = [n for n in names if not os.path.exists(os.path.join(folder, n + ".json"))]
if not names:
    sys.exit(0)
warnings.filterwarnings("ignore")
import numpy as np
import torch
from torch import nn


def perturb(module):
    with torch.no_grad():
        for m in module.modules():
            w, b = getattr(m, "weight", None), getattr(m, "bias", None)
            if "norm" in type(m).__name__.lower() and isinstance(w, torch.Tensor) and w.dim() == 1:
                w.mul_(1 + 0.1 * torch.randn_like(w))
            if isinstance(b, torch.Tensor) and b.dim() == 1 and not bool(b.any()):
                b.add_(0.02 * torch.randn_like(b))


def calibrate(module, x):
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 1.0
    module.train()
    if norms:
        with torch.no_grad():
            module(x)
    for m, momentum in zip(norms, momenta):
        m.momentum = momentum
    return module.eval()


def image(name, make, size=224, channels=3, batch=1):
    torch.manual_seed(SEED + zlib.crc32(name.encode()) % 100000)
    module = make()
    perturb(module)
    calibrate(module, torch.randn(8, channels, size, size))
    return module, (torch.randn(batch, channels, size, size),), ["x"], ["y"]


def small_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 8 * 8, 128), nn.ReLU(), nn.Linear(128, 10))


class Bert(nn.Module):
    def __init__(self, m):
        super().__init__()
        self.m = m

    def forward(self, input_ids, attention_mask):
        o = self.m(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        return o.logits, o.hidden_states[-1]  # Two logits alone would let wrong numbers through.


class Gpt2(nn.Module):
    def __init__(self, m):
        super().__init__()
        self.m = m

    def forward(self, input_ids):
        return self.m(input_ids=input_ids, use_cache=False).logits


def build(name):
    if name.startswith("small_cnn_b"):
        return image("small_cnn", small_cnn, 32, 1, int(name.split("_b")[1]))
    if name in ("resnet18", "resnet50", "mobilenet_v2", "squeezenet1_1"):
        import torchvision.models as vision
        model = image(name, lambda: getattr(vision, name)(weights=None))
        if name == "squeezenet1_1":  # As initialised its output hardly depends on its input.
            with torch.no_grad():
                for m in model[0].modules():
                    if isinstance(m, nn.Conv2d) and m.in_channels > 3:
                        m.weight.sub_(m.weight.mean(1, keepdim=True)).mul_(1.5)
                model[0].classifier[1].weight.mul_(10)
        return model
    import transformers
    transformers.logging.set_verbosity_error()
    base, length = name.rsplit("_s", 1)
    torch.manual_seed(SEED + zlib.crc32(base.encode()) % 100000)
    if base == "bert_base":
        module = transformers.BertForSequenceClassification(transformers.BertConfig(num_labels=2))
        wrapper, vocabulary = Bert, 30522
    else:
        module, wrapper, vocabulary = transformers.GPT2LMHeadModel(transformers.GPT2Config()), Gpt2, 50257
    perturb(module.eval())
    ids = torch.randint(5, vocabulary - 5, (1, int(length)), dtype=torch.long)
    if wrapper is Bert:
        mask = torch.ones(1, int(length), dtype=torch.long)
        return Bert(module).eval(), (ids, mask), ["input_ids", "attention_mask"], ["logits", "hidden"]
    return Gpt2(module).eval(), (ids,), ["input_ids"], ["logits"]


def flops(module, inputs):
    from torch.utils.flop_counter import FlopCounterMode
    from torch.nn.attention import SDPBackend, sdpa_kernel
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(*inputs)
    padding = 0

    def count(conv, i, o):
        nonlocal padding
        taps = [(o.shape[a] * k, sum(0 <= p * s - q + t < i[0].shape[a]
                                     for p in range(o.shape[a]) for t in range(k)))
                for a, k, s, q in zip((2, 3), conv.kernel_size, conv.stride, conv.padding)]
        (all_y, in_y), (all_x, in_x) = taps
        channels = o.shape[0] * o.shape[1] * (i[0].shape[1] // conv.groups)
        padding += 2 * channels * (all_y * all_x - in_y * in_x)
    hooks = [m.register_forward_hook(count) for m in module.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        module(*inputs)
    for hook in hooks:
        hook.remove()
    total = int(counter.get_total_flops())
    return total, total - padding


def write(name):
    module, inputs, input_names, output_names = build(name)
    listed = lambda o: [o] if isinstance(o, torch.Tensor) else list(o)
    with torch.no_grad():
        expected = listed(module(*inputs))
        wide = [x.double() if x.is_floating_point() else x for x in inputs]
        exact = listed(copy.deepcopy(module).double()(*wide))
    total, unpadded = flops(module, inputs)
    path = os.path.join(folder, name)
    with torch.no_grad():
        torch.onnx.export(module, inputs, path + ".onnx", input_names=input_names,
                          output_names=output_names, opset_version=18, dynamo=True,
                          external_data=False, verbose=False)
    arrays = {f"in_{k}": x.numpy() for k, x in enumerate(inputs)}
    arrays |= {f"out_{k}": y.numpy() for k, y in enumerate(expected)}
    np.savez(path + ".npz", **arrays)
    error = max(((y - e).abs().max() / e.abs().max()).item() for y, e in zip(expected, exact))
    with open(path + ".json", "w") as out:
        json.dump({"flops": total, "flops_without_padding": unpadded,
                   "torch_f32_vs_f64": error, "torch": torch.__version__}, out)
    print(f"{name}: {total / 1e9:.2f} GFLOP, torch's own error {error:.1e}", flush=True)


os.makedirs(folder, exist_ok=True)
for name in names:
    write(name)
