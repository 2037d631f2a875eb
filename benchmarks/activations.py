#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks, then times, the activations beside NumPy with SciPy and PyTorch, and beside a plain copy of the same bytes.

Every result is held against the formula in float64 first. The gradients of PyTorch marked "y" are computed from the output
of the forward pass, which others have kept for them; chanconv's are functions of the input, but in the pass "from y" for
those that can do so as exactly. "copy" is the time of copying as many bytes as the pass reads and writes, into a new array
as every result is one, by that of the pass.

With --fused, the activations inside a convolution of 56x56, 64 to 64 channels, 3x3, and a transposed one, beside none.
"""
import argparse
from functools import partial
import json
import os
from pathlib import Path
import platform
from statistics import median

import numpy as np

import chanconv
from chanconv import activations
import report
from timing import CLOCKS, interleave

STATISTICS = {"median": median, "best": min}


# ---- The formulas, as a user of NumPy and SciPy writes them -----------------------------------------------------------


def _numpy_formulas(special):
    """By name: value(x), slope(x) and whether they need more than arithmetic; without SciPy what needs none of it."""
    one = lambda x: x.dtype.type(1)
    plain = {
        "relu": (lambda x: np.maximum(x, 0), lambda x: x > 0),
        "relu6": (lambda x: np.clip(x, 0, 6), lambda x: (x > 0) & (x < 6)),
        "leaky_relu": (lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, one(x), x.dtype.type(0.01))),
        "hard_tanh": (lambda x: np.clip(x, -1, 1), lambda x: (x > -1) & (x < 1)),
        "hard_sigmoid": (lambda x: np.clip(x + 3, 0, 6) / 6, lambda x: ((x > -3) & (x < 3)) / x.dtype.type(6)),
        "hard_silu": (lambda x: x * (np.clip(x + 3, 0, 6) / 6),
                      lambda x: np.where(x >= 3, one(x), np.where(x > -3, x / 3 + x.dtype.type(0.5), 0 * one(x)))),
        "softshrink": (lambda x: np.sign(x) * np.maximum(np.abs(x) - x.dtype.type(0.5), 0), lambda x: np.abs(x) > 0.5),
        "hardshrink": (lambda x: np.where(np.abs(x) > 0.5, x, 0 * one(x)), lambda x: np.abs(x) > 0.5),
        "softsign": (lambda x: x / (1 + np.abs(x)), lambda x: 1 / np.square(1 + np.abs(x))),
    }
    if special is None:
        return {name: (*pair, False) for name, pair in plain.items()}
    expit, root = special.expit, np.sqrt(2 * np.pi)
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    soft = lambda x: np.logaddexp(x, 0 * one(x))
    below = lambda x: np.minimum(x, 0)

    def mish_slope(x):
        t = np.tanh(soft(x))
        return t + x * expit(x) * (1 - t * t)

    def silu_slope(x):
        s = expit(x)
        return s * (1 + x * (1 - s))

    def gelu_slope(x):
        return special.ndtr(x) + x * np.exp(-x * x / 2) / x.dtype.type(root)

    curved = {
        "elu": (lambda x: np.where(x > 0, x, np.expm1(below(x))), lambda x: np.where(x > 0, one(x), np.exp(below(x)))),
        "selu": (lambda x: x.dtype.type(scale) * np.where(x > 0, x, x.dtype.type(alpha) * np.expm1(below(x))),
                 lambda x: x.dtype.type(scale) * np.where(x > 0, one(x), x.dtype.type(alpha) * np.exp(below(x)))),
        "celu": (lambda x: np.where(x > 0, x, np.expm1(below(x))), lambda x: np.where(x > 0, one(x), np.exp(below(x)))),
        "gelu": (lambda x: x * special.ndtr(x), gelu_slope),
        "silu": (lambda x: x * expit(x), silu_slope),
        "mish": (lambda x: x * np.tanh(soft(x)), mish_slope),
        "sigmoid": (expit, lambda x: expit(x) * expit(-x)),
        "log_sigmoid": (lambda x: -soft(-x), lambda x: expit(-x)),
        "tanh": (np.tanh, lambda x: 1 - np.square(np.tanh(x))),
        "softplus": (soft, expit),
        "tanhshrink": (lambda x: x - np.tanh(x), lambda x: np.square(np.tanh(x))),
    }
    return {name: (*pair, name in curved) for name, pair in (plain | curved).items()}


def _numpy_calls(special, name, x, g):
    """Calls of the two passes, for one of the formulas, or along the last axis."""
    formulas = _numpy_formulas(special)
    if name in formulas:
        value, slope, _ = formulas[name]
        return {"forward": lambda: value(x), "backward": lambda: g * slope(x)}
    if special is None or name == "prelu":
        return {}
    softmax = partial(special.softmax, axis=-1)
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]

    def softmax_backward():
        y = softmax(x)
        return y * (g - (g * y).sum(-1, keepdims=True))

    def glu_backward():
        s = special.expit(b)
        return np.concatenate([g * s, g * a * s * special.expit(-b)], -1)

    return {
        "softmax": {"forward": lambda: softmax(x), "backward": softmax_backward},
        "log_softmax": {"forward": lambda: special.log_softmax(x, axis=-1),
                        "backward": lambda: g - softmax(x) * g.sum(-1, keepdims=True)},
        "glu": {"forward": lambda: a * special.expit(b), "backward": glu_backward},
    }[name]


# ---- PyTorch ----------------------------------------------------------------------------------------------------------


def _torch_calls(torch, name, x, g):
    """Calls of the two passes, for the inference mode: of what autograd itself would call."""
    f, aten = torch.nn.functional, torch.ops.aten
    x, g = torch.from_numpy(x), torch.from_numpy(g)
    slope = torch.full((1 if x.dim() == 1 else x.shape[-1],), 0.25, dtype=x.dtype)
    forward = {
        "relu": torch.relu, "relu6": f.relu6, "leaky_relu": f.leaky_relu, "elu": f.elu, "selu": f.selu, "celu": f.celu,
        "gelu": f.gelu, "silu": f.silu, "mish": f.mish, "sigmoid": torch.sigmoid, "log_sigmoid": f.logsigmoid,
        "hard_sigmoid": f.hardsigmoid, "hard_silu": f.hardswish, "tanh": torch.tanh, "hard_tanh": f.hardtanh,
        "softplus": f.softplus, "softsign": f.softsign, "softshrink": f.softshrink, "hardshrink": f.hardshrink,
        "tanhshrink": f.tanhshrink, "softmax": partial(torch.softmax, dim=-1), "glu": f.glu,
        "log_softmax": partial(torch.log_softmax, dim=-1), "prelu": lambda x: torch.prelu(x, slope),
    }[name]
    y = forward(x)
    buffer = aten.log_sigmoid_forward(x)[1] if name == "log_sigmoid" else None
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    backward = {
        "relu": lambda: aten.threshold_backward(g, x, 0), "relu6": lambda: aten.hardtanh_backward(g, x, 0, 6),
        "leaky_relu": lambda: aten.leaky_relu_backward(g, x, 0.01, False),
        "elu": lambda: aten.elu_backward(g, 1, 1, 1, False, x), "celu": lambda: aten.elu_backward(g, 1, 1, 1, False, x),
        "selu": lambda: aten.elu_backward(g, alpha, scale, 1, False, x), "gelu": lambda: aten.gelu_backward(g, x),
        "silu": lambda: aten.silu_backward(g, x), "mish": lambda: aten.mish_backward(g, x),
        "sigmoid": lambda: aten.sigmoid_backward(g, y), "tanh": lambda: aten.tanh_backward(g, y),
        "log_sigmoid": lambda: aten.log_sigmoid_backward(g, x, buffer),
        "hard_sigmoid": lambda: aten.hardsigmoid_backward(g, x), "hard_silu": lambda: aten.hardswish_backward(g, x),
        "hard_tanh": lambda: aten.hardtanh_backward(g, x, -1, 1), "softplus": lambda: aten.softplus_backward(g, x, 1, 20),
        "softshrink": lambda: aten.softshrink_backward(g, x, 0.5), "glu": lambda: aten.glu_backward(g, x, -1),
        "hardshrink": lambda: aten.hardshrink_backward(g, x, 0.5),
        "softmax": lambda: aten._softmax_backward_data(g, y, -1, x.dtype),
        "log_softmax": lambda: aten._log_softmax_backward_data(g, y, -1, x.dtype),
    }.get(name)  # softsign and tanhshrink have none of their own
    return {"forward": lambda: forward(x), "backward": backward}


FROM_OUTPUT = ("sigmoid", "tanh", "softmax", "log_softmax")
FROM_EITHER = ("softmax", "log_softmax")  # with chanconv


# ---- One activation ---------------------------------------------------------------------------------------------------


def _arrays(name, count, dtype):
    """x and the gradient of its activation: `count` elements in rows of 1000."""
    rng = np.random.default_rng(0)
    shape = (count // 1000, 1000) if count > 1000 else (count,)
    x = rng.normal(0, 2, shape).astype(dtype)
    g = rng.normal(size=shape if name != "glu" else (*shape[:-1], shape[-1] // 2)).astype(dtype)
    return x, g


def _own_calls(name, x, g):
    forward, backward = getattr(activations, name), getattr(activations, f"{name}_backward")
    if name == "prelu":
        slope = np.full(1 if x.ndim == 1 else x.shape[-1], 0.25, x.dtype)
        return {"forward": lambda: forward(x, slope), "backward": lambda: backward(g, x, slope)}
    activation, y = activations.get(name), forward(x)
    from_y = {"from y": lambda: activation.backward_from_output(g, y)} if name in FROM_EITHER else {}
    return {"forward": lambda: forward(x), "backward": lambda: backward(g, x), **from_y}


def _expected(special, name, what, x, g):
    """The result in float64, from the formulas."""
    x, g = x.astype(np.float64), g.astype(np.float64)
    if name == "prelu":
        return np.where(x > 0, x, 0.25 * x) if what == "forward" else np.where(x > 0, g, 0.25 * g)
    call = _numpy_calls(special, name, x, g).get(what)
    return call() if call else None


def _right(result, right, x):
    """Whether a result is what float64 gives, to rounding: in float64 itself the formulas lose some digits."""
    result = np.asarray(result[0] if isinstance(result, tuple) else result)
    unit = np.finfo(x.dtype).eps * (1 + np.abs(right))
    return result.dtype == x.dtype and bool((np.abs(result - right) <= 64 * unit).all())


def _copy_call(x, g, what):
    """A copy of half the bytes that the pass reads and writes: it reads them and writes them."""
    items = x.size + (g.size if what == "backward" else 0) + (g.size if what == "forward" else x.size)
    source = np.ones((items + 1) // 2, x.dtype)
    return source.copy


def measure(name, kind, count, dtype, threads, options, special, torch):
    """The record of one activation and pass, ready for JSON."""
    x, g = _arrays(name, count, dtype)
    calls = {"chanconv": _own_calls(name, x, g)[kind]}
    what = "backward" if kind == "from y" else kind
    if special is not None or name in _numpy_formulas(None):
        calls["numpy"] = _numpy_calls(special, name, x, g).get(what)
    if torch is not None:
        calls["torch"] = _torch_calls(torch, name, x, g).get(what)
    calls = {engine: call for engine, call in calls.items() if call}
    right, wrong = _expected(special, name, what, x, g), []
    if right is not None:
        wrong = [engine for engine, call in calls.items() if not _right(call(), right, x)]
    del right
    calls = {engine: call for engine, call in calls.items() if engine not in wrong or engine == "chanconv"}
    calls["copy"] = _copy_call(x, g, what)
    samples = interleave(calls, options.rounds, options.sample, threads > 1, CLOCKS[options.clock])
    seconds = {engine: STATISTICS[options.by](values) for engine, values in samples.items()}
    curved = _numpy_formulas(special).get(name, (0, 0, name != "prelu"))[2]
    return {"activation": name, "pass": kind, "count": count, "dtype": np.dtype(dtype).name, "threads": threads,
            "transcendental": curved, "from_output": what == "backward" and name in FROM_OUTPUT, "wrong": wrong,
            "seconds": seconds}


def row(record):
    """One record as a line."""
    t = record["seconds"]

    def ratio(engine):
        return f"{t[engine] / t['chanconv']:6.2f}" if engine in t else "     -"

    mark = "y" if record["from_output"] and "torch" in t else " "
    wrong = f"  WRONG: {', '.join(record['wrong'])}" if record["wrong"] else ""
    return (f"{record['activation']:<13}{record['pass']:<9}{record['dtype']:<8}{record['count']:>9}{record['threads']:>3}"
            f"{1e6 * t['chanconv']:>11.2f}{ratio('torch')}{mark}{ratio('numpy')} {100 * t['copy'] / t['chanconv']:>6.0f}{wrong}")


COLUMNS = (f"{'activation':<13}{'pass':<9}{'dtype':<8}{'count':>9}{'T':>3}{'us':>11}{'torch':>6} {'numpy':>6} {'copy %':>6}"
           "   (torch, numpy: their time by chanconv's)")


# ---- Fused into a convolution -----------------------------------------------------------------------------------------


def fused(options, names):
    """The time of a layer with each activation by that without, interleaved; and of the activation on its own."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 56, 56, 64), dtype=np.float32)
    kernel = rng.standard_normal((3, 3, 64, 64), dtype=np.float32) / 24
    bias = np.zeros(64, np.float32)
    layers = {"conv": partial(chanconv.conv, padding=1), "conv_transpose": partial(chanconv.conv_transpose, padding=1)}
    for layer, convolve in layers.items():
        calls = {name: partial(convolve, x, kernel, bias=bias, activation=name) for name in ("identity", *names)}
        calls["none again"] = partial(convolve, x, kernel, bias=bias)
        samples = interleave(calls, options.rounds, options.sample, clock=CLOCKS[options.clock])
        seconds = {name: STATISTICS[options.by](values) for name, values in samples.items()}
        for name in ("none again", *names):
            yield {"layer": layer, "activation": name, "microseconds": 1e6 * seconds[name],
                   "percent_more": 100 * (seconds[name] / seconds["identity"] - 1)}


