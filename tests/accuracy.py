#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measured errors beside the bounds: of every algorithm, pass and dtype, on values that are kind and unkind.

    tests/accuracy.py         prints the table of docs/accuracy.md, which tests/test_accuracy.py holds below 1

An entry is the largest abs(error) / bound of all elements, over the problems below, all kinds of values and the
instruction sets of this processor.
"""

import functools

import numpy as np
import test_fft
import test_winograd
from oracle import PASSES, Problem, bounded, by_matrices, run, wider

from chanconv import _chanconv


def depthwise(c, **sizes):
    return Problem(c=c, k=c, groups=c, **sizes)


GENERAL = [
    Problem(n=2, h=11, w=12, c=19, k=21, padding=1),
    Problem(h=3, w=7, c=600, k=5, kh=1, kw=1),
    Problem(h=14, w=15, c=20, k=2, padding=1),
    Problem(h=40, w=61, c=3, k=4, padding=2, stride=(2, 1)),
]
CHANNELWISE = [
    depthwise(17, n=2, h=20, w=21, kh=5, kw=5, padding=2),
    depthwise(8, h=9, w=9, stride=2, padding=1),
    Problem(h=9, w=10, c=16, k=12, groups=4, stride=2, padding="same"),
    Problem(n=2, h=30, w=31, c=1, k=1, kh=9, kw=9),
    Problem(h=17, w=19, c=2, k=6, groups=2, dilation=2, padding="same"),
]
TILED = [Problem(n=2, h=11, w=13, c=24, k=20, padding=1), Problem(h=9, w=9, c=130, k=8)]
LARGE = [depthwise(2, n=2, h=40, w=37, kh=9, kw=11), depthwise(1, h=100, w=90, kh=21, kw=23, padding=7)]

PROBLEMS = {
    "gemm": GENERAL + CHANNELWISE,
    "im2col": GENERAL + CHANNELWISE,
    "direct": CHANNELWISE,
    "winograd": TILED,
    "fft": LARGE,
}
SUMS = ("gemm", "im2col", "direct")


# ---- Values ----------------------------------------------------------------------------------------------------------


def normal(pass_, problem, dtype):
    return problem.arrays(dtype)


def integers(pass_, problem, dtype):
    return problem.arrays(dtype, lambda rng, shape: rng.integers(-4, 5, shape))


def wide_exponents(pass_, problem, dtype):
    """Some terms drown all others."""
    return problem.arrays(dtype, lambda rng, shape: rng.standard_normal(shape) * 2.0 ** rng.integers(-30, 31, shape))


def one_sign(pass_, problem, dtype):
    """Sums grow without end, and with them each rounding."""
    return problem.arrays(dtype, lambda rng, shape: 1 + abs(rng.standard_normal(shape)))


def cancelling(pass_, problem, dtype):
    """Near 10000 times a sum of 0: results are small beside their terms."""
    x, kernel, bias, grad = problem.arrays(np.float64)
    of_terms = {"forward": (0, 1, 2), "grad_x": (0, 1, 3)}.get(pass_)
    if of_terms:
        kernel -= kernel.mean(of_terms, keepdims=True)
        return [a.astype(dtype) for a in (1e4 + x, kernel, bias, 1e4 + grad)]
    return [a.astype(dtype) for a in (1e4 + x, kernel, bias, grad - grad.mean((1, 2), keepdims=True))]


def drowning(pass_, problem, dtype):
    """A 1, and then terms that it swallows one by one: each half a unit of its last digit, all the same sign."""
    x, kernel, bias, grad = (np.ones_like(a) for a in problem.arrays(dtype))
    image, step = (grad, (problem.kh, problem.kw)) if pass_ == "grad_x" else (x, (problem.kh, problem.kw))
    image *= 0.499 * np.finfo(dtype).eps
    if pass_ in ("forward", "grad_x"):
        image[:, :: step[0], :: step[1], 0] = 1
    else:
        image[:, 0, 0] = 1
    return [x, kernel, 0 * bias, grad]


VALUES = [normal, integers, wide_exponents, one_sign, cancelling, drowning]


# ---- Ratios ----------------------------------------------------------------------------------------------------------


@functools.cache
def truth(algorithm, pass_, problem, values, dtype):
    """(arrays, result in more digits, bound of that algorithm)."""
    arrays = values(pass_, problem, dtype)
    if algorithm in SUMS:
        return arrays, *bounded(pass_, problem, arrays)
    exact = by_matrices(pass_, problem, [a.astype(wider(dtype)) for a in arrays])
    if algorithm == "winograd":
        return arrays, exact, test_winograd.bound(pass_, problem, arrays, dtype)
    return arrays, exact, test_fft.bound(pass_, problem, arrays, dtype, exact)


def ratio(algorithm, pass_, problem, values, dtype):
    """The largest abs(error) / bound of all elements; None if the algorithm does not compute the pass."""
    arrays, exact, bound = truth(algorithm if algorithm not in SUMS else "gemm", pass_, problem, values, dtype)
    try:
        result = run(pass_, problem, arrays, algorithm=algorithm)
    except ValueError as error:
        if not str(error).startswith("algorithm"):
            raise
        return None
    assert result.dtype == dtype
    error = abs(result - exact)
    return float(np.max(np.where(error == 0, 0, error / np.where(bound == 0, np.finfo(np.float64).tiny, bound))))


def largest(algorithm, pass_, values, dtype):
    """Over the algorithm's problems; None if it computes none of them."""
    ratios = (ratio(algorithm, pass_, problem, values, dtype) for problem in PROBLEMS[algorithm])
    return max((r for r in ratios if r is not None), default=None)


def main():
    print("| algorithm | pass | dtype |", *(f"{v.__name__.replace('_', ' ')} |" for v in VALUES))
    print("| --- | --- | --- |" + " --- |" * len(VALUES))
    for algorithm in PROBLEMS:
        for pass_ in PASSES[:3]:
            for dtype in map(np.dtype, ("float32", "float64")):
                row = []
                for values in VALUES:
                    found = []
                    for isa in _chanconv.isa_available():
                        _chanconv.set_isa(isa)
                        found.append(largest(algorithm, pass_, values, dtype))
                    row.append(max(found) if None not in found else None)
                if None not in row:
                    print(f"| {algorithm} | {pass_} | {dtype} |", *(f"{r:.2g} |" for r in row))


if __name__ == "__main__":
    main()
