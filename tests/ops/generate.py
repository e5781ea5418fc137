"""Writes the conformance files of this folder, one per operator, from values of other programs.

Run: python tests/ops/generate.py   (numpy, torch and scipy installed)

The output depends on nothing but the versions of those programs, which each file names. Floats are
computed in f64 and rounded once to the dtype of the result, unless an operation is exact in f32.
"""

import pathlib
import warnings

import numpy as np

warnings.filterwarnings("ignore")
FOLDER = pathlib.Path(__file__).parent
NAMES = {"bool": np.bool_, "f32": np.float32, "f64": np.float64}
NAMES |= {f"{s}{b}": np.dtype(f"{k}{b}").type for s, k in (("i", "int"), ("u", "uint")) for b in (8, 16, 32, 64)}
DTYPES = {np.dtype(v): k for k, v in NAMES.items()}
FILES = {}


def number(x):
    """The shortest text that reads back to the same number."""
    if isinstance(x, np.bool_):
        return "true" if x else "false"
    if isinstance(x, np.integer):
        return str(int(x))
    text = "nan" if np.isnan(x) else np.format_float_positional(x, trim="-")
    short = text if len(text) < 18 or np.isnan(x) else np.format_float_scientific(x, trim="-")
    return short


def tensor(x):
    """The text of an array, such as `f32[2, 1] 1 2`."""
    x = np.asarray(x)
    shape = ", ".join(map(str, x.shape))
    return " ".join([f"{DTYPES[x.dtype]}[{shape}]", *map(number, x.ravel())])


class File:
    """The cases of one operator and where their values come from."""

    def __init__(self, name, source):
        self.name, self.source, self.cases = name, source, []
        assert name not in FILES, name
        FILES[name] = self

    def case(self, name, inputs, outputs, attributes="", ulp=0, abs=0.0):
        """One case; several outputs are a list."""
        assert all(case["name"] != name for case in self.cases), (self.name, name)
        op = f"{self.name}({attributes})" if attributes else self.name
        case = {"name": name, "op": op, "inputs": [tensor(x) for x in inputs]}
        if isinstance(outputs, list):
            case["outputs"] = [tensor(y) for y in outputs]
        else:
            case["output"] = tensor(outputs)
        case |= {k: v for k, v in (("ulp", ulp), ("abs", abs)) if v}
        self.cases.append(case)
        return self

    def refuses(self, name, inputs, error, attributes=""):
        """A case whose operand types, given as text, violate a constraint."""
        assert all(case["name"] != name for case in self.cases), (self.name, name)
        op = f"{self.name}({attributes})" if attributes else self.name
        self.cases.append({"name": name, "op": op, "inputs": list(inputs), "error": error})
        return self

    def text(self):
        lines = [f"# Values: {self.source}. Written by generate.py."]
        for case in self.cases:
            lines += ["", "[[test]]"]
            lines += [f"{key} = {value_text(value)}" for key, value in case.items()]
        return "\n".join(lines) + "\n"


def value_text(value):
    if isinstance(value, str):
        return f"'{value}'" if '"' in value else f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(map(value_text, value)) + "]"
    return repr(value)


def draw(shape, seed, dtype=np.float32, scale=8):
    """Numbers that are exact in every dtype: multiples of 1/scale for floats, small integers else."""
    rng = np.random.default_rng(seed)
    if dtype == np.bool_:
        return rng.integers(0, 2, shape).astype(bool)
    if np.issubdtype(dtype, np.integer):
        low = 0 if np.issubdtype(dtype, np.unsignedinteger) else -9
        return rng.integers(low, 10, shape).astype(dtype)
    return (rng.integers(-3 * scale, 3 * scale + 1, shape) / scale).astype(dtype)


def f32(*values):
    return np.array(values, np.float32)


def f64(*values):
    return np.array(values, np.float64)


def main():
    import composites
    import primitives

    primitives.write(File)
    composites.write(File)
    for stale in FOLDER.glob("*.toml"):
        if stale.stem not in FILES:
            stale.unlink()
    for name, file in FILES.items():
        (FOLDER / f"{name}.toml").write_text(file.text())


if __name__ == "__main__":
    import sys

    sys.dont_write_bytecode = True
    sys.modules["generate"] = sys.modules["__main__"]
    sys.path.insert(0, str(FOLDER / "generate"))
    main()