# ---- A table -----------------------------------------------------------------------------------------------------------


def _cell(record):
    """Time of PyTorch / of NumPy by that of chanconv, and percent of the speed of a copy."""
    t = record["seconds"]
    ratios = " / ".join(f"{t[engine] / t['chanconv']:.1f}" if engine in t else "-" for engine in ("torch", "numpy"))
    return f"{ratios}, {100 * t['copy'] / t['chanconv']:.0f} %"


def table(records):
    """Records of float32 as lines of Markdown: a row for an activation and pass, columns for sizes."""
    records = [r for r in records if r["dtype"] == "float32"]
    counts = sorted({r["count"] for r in records})
    cells = {(r["activation"], r["pass"], r["count"]): _cell(r) for r in records}
    yield "| activation | pass | " + " | ".join(f"{count:,} elements" for count in counts) + " |"
    yield "| --- | --- |" + " --- |" * len(counts)
    for name, what in dict.fromkeys((r["activation"], r["pass"]) for r in records):
        yield f"| `{name}` | {what} | " + " | ".join(cells.get((name, what, count), "") for count in counts) + " |"


# ---- The program ------------------------------------------------------------------------------------------------------


def _optional(module):
    try:
        return __import__(module, fromlist=["_"])
    except ImportError as error:
        print(f"{module}: skipped, {error}")
        return None


