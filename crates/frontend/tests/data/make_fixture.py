"""Writes modules.safetensors: inputs, parameters and PyTorch's results for every module and option set.

Values: PyTorch 2.15.0. Run in this folder: python make_fixture.py
Names: `<case>/in.<k>`, `<case>/out`, `<case>/param.<name>`.
"""

import torch
from safetensors.torch import save_file
from torch import nn

torch.manual_seed(0)
torch.set_num_threads(1)
tensors = {}


def note(case, module, inputs, output):
    for k, x in enumerate(inputs):
        tensors[f"{case}/in.{k}"] = x.detach().clone().contiguous()
    for name, p in module.state_dict().items() if module is not None else []:
        tensors[f"{case}/param.{name}"] = p.detach().clone().contiguous()
    tensors[f"{case}/out"] = output.detach().clone().contiguous()


def case(name, module, *inputs):
    module.eval()
    # Statistics and affine parameters that differ from 0 and 1 show when they are mixed up.
    for key, p in module.state_dict().items():
        if "running_var" in key:
            p.copy_(torch.rand_like(p) + 0.5)
        elif "running_mean" in key or (p.is_floating_point() and p.dim() == 1):
            p.copy_(torch.randn_like(p))
    with torch.no_grad():
        note(name, module, inputs, module(*inputs))


image = torch.randn(2, 4, 9, 8)
case("conv", nn.Conv2d(4, 6, 3), image)
case("conv_options", nn.Conv2d(4, 8, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, bias=False), image)
case("conv_depthwise", nn.Conv2d(4, 4, 3, padding=1, groups=4), image)
case("conv_unbatched", nn.Conv2d(4, 3, 1), image[0])
case("linear", nn.Linear(5, 3), torch.randn(2, 4, 5))
case("linear_vector", nn.Linear(5, 3, bias=False), torch.randn(5))
case("max_pool", nn.MaxPool2d(2), image)
case("max_pool_options", nn.MaxPool2d((3, 2), stride=2, padding=1, dilation=(1, 2)), image)
case("max_pool_ceil", nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True), image)
case("avg_pool", nn.AvgPool2d(2), image)
case("avg_pool_pad", nn.AvgPool2d(3, stride=2, padding=1), image)
case("avg_pool_exclude", nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), image)
case("avg_pool_ceil", nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True), image)
case("avg_pool_ceil_exclude", nn.AvgPool2d((2, 3), stride=3, padding=1, ceil_mode=True, count_include_pad=False), image)
case("batch_norm", nn.BatchNorm2d(4), image)
case("batch_norm_plain", nn.BatchNorm2d(4, eps=1e-2, affine=False), image)
case("layer_norm", nn.LayerNorm(8), image)
case("layer_norm_axes", nn.LayerNorm([9, 8], eps=1e-3), image)
case("layer_norm_no_bias", nn.LayerNorm(8, bias=False), image)
case("layer_norm_plain", nn.LayerNorm(8, elementwise_affine=False), image)
case("embedding", nn.Embedding(7, 3), torch.tensor([[0, 6, 2], [3, 3, 1]]))
row = torch.linspace(-4, 4, 17)
case("relu", nn.ReLU(), row)
case("gelu", nn.GELU(), row)
case("gelu_tanh", nn.GELU(approximate="tanh"), row)
case("silu", nn.SiLU(), row)
case("tanh", nn.Tanh(), row)
case("sigmoid", nn.Sigmoid(), row)
case("softmax", nn.Softmax(dim=-2), torch.randn(2, 3, 4))
case("dropout", nn.Dropout(0.3), row)
case("flatten", nn.Flatten(), image)
case("flatten_axes", nn.Flatten(2, -1), image)


class Attend(nn.Module):
    def __init__(self, heads=2, **options):
        super().__init__()
        self.attend = nn.MultiheadAttention(8, heads, **options)

    def state_dict(self):
        return self.attend.state_dict()

    def forward(self, q, k, v, *masks):
        names = ["attn_mask", "key_padding_mask"][: len(masks)]
        return self.attend(q, k, v, need_weights=False, **dict(zip(names, masks)))[0]


