# SPDX-License-Identifier: BSD-3-Clause
"""The same bits on every run, for every number of threads, at every address, and for an image alone or in a batch."""

import numpy as np
import pytest
from oracle import DEPTHWISE, PASSES, SUMS, Problem, run, run_all, same_bits, sample

import chanconv

ALGORITHMS = (*SUMS, "winograd", "fft")

# Enough work for several threads, in ways to split it: many images, many rows, many kernels, a deep sum, depthwise.
LARGE = [
    Problem(n=5, h=20, w=21, c=16, k=24, padding=1),
    Problem(h=61, w=50, c=19, k=33, stride=(2, 1), padding=2),
    Problem(h=6, w=6, c=130, k=390, padding="same"),
    Problem(n=2, h=12, w=13, c=300, k=40, kh=1, kw=1),
    Problem(n=2, h=50, w=60, c=37, k=6, padding=1),
    Problem(n=2, h=40, w=41, c=24, k=48, groups=24, padding=1, padding_mode="reflect"),
    Problem(n=2, h=41, w=40, c=41, k=41, groups=41, kh=5, kw=5, stride=2, padding=2),
    Problem(n=2, h=41, w=40, c=112, k=112, groups=112, stride=2, padding=1),
    Problem(n=2, h=31, w=30, c=33, k=66, groups=33, padding=1),
    Problem(n=2, h=30, w=31, c=24, k=20, groups=4, kh=5, kw=5, dilation=2),
    Problem(n=3, h=7, w=6, c=530, k=64, padding=1),
    Problem(n=2, h=81, w=70, c=3, k=40, stride=2, padding=1),
    Problem(n=4, h=63, w=61, c=36, k=60, groups=6, kh=1, kw=1),
    Problem(n=8, h=63, w=61, c=36, k=60, groups=6, kh=1, kw=1, stride=2, padding=(1, 0)),
]


def moved(array):
    """A copy that begins one element behind an aligned address."""
    block = np.zeros(array.size + 64, array.dtype)
    start = -(block.ctypes.data // array.itemsize) % 64 + 1
    copy = block[start : start + array.size].reshape(array.shape)
    copy[...] = array
    return copy


@pytest.mark.parametrize("problem", LARGE, ids=str)
def test_large_problems_are_worth_several_threads(problem):
    """If not, the tests below would prove nothing."""
    with chanconv.num_threads(8):
        assert chanconv.explain(problem.x_shape, problem.kernel_shape, **problem.options).threads == 8


@pytest.mark.parametrize("problem", LARGE, ids=str)
@pytest.mark.parametrize("pass_", PASSES)
def test_same_bits_for_every_number_of_threads(pass_, problem, isa, dtype):
    arrays = problem.arrays(dtype)
    with chanconv.num_threads(1):
        expected = dict(run_all(pass_, problem, arrays, ALGORITHMS))
    for threads in (1, 2, 3, 8):
        with chanconv.num_threads(threads):
            for algorithm, result in expected.items():
                again = run(pass_, problem, arrays, algorithm=algorithm)
                assert same_bits(again, result), f"{algorithm} with {threads} threads"


@pytest.mark.parametrize("problem", LARGE[::2] + sample(40, seed=51) + DEPTHWISE[:20], ids=str)
@pytest.mark.parametrize("pass_", PASSES)
def test_same_bits_at_every_address(pass_, problem, dtype):
    arrays = problem.arrays(dtype)
    elsewhere = [moved(a) for a in arrays]
    for algorithm, result in run_all(pass_, problem, arrays, ALGORITHMS):
        out = moved(np.full_like(result, np.nan))
        assert same_bits(run(pass_, problem, elsewhere, algorithm=algorithm, out=out), result), algorithm


@pytest.mark.parametrize("problem", LARGE[:2] + sample(20, seed=52), ids=str)
def test_same_bits_for_every_layout(problem, algorithm):
    """Strides, byte order and overlap of inputs are a matter of access."""
    x, kernel, bias, _ = problem.arrays(np.float32)
    expected = chanconv.conv(x, kernel, bias=bias, algorithm=algorithm, **problem.options)
    layouts = {
        "fortran": np.asfortranarray,
        "reversed": lambda a: a[::-1, :, ::-1].copy()[::-1, :, ::-1],
        "every other channel": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
        "byte order": lambda a: a.astype(a.dtype.newbyteorder()),
        "unaligned": lambda a: np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape),
    }
    for name, layout in layouts.items():
        y = chanconv.conv(layout(x), layout(kernel), bias=bias, algorithm=algorithm, **problem.options)
        assert same_bits(y, expected), name


@pytest.mark.parametrize("problem", [p for p in LARGE + sample(150, seed=53) + DEPTHWISE if p.n > 1], ids=str)
@pytest.mark.parametrize("pass_", ["forward", "grad_x", "per_sample"])
def test_an_image_has_the_bits_it_has_alone(pass_, problem, dtype):
    x, kernel, bias, grad = arrays = problem.arrays(dtype)
    for algorithm, batch in run_all(pass_, problem, arrays, ALGORITHMS):
        for i in range(problem.n):
            one = x[i : i + 1], kernel, bias, grad[i : i + 1]
            assert same_bits(run(pass_, problem, one, algorithm=algorithm), batch[i : i + 1]), f"{algorithm}, image {i}"


def test_a_repeated_image_gives_repeated_results(dtype):
    """A batch of stride 0 is read as it lies."""
    problem = Problem(n=1, h=9, w=9, c=8, k=8, padding=1)
    x, kernel, _, _ = problem.arrays(dtype)
    y = chanconv.conv(np.broadcast_to(x, (4, *x.shape[1:])), kernel, padding=1)
    assert same_bits(y, np.repeat(chanconv.conv(x, kernel, padding=1), 4, axis=0))
