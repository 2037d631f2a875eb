# SPDX-License-Identifier: BSD-3-Clause
"""Small maps, several images in a block; with large kernels, by patches of several images at a time; tiles of four vectors,
two panels of a kernel."""

import numpy as np
import pytest
from oracle import Problem, by_matrices, exact_by_matrices, integers, run, same_bits

import chanconv

# Rows of few outputs, with and without padding, strides, dilation; kernels of a whole image; a padding that copies.
MAPS = [
    *(Problem(n=2, h=h, w=w, c=33, k=64, padding=1) for h, w in [(2, 2), (3, 2), (3, 3), (2, 1), (1, 3), (7, 2), (2, 4)]),
    Problem(h=3, w=3, c=130, k=270, padding=1),
    Problem(n=3, h=7, w=7, c=64, k=65, kh=7, kw=7, stride=3, padding=3),
    Problem(n=5, h=5, w=6, c=40, k=80, kh=1, kw=1, stride=2),
    Problem(n=2, h=8, w=8, c=24, k=100, kh=2, kw=3, stride=4, padding=(0, 2)),
    Problem(n=2, h=9, w=7, c=20, k=64, stride=3, dilation=(2, 1), padding=((2, 0), (1, 1))),
    Problem(n=2, h=6, w=6, c=32, k=64, dilation=2),
    Problem(n=2, h=4, w=3, c=20, k=70, kw=2, stride=(1, 2), padding=1, padding_mode="reflect"),
    Problem(n=2, h=3, w=3, c=48, k=96, padding=1, padding_mode="circular"),
    Problem(n=3, h=4, w=4, c=130, k=256, padding=1),
]

# More images than have their patches there at a time, with a rest.
BATCHES = [Problem(n=157, h=3, w=3, c=64, k=64, padding=1), Problem(n=33, h=4, w=4, c=256, k=128, kh=4, kw=4, padding=1)]

# Several images in a block: padded, clipped in rows and columns, in groups, with few kernels, read in place.
SEVERAL = [
    Problem(n=11, h=8, w=8, c=1, k=16, padding=1),
    Problem(n=5, h=5, w=13, c=3, k=20, dilation=(1, 4), padding=(1, 4)),
    Problem(n=4, h=6, w=5, c=34, k=38, groups=2, padding=1),
    Problem(n=7, h=4, w=6, c=20, k=3, padding=1),
    Problem(n=3, h=3, w=4, c=10, k=48, padding=1),
    Problem(n=3, h=5, w=5, c=2, k=40, padding=1, padding_mode="reflect"),
    Problem(n=2, h=5, w=10, c=200, k=336, padding=1),
]

# Kernels below, at and above whole vectors and pairs of panels; rows that are cut into one, two and more tiles.
PAIRS = [
    *(Problem(h=3, w=13, c=5, k=k, kh=2, kw=2) for k in (24, 25, 31, 33, 40, 47, 49, 56, 57, 63, 64, 65, 72, 80, 81, 96, 97)),
    *(Problem(h=3, w=13, c=5, k=k, kh=2, kw=2) for k in (111, 112, 113, 127, 128, 129, 160, 176, 193)),
    *(Problem(h=2, w=w, c=7, k=60, kh=1, kw=1) for w in (1, 2, 3, 4, 5, 6, 7, 9, 10, 13, 30)),
    *(Problem(h=1, w=w, c=40, k=64, kh=1, kw=1) for w in (1, 2, 3, 5, 6, 7, 8, 11, 12, 13, 14, 15)),  # read in place
    *(Problem(h=6, w=w, c=40, k=128, padding=1) for w in (5, 6, 7, 10)),
    Problem(h=1, w=14, c=600, k=96, kh=1, kw=1),
    Problem(h=40, w=41, c=70, k=130, padding=1),
    Problem(n=2, h=9, w=12, c=64, k=128, groups=2, padding=1),
    Problem(h=30, w=33, c=3, k=64, padding=1),
]

# Columns that leave half of the last vector empty, on every instruction set; tiles of every height.
HALVES = [
    *(Problem(h=3, w=w, c=k, k=k, kh=2, kw=2) for k in (6, 10, 12, 20, 22, 24, 28, 40, 56) for w in (6, 8, 11)),
    *(Problem(h=1, w=w, c=w, k=k, kh=1, kw=1) for k in (12, 24, 39, 54) for w in (4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)),
    Problem(n=2, h=5, w=7, c=72, k=36, groups=3, kh=1, kw=1),
    Problem(n=2, h=6, w=9, c=600, k=24, padding=1),
]