q, kv = torch.randn(2, 5, 8), torch.randn(2, 3, 8)
causal = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
padding = torch.tensor([[False, False, True], [False, False, False]])
case("attention_self", Attend(batch_first=True), q, q, q)
case("attention_cross", Attend(), q.transpose(0, 1), kv.transpose(0, 1), kv.transpose(0, 1) * 2)
case("attention_no_bias", Attend(4, batch_first=True, bias=False), q, kv, kv)
case("attention_mask", Attend(batch_first=True), q, q, q, causal)
case("attention_float_mask", Attend(batch_first=True), q, kv, kv, torch.randn(4, 5, 3))
case("attention_both_masks", Attend(batch_first=True), q, kv, kv, torch.zeros(5, 3, dtype=torch.bool), padding)

case(
    "cnn",
    nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(27, 8), nn.GELU(), nn.Dropout(), nn.Linear(8, 4),
    ),
    torch.randn(2, 1, 6, 6),
)


def value(name, f, *inputs):
    note(name, None, inputs, f(*inputs))


a, b = torch.randn(2, 3, 4), torch.randn(3, 1)
value("op_arithmetic", lambda a, b: (2 - a) * b / (a * a + 1) - 3 * a + -b, a, b)
value("op_remainder", lambda a, b: a % b + a.fmod(b) % 0.7, a, b)
value("op_matmul", lambda a, b: a @ b, a, torch.randn(5, 1, 4, 2))
value("op_matmul_vector", lambda a, b: a @ b, a, torch.randn(4))
value("op_matmul_row", lambda a, b: a @ b, torch.randn(3), a)
value("op_reduce", lambda a: a.sum(-1) + a.amax(2) * a.mean(-1) - a.amin(-1) + a.prod(-1) + a.logsumexp(2), a)
value("op_var", lambda a: a.var((0, 2), keepdim=False) + a.var((0, 2), correction=0), a)
value("op_integer_sum", lambda a: a.sum(1), torch.tensor([[100, 100, 100], [1, 2, 3]], dtype=torch.uint8))
value("op_cumsum", lambda a: a.cumsum(1), a)
value("op_shape", lambda a: a.permute(2, 0, 1).reshape(4, -1).t().unsqueeze(-1).expand(-1, -1, 2).flatten(1), a)
value("op_slice", lambda a: torch.cat([a[:, 1:, ::2], a[:, :-1, -2:], a.narrow(2, 1, 2)[:, 2:]], 1), a)
value("op_chunk", lambda a: a.chunk(2, -1)[1] - a.chunk(2, -1)[0] + a.split([1, 2], 1)[1].select(2, 3).unsqueeze(-1).sum(1, keepdim=True), a)
value("op_stack", lambda a, b: torch.stack([a, b], -2), row, row * 2)
value("op_gather", lambda a, i: a.gather(2, i), a, torch.randint(0, 4, (2, 3, 2)))
value("op_index_select", lambda a, i: a.index_select(1, i), a, torch.tensor([2, 0, 0]))
value("op_where", lambda a: torch.where(a > 0, a, -2.0).masked_fill((a < 0.5) & ~(a < 0.1), 9.0), a)
value("op_arg", lambda a: a.argmax(-1) * 10 + a.argmin(-1), a)
value("op_topk", lambda a: a.topk(2, 1)[0] + a.topk(2, 1)[1], a)
value("op_tril", lambda a: a.tril(-1) + a.triu(1) * 2, a)
value("op_log_softmax", lambda a: a.log_softmax(1), a)
value("op_to", lambda a: (a * 10).to(torch.int32), a)
value("op_clamp", lambda a: a.clamp(-0.5, 0.5) + a.abs().sqrt().rsqrt() + a.sign() * a.exp().log(), a)

save_file(tensors, "modules.safetensors")
