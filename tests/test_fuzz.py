# SPDX-License-Identifier: BSD-3-Clause
"""Arguments at random, good ones and odd ones: a result, or an error of the promised types that names an argument."""

import inspect
import random

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import chanconv

CALLS_PER_SEED = 400

NUMBERS = [0, 1, 2, 3, -1, 2**31, 2**62, 2**63 - 1, -(2**63), 2**63, 10**30, True, 1.0, np.nan, None, "1", np.int8(2)]
PAIRS = [*NUMBERS, (1, 2), [2, 1], (1,), (), (1, None), (2**62, 1), ((1, 1), (0, 1)), np.array([1, 1]), object()]
PADDINGS = [*PAIRS, "same", "same_lower", "valid", "SAME", b"same", ((1, 0), (0, 2)), ((0, -1), (0, 0)), (2**31, 0)]
SHAPES = [(5, 6, 4), (2, 5, 6, 4), (5, 6), (0, 5, 6, 4), (2, 5, 6, 3), (1, 1, 1), (3, 3, 4, 2), (3, 3, 2, 2), (2, 2)]
SHAPES += [(3, 3, 4), (), (0,), (2, 0, 6, 4), (2**31, 2**20, 1, 4), None, (3, 3.0, 4, 2), (-1, 3, 4, 2)]
DTYPES = ["f4", "f4", "f4", "f8", "f2", ">f4", "i1", "u8", "?", "c8", "O", "S1", "longdouble"]

VALUES = {
    "stride": PAIRS,
    "dilation": PAIRS,
    "padding": PADDINGS,
    "output_padding": PAIRS,
    "groups": NUMBERS,
    "kernel_size": PAIRS,
    "padding_mode": ["zeros", "reflect", "replicate", "circular", "symmetric", "wrap", None, 1],
    "algorithm": ["auto", "gemm", "im2col", "direct", "winograd", "fft", "best", None],
    "activation": [None, "relu", "gelu", "nothing", 3],
    "wrt": ["x", "kernel", ("x",), ("bias", "x"), (), None, "y", ("kernel", 1)],
    "per_sample": [False, True],
    "what": ["forward", "grad_x", "grad_kernel", "backward", None],
    "dtype": ["float32", "float64", np.float16, "int8", ">f8"],
    "x_shape": SHAPES,
    "kernel_shape": SHAPES,
}
FUNCTIONS = [
    "plane_conv",
    "plane_conv_backward",
    "conv",
    "conv_backward",
    "conv_grad_x",
    "conv_grad_kernel",
    "conv_transpose",
    "conv_transpose_backward",
    "im2col",
    "col2im",
    "conv_output_shape",
    "explain",
]
# Arguments that go together, by the beginning of a function's name; "" for all others.
ORDINARY = {
    "": {"x": (2, 5, 6, 4), "kernel": (3, 3, 4, 2), "grad_output": (2, 3, 4, 2), "columns": (2, 12, 36)},
    "plane": {"x": (5, 6), "kernel": (3, 3), "grad_output": (3, 4)},
    "conv_transpose": {"x": (2, 3, 4, 2), "kernel": (3, 3, 4, 2), "grad_output": (2, 5, 6, 4)},
}
GIVEN = {"x_shape": (2, 5, 6, 4), "kernel_shape": (3, 3, 4, 2), "kernel_size": 3}


def odd_array(rng):
    """An array of any shape, dtype and layout, of few bytes whatever its shape."""
    shape = rng.choice([shape for shape in SHAPES if shape and all(type(n) is int and n >= 0 for n in shape)] + [()])
    dtype = np.dtype(rng.choice(DTYPES))
    if np.prod(shape, dtype=float) > 1000:
        return np.broadcast_to(np.zeros((), dtype), shape)
    array = np.ones((*shape, 2), dtype)[..., 0] if rng.random() < 0.5 else np.ones(shape, dtype)
    if rng.random() < 0.2 and array.size:
        array = as_strided(array, shape, [rng.choice([0, s]) for s in array.strides])
    return rng.choice([array, array, array.T, array[::-1] if array.ndim else array, array.tolist()])


def value(name, ordinary, rng):
    if rng.random() < 0.85:
        if name in ordinary:
            return np.ones(ordinary[name], rng.choice(["f4", "f8"]))
        if name in GIVEN:
            return GIVEN[name]
    return rng.choice(VALUES[name]) if name in VALUES else rng.choice([odd_array(rng), None, 3.0, "x"])


def arguments(function, rng):
    """The required arguments, and some of the others."""
    ordinary = next(shapes for start, shapes in reversed(ORDINARY.items()) if function.__name__.startswith(start))
    parameters = inspect.signature(function).parameters.values()
    chosen = [p.name for p in parameters if p.default is p.empty or rng.random() < 0.15]
    return {name: value(name, ordinary, rng) for name in chosen}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("seed", range(5))
def test_a_result_or_an_error_that_names_an_argument(name, seed):
    function, rng = getattr(chanconv, name), random.Random(f"{name} {seed}")
    names = tuple(inspect.signature(function).parameters)
    results = 0
    for _ in range(CALLS_PER_SEED):
        given = arguments(function, rng)
        try:
            function(**given)
            results += 1
        except (TypeError, ValueError) as error:
            assert str(error).startswith(tuple(f"{name}:" for name in names)), (str(error), given)
        except MemoryError:
            pass
    assert CALLS_PER_SEED // 20 < results < CALLS_PER_SEED
