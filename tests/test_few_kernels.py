# SPDX-License-Identifier: BSD-3-Clause
"""Few kernels, whose gradient is computed turned over; planes of which a stride and a dilation leave rows unread."""

import numpy as np
import pytest
from oracle import MODES, PASSES, Problem, exact, exact_by_matrices, integers, run, same_bits

import chanconv

# Kernels below, at and above the rows of every tile; runs of x below, at and above vectors and tiles of them.
COUNTS = [Problem(h=9, w=11, c=17, k=k, padding=1) for k in (1, 2, 5, 6, 7, 9, 10, 14, 15, 16, 18, 20, 24, 28, 40, 57)]
RUNS = [
    Problem(h=8, w=10, c=c, k=20, kw=kw, padding=(1, 0), dilation=(1, d))
    for c, kw, d in [(15, 1, 1), (16, 1, 1), (31, 1, 1), (33, 1, 1), (48, 1, 1), (49, 3, 1), (64, 3, 2), (37, 2, 2)]
]
OTHERS = [
    Problem(n=3, h=9, w=9, c=40, k=24, groups=2, padding=1),
    Problem(h=13, w=12, c=36, k=10, groups=2, stride=2, padding="same"),
    Problem(h=12, w=15, c=20, k=20, kh=4, kw=4, stride=(2, 3), padding=2, padding_mode="reflect"),
    Problem(n=2, h=40, w=37, c=24, k=20, padding=1),
    Problem(n=2, h=70, w=66, c=5, k=20, kh=2, kw=2, stride=2),
    Problem(n=70, h=1, w=1, c=64, k=20, kh=1, kw=1),
    Problem(n=5, h=2, w=2, c=33, k=9, kh=2, kw=2),
    Problem(h=50, w=51, c=3, k=40, padding=1),
    Problem(h=50, w=51, c=1, k=40, padding=1),
    Problem(h=50, w=51, c=1, k=10, kh=5, kw=5, padding=2),
    Problem(h=40, w=41, c=16, k=3, stride=2, padding=1),
]


@pytest.mark.parametrize("problem", COUNTS + RUNS + OTHERS, ids=str)
@pytest.mark.parametrize("pass_", ["forward", "grad_x", "grad_kernel"])
def test_integers_are_exact(pass_, problem, isa, dtype, strict):
    result = run(pass_, problem, problem.arrays(dtype, integers))
    np.testing.assert_array_equal(result, exact_by_matrices(pass_, problem))


@pytest.mark.parametrize("problem", OTHERS, ids=str)
def test_threads_do_not_change_bits(problem, isa):
    arrays = problem.arrays(np.float32)
    with chanconv.num_threads(1):
        alone = run("grad_kernel", problem, arrays)
    with chanconv.num_threads(2):
        assert same_bits(run("grad_kernel", problem, arrays), alone)


def plane(h, w, kh, kw, stride, dilation, padding, **options):
    return Problem(h=h, w=w, c=1, k=1, kh=kh, kw=kw, stride=stride, dilation=dilation, padding=padding, **options)


# Strides and dilations with a common factor, and single taps, which have any dilation; rows of many vectors.
PLANES = [
    plane(40, 150, 3, 3, 2, 2, 2),
    plane(40, 150, 3, 3, 4, 2, (3, 1)),
    plane(41, 99, 9, 1, 3, 3, (12, 0)),
    plane(33, 120, 9, 1, 3, 1, (4, 0)),
    plane(33, 120, 1, 5, (2, 3), (1, 3), (0, 5)),
    plane(31, 130, 2, 2, 3, 3, 1),
    plane(31, 130, 4, 4, 3, 2, 3),
    plane(37, 140, 3, 3, 2, 1, 1),
    plane(20, 90, 5, 3, (3, 5), 1, (2, 1)),
    plane(7, 5, 1, 1, 6, 1, 0),
    plane(5, 7, 2, 3, 9, 3, 4),
]


@pytest.mark.parametrize("problem", PLANES, ids=str)
@pytest.mark.parametrize("pass_", PASSES)
def test_planes_are_exact(pass_, problem, isa, dtype, strict):
    result = run(pass_, problem, problem.arrays(dtype, integers))
    np.testing.assert_array_equal(result, exact(pass_, problem))


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("pass_", ["forward", "grad_x", "grad_kernel"])
def test_planes_of_other_padding_are_exact(pass_, mode, dtype):
    for problem in (plane(20, 70, 3, 3, 2, 2, 3, padding_mode=mode), plane(21, 75, 2, 3, 3, 1, 2, padding_mode=mode)):
        result = run(pass_, problem, problem.arrays(dtype, integers))
        np.testing.assert_array_equal(result, exact(pass_, problem))


@pytest.mark.parametrize("channels", [1, 3])
def test_cells_that_no_tap_reaches_have_the_bias(channels, dtype):
    """They are filled row by row."""
    x, kernel = np.zeros((2, 5, 6, channels), dtype), np.ones((2, 1, 1, channels), dtype)
    bias = np.arange(1, channels + 1).astype(dtype)
    y = chanconv.conv_transpose(x, kernel, bias=bias, stride=3, groups=channels)
    np.testing.assert_array_equal(y, np.broadcast_to(bias, y.shape))