def parse(argv):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    names = [n for n in activations.__all__ if hasattr(activations, f"{n}_backward") and n not in ("identity", "threshold")]
    add("--activations", nargs="+", default=names, choices=names, metavar="NAME")
    passes = ["forward", "backward", "from y"]
    add("--passes", nargs="+", default=passes, choices=passes)
    add("--counts", nargs="+", type=int, default=[1000, 100_000, 10_000_000])
    add("--dtypes", nargs="+", default=["float32", "float64"], choices=["float32", "float64"])
    add("--threads", nargs="+", type=int, default=[1])
    add("--rounds", type=int, default=7)
    add("--sample", type=float, default=0.002, metavar="SECONDS", help="least length of a sample (default: 0.002)")
    add("--by", default="median", choices=STATISTICS)
    add("--clock", default="wall", choices=CLOCKS, help="cpu: one thread's, for a machine that others use")
    add("--fused", action="store_true", help="measure the activations inside a convolution")
    add("--json", type=Path, metavar="FILE")
    add("--table", nargs="*", type=Path, metavar="FILE",
        help="print the ratios of float32 as Markdown; with files, measure nothing but print what --json wrote to them")
    options = parser.parse_args(argv)
    if options.clock == "cpu" and options.threads != [1]:
        parser.error("--clock cpu is for one thread")
    return options