@pytest.mark.parametrize("problem", HALVES, ids=str)
@pytest.mark.parametrize("pass_", ["forward", "grad_x", "grad_kernel"])
def test_integers_in_half_vectors_are_exact(pass_, problem, isa, dtype):
    result = run(pass_, problem, problem.arrays(dtype, integers), algorithm="gemm")
    np.testing.assert_array_equal(result, exact_by_matrices(pass_, problem))


@pytest.mark.parametrize("problem", MAPS + SEVERAL + PAIRS, ids=str)
@pytest.mark.parametrize("pass_", ["forward", "grad_x"])
def test_integers_are_exact(pass_, problem, isa, dtype):
    result = run(pass_, problem, problem.arrays(dtype, integers), algorithm="gemm")
    np.testing.assert_array_equal(result, exact_by_matrices(pass_, problem))


@pytest.mark.parametrize("problem", BATCHES, ids=str)
@pytest.mark.parametrize("pass_", ["forward", "grad_x"])
def test_integers_of_many_images_are_exact(pass_, problem, dtype):
    result = run(pass_, problem, problem.arrays(dtype, integers), algorithm="gemm")
    np.testing.assert_array_equal(result, exact_by_matrices(pass_, problem))


@pytest.mark.parametrize("problem", [p for p in MAPS if p.n > 1] + SEVERAL + BATCHES, ids=str)
@pytest.mark.parametrize("pass_", ["forward", "grad_x"])
def test_neither_images_nor_threads_change_bits(pass_, problem, dtype):
    x, kernel, bias, grad = arrays = problem.arrays(dtype)
    with chanconv.num_threads(1):
        batch = run(pass_, problem, arrays, algorithm="gemm")
    for threads in (2, 3):
        with chanconv.num_threads(threads):
            assert same_bits(run(pass_, problem, arrays, algorithm="gemm"), batch)
    for i in (0, problem.n // 2, problem.n - 1):
        one = x[i : i + 1], kernel, bias, grad[i : i + 1]
        assert same_bits(run(pass_, problem, one, algorithm="gemm"), batch[i : i + 1])


@pytest.mark.parametrize("problem", [*MAPS[::3], *SEVERAL, *HALVES[::4], *PAIRS[::5], BATCHES[0]], ids=str)
def test_outputs_and_inputs_apart(problem, dtype):
    """Between others' rows and pixels."""
    x, kernel, bias, _ = arrays = problem.arrays(dtype)
    expected = run("forward", problem, arrays, algorithm="gemm")
    n, h, w, k = expected.shape
    out = np.full((n, h + 1, w + 2, k + 3), np.nan, dtype)[:, 1:, 1:-1, :k]
    wide = np.full((*x.shape[:2], x.shape[2] + 1, x.shape[3] + 5), np.nan, dtype)[:, :, 1:, 2:-3]
    wide[...] = x
    assert same_bits(run("forward", problem, (wide, kernel, bias, None), algorithm="gemm", out=out).copy(), expected)
    assert np.isnan(out.base).sum() == out.base.size - out.size


@pytest.mark.parametrize("problem", [*MAPS, *SEVERAL[1:3], *SEVERAL[4:], *PAIRS[::6]], ids=str)
@pytest.mark.parametrize("pass_", ["forward", "grad_x"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_stay_where_they_belong(pass_, problem, value, dtype):
    """Those of the kernel, at a corner, meet padding in the forward pass, and only grad_output in the gradient."""
    x, kernel, _, grad = arrays = [np.abs(a) + 1 for a in problem.arrays(dtype)]
    for place in [(kernel, (0, 0, 0, 3)), (kernel, (-1, -1, -1, -1)), (x, (0, 0, 0, 1)), (grad, (-1, -1, -1, 2))]:
        changed = [a.copy() for a in arrays]
        next(c for c, a in zip(changed, arrays, strict=True) if a is place[0])[place[1]] = value
        result = run(pass_, problem, changed, algorithm="gemm")
        with np.errstate(invalid="ignore"):
            expected = by_matrices(pass_, problem, changed)
        np.testing.assert_array_equal(np.isnan(result), np.isnan(expected))
        np.testing.assert_array_equal(np.isinf(result), np.isinf(expected))