def suite(options, special, torch):
    """All records, each printed as it comes."""
    print(COLUMNS)
    if torch is not None:
        torch.inference_mode().__enter__()  # no bookkeeping of autograd, and no switching it off in every call
    for threads in options.threads:
        chanconv.set_num_threads(threads)
        if torch is not None:
            torch.set_num_threads(threads)
        for count in options.counts:
            for dtype in options.dtypes:
                for name in options.activations:
                    for what in options.passes:
                        if what == "from y" and name not in FROM_EITHER:
                            continue
                        record = measure(name, what, count, dtype, threads, options, special, torch)
                        print(row(record), flush=True)
                        yield record


def main(argv=None):
    """Runs the command line `argv`; returns 1 if a result of chanconv was wrong, else 0."""
    options = parse(argv)
    if options.table:
        print(*table([r for path in options.table for r in json.loads(path.read_text())["records"]]), sep="\n")
        return 0
    about = {"processor": report.processor(), "system": platform.platform(), "rounds": options.rounds, "by": options.by,
             "clock": options.clock, "load": os.getloadavg() if hasattr(os, "getloadavg") else None}
    records, layers = [], []
    if options.fused:
        chanconv.set_num_threads(options.threads[0])
        for record in fused(options, [n for n in options.activations if n not in ("prelu", *FROM_OUTPUT[2:], "glu")]):
            layers.append(record)
            print(f"{record['layer']:<15}{record['activation']:<13}{record['microseconds']:>9.1f} us "
                  f"{record['percent_more']:>+6.1f} %")
    else:
        records = list(suite(options, _optional("scipy.special"), _optional("torch")))
    if options.table is not None:
        print(*table(records), sep="\n")
    if options.json:
        options.json.write_text(json.dumps({"about": about, "records": records, "fused": layers}, indent=1))
    return 1 if any("chanconv" in record["wrong"] for record in records) else 0


if __name__ == "__main__":
    raise SystemExit(main())
