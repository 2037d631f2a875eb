# SPDX-License-Identifier: BSD-3-Clause
"""The direct algorithms, convolution channel by channel: sizes around their strips, tiles and vectors."""

import numpy as np
import pytest
from oracle import PASSES, Problem, exact, exact_by_matrices, integers, run, same_bits

import chanconv
from chanconv import activations, reference


def depthwise(c, multiplier=1, **sizes):
    return Problem(c=c, k=c * multiplier, groups=c, **sizes)


def grouped(size, groups, **sizes):
    return Problem(c=size * groups, k=size * groups, groups=groups, **sizes)


# A vector holds 2 to 16 numbers: 17 channels are more than one of any instruction set.
STRIPS = [
    *(depthwise(17, h=3, w=w, kh=2, kw=3, padding=(0, 1)) for w in (*range(1, 19), 27, 28, 29, 30)),
    *(depthwise(17, h=4, w=w, kw=5, stride=2, padding="same") for w in (*range(1, 18), 30)),
    *(depthwise(17, h=8, w=w, kh=7, kw=7, padding=3) for w in (*range(1, 18), 30)),
    *(depthwise(16, h=5, w=20, kw=taps, dilation=2, padding="same") for taps in range(1, 10)),
    *(depthwise(16, h=7, w=23, kh=5, kw=taps, stride=stride) for taps in (1, 3, 4, 5, 7, 8) for stride in (1, 2, 3)),
    *(depthwise(16, h=9, w=12, kh=taps, padding=1) for taps in range(2, 9)),
    *(depthwise(c, h=5, w=9, padding=1) for c in (16, 18, 31, 32, 33, 47, 48, 65, 130)),
    *(depthwise(24, h=5, w=8, kw=5, padding=4, padding_mode=mode) for mode in ("reflect", "circular", "symmetric")),
    depthwise(16, h=2, w=9, kh=5, kw=3, padding=(2, 1)),
    depthwise(16, h=2, w=3, kh=3, kw=3, dilation=4, padding=4),
    depthwise(40, n=3, h=30, w=31, padding="same_lower", stride=2),
    depthwise(320, h=4, w=30, kh=3, kw=7, padding=(1, 3)),
    *(depthwise(17, h=5, w=w, kw=taps, stride=2, padding=1) for taps in (2, 3, 4, 7) for w in (7, 8, 15, 16, 17, 18, 33)),
    *(depthwise(17, h=9, w=11, kh=3, kw=3, stride=(s, 2), dilation=(d, 1), padding=2) for s in (1, 3) for d in (1, 2, 3)),
    depthwise(16, h=11, w=10, kh=2, kw=2, stride=(4, 2), padding=((1, 0), (1, 1))),
    depthwise(34, n=2, h=20, w=41, kh=3, kw=3, padding=1),
    depthwise(36, h=10, w=37, kh=2, kw=3, stride=2),
    # Rows of many taps, in pieces of 5, 4 and 3.
    *(depthwise(17, h=3, w=w, kh=2, kw=taps, padding="same") for taps in (6, 8, 9, 10, 11, 12) for w in (4, 7, 8, 18)),
    *(depthwise(16, h=2, w=60, kh=1, kw=taps, padding=(0, 3)) for taps in (47, 48, 49)),
    # Pixels so far apart in memory that their channels are copied together; rows so long that they are cut.
    *(depthwise(1024, h=9, w=w, kw=5, padding=2, stride=s) for w, s in ((6, 1), (17, 1), (13, 2))),
    depthwise(512, n=2, h=40, w=30, kh=7, padding=(3, 1)),
    depthwise(128, n=2, h=12, w=300, kh=5, padding=(2, 1)),
    # Gradients of kernels wider than the tiles of taps; of pixels far apart; of images that come from memory.
    *(depthwise(17, h=10, w=19, kh=kh, kw=kw, padding="same") for kh in (1, 4, 9) for kw in (4, 6, 8, 9, 10, 13)),
    *(depthwise(17, h=9, w=20, kh=kh, kw=kw, stride=2, padding=2) for kh, kw in ((4, 4), (3, 6), (7, 8), (5, 9))),
    *(depthwise(1024, h=8, w=w, padding=1, stride=s) for w, s in ((6, 1), (7, 1), (17, 1), (13, 2), (30, 2))),
    depthwise(512, h=9, w=13, kh=7, kw=7, padding=3),
    depthwise(32, h=6, w=130, padding=1),
    depthwise(250, h=113, w=110, stride=2, padding=1),
]

MULTIPLIERS = [
    *(depthwise(8, times, h=5, w=9, padding=1) for times in (*range(2, 10), 16, 17, 40)),
    *(depthwise(c, times, h=4, w=w, padding=1) for c, times in ((9, 2), (5, 4)) for w in (3, 4, 5, 8, 11, 14, 18, 29)),
    *(depthwise(9, 2, h=6, w=w, kh=2, kw=kw, padding=(0, 1)) for kw in (4, 5, 7, 9) for w in (9, 12, 19)),
    *(depthwise(7, 3, h=7, w=17, kw=kw, stride=s, padding=(1, kw // 2)) for kw in (1, 2, 3, 5) for s in (2, 3)),
    *(depthwise(7, 3, h=9, w=17, kh=kh, kw=3, dilation=d, padding="same") for kh in (1, 7) for d in (1, 2)),
    *(depthwise(c, 16, h=4, w=6, padding=(1, 0), stride=2) for c in (2, 3, 5)),
    depthwise(11, 3, h=6, w=20, kw=5, dilation=2, padding="same", padding_mode="replicate"),
    depthwise(33, 2, n=2, h=13, w=17, stride=(1, 2), padding=2, padding_mode="reflect"),
]

PLANES = [
    *(Problem(h=h + kh - 1, w=21, c=1, k=1, kh=kh, kw=2) for kh in range(1, 8) for h in (1, 2, 3, 5, 6, 7, 13)),
    *(Problem(h=4, w=w, c=1, k=1, padding=1) for w in (*range(1, 20), 31, 32, 33, 63, 64, 65, 95, 129, 200)),
    *(Problem(h=7, w=90, c=1, k=1, kh=h, kw=w, padding="same") for h, w in ((1, 9), (9, 1), (1, 1), (4, 6), (6, 11))),
    *(Problem(h=20, w=70, c=1, k=1, kh=3, kw=5, stride=s, padding=2) for s in (2, (1, 3), (3, 1), (2, 5))),
    *(Problem(h=40, w=70, c=1, k=1, kh=5, kw=3, dilation=d, padding="same") for d in (2, (3, 1), (1, 4), (7, 2))),
    *(Problem(h=9, w=80, c=1, k=1, kh=5, padding=3, padding_mode=m) for m in ("reflect", "replicate", "circular")),
    Problem(h=30, w=50, c=1, k=1, kh=7, kw=4, stride=(2, 3), dilation=(3, 2), padding="same"),
    Problem(n=3, h=70, w=150, c=1, k=1, kh=5, kw=5, padding=2),
    *(depthwise(c, h=9, w=40, kh=5, padding=1) for c in range(2, 16)),
    *(depthwise(c, h=9, w=50, kw=4, stride=2, padding=1, padding_mode="symmetric") for c in (2, 3, 5, 8)),
    depthwise(3, h=61, w=111, kh=7, kw=7, padding=3),
]

# Groups of up to a vector; 16 channels are as many as any vector has, 24 and 20 end within one.
GROUPS = [
    *(grouped(n, 16 // n, h=3, w=w, padding=(0, 1)) for n in (2, 4, 8, 16) for w in (1, 3, 4, 6, 7, 9, 10, 14, 15)),
    *(grouped(n, 16 // n, h=4, w=w, kh=2, kw=kw, padding=(0, min(kw - 1, 1)))
      for n in (2, 8, 16) for kw in (1, 2, 4, 5, 7, 8) for w in (8, 11, 12, 20)),
    *(grouped(n, 16 // n, h=4, w=21, kw=kw, stride=2, padding=(1, kw // 2)) for n in (2, 8, 16) for kw in (1, 4, 5)),
    grouped(16, 1, h=2, w=50, kh=1, kw=37, padding=(0, 2)),
    grouped(16, 1, h=2, w=80, kh=1, kw=36, stride=2, padding=(0, 1)),
    *(grouped(4, 5, h=3, w=w, stride=2, padding=(1, 2)) for w in (2, 5, 7, 8, 13, 14, 19, 20, 27, 28, 33)),
    *(grouped(size, 24 // size, h=5, w=17, kh=kh, kw=kw, dilation=d, padding=kw // 2)
      for size in (2, 4, 8) for kh, kw, d in ((1, 1, 1), (5, 4, 1), (3, 3, 2))),
    *(grouped(8, 3, h=6, w=9, padding=1, stride=(1, 2), padding_mode=mode) for mode in ("reflect", "symmetric")),
    grouped(4, 8, n=3, h=9, w=8, kw=5, stride=3, padding="same"),
    grouped(16, 3, n=2, h=5, w=16, kh=2, padding=(1, 2)),
    grouped(2, 20, n=2, h=45, w=30, padding=1),
]

VECTOR_BYTES = {"generic": 16, "neon": 16, "avx2": 32, "avx512": 64}


def is_taken(problem, isa, dtype):
    """Groups wider than a vector are left to "gemm"."""
    return problem.groups == problem.c or problem.c <= problem.groups * VECTOR_BYTES[isa] // np.dtype(dtype).itemsize


# Some outputs see no more than padding.
BEYOND = [
    depthwise(16, h=3, w=4, kh=2, kw=2, padding=3),
    depthwise(16, h=2, w=9, kh=2, kw=3, dilation=(4, 1), padding=(3, 1)),
    grouped(2, 8, h=3, w=4, kh=2, kw=2, padding=3),
    Problem(h=3, w=30, c=1, k=1, kh=2, kw=2, padding=4),
]


@pytest.mark.parametrize("problem", STRIPS + MULTIPLIERS + PLANES + GROUPS + BEYOND, ids=str)
@pytest.mark.parametrize("pass_", PASSES)
def test_integers_are_exact(pass_, problem, isa, dtype):
    known = exact_by_matrices if problem.c > 100 else exact
    if known is exact_by_matrices and pass_ == "per_sample":
        pass_ = "grad_kernel"
    expected, arrays = known(pass_, problem), problem.arrays(dtype, integers)
    if not is_taken(problem, isa, dtype):
        with pytest.raises(ValueError, match='algorithm.*"direct"'):
            run(pass_, problem, arrays, algorithm="direct")
        return
    if problem in BEYOND and problem.c > 1 and pass_ in ("grad_kernel", "per_sample"):
        with pytest.raises(ValueError, match='algorithm.*"direct"'):
            run(pass_, problem, arrays, algorithm="direct")
        return
    np.testing.assert_array_equal(run(pass_, problem, arrays, algorithm="direct"), expected)


@pytest.mark.parametrize("problem", STRIPS[::9] + MULTIPLIERS[::4] + PLANES[::7] + GROUPS[:9:3], ids=str)
def test_an_activation_is_applied_once(problem, isa, dtype):
    """Strips and tiles overlap: half of a half would show."""
    x, kernel, bias, _ = problem.arrays(dtype, integers)
    halve = activations.get("leaky_relu", negative_slope=0.5)
    y = chanconv.conv(x, kernel, bias=bias, activation=halve, algorithm="direct", **problem.options)
    expected = exact("forward", problem)
    np.testing.assert_array_equal(y, np.where(expected > 0, expected, expected / 2))


LARGE = [
    Problem(n=2, h=150, w=90, c=1, k=1, kh=7, kw=7, padding=3),
    depthwise(3, n=2, h=90, w=80, kh=5, kw=5, padding=2, stride=(1, 2)),
    depthwise(33, n=2, h=60, w=45, padding=1),
    depthwise(33, n=2, h=60, w=45, kh=5, padding=2, stride=2),
    depthwise(48, n=2, h=40, w=41, kw=5, padding=2, padding_mode="circular", stride=2),
    depthwise(48, n=4, h=62, w=61, kh=5, padding=(2, 1)),
    depthwise(33, n=6, h=70, w=66, kh=3, padding=1, stride=2),
    depthwise(40, n=5, h=62, w=61, kh=3, padding=2, dilation=2, stride=(3, 1)),
    depthwise(20, 3, n=2, h=40, w=30, kh=5, padding=2),
    grouped(2, 20, n=2, h=40, w=50, padding=1),
    grouped(8, 5, n=4, h=80, w=61, padding=1, stride=(1, 2)),
    grouped(2, 8, n=3, h=21, w=60, kh=5, stride=2, padding=2, padding_mode="replicate"),
]


@pytest.mark.parametrize("problem", LARGE, ids=str)
@pytest.mark.parametrize("pass_", PASSES)
def test_same_bits_for_every_number_of_threads(pass_, problem, threads, isa, dtype):
    algorithm = "direct" if is_taken(problem, isa, dtype) else "auto"
    arrays = problem.arrays(dtype)
    result = run(pass_, problem, arrays, algorithm=algorithm)
    with chanconv.num_threads(1):
        assert same_bits(run(pass_, problem, arrays, algorithm=algorithm), result)


@pytest.mark.parametrize("problem", LARGE, ids=str)
@pytest.mark.parametrize("pass_", ["forward", "grad_x", "per_sample"])
def test_same_bits_alone_and_in_a_batch(pass_, problem, isa, dtype):
    algorithm = "direct" if is_taken(problem, isa, dtype) else "auto"
    x, kernel, bias, grad = problem.arrays(dtype)
    together = run(pass_, problem, (x, kernel, bias, grad), algorithm=algorithm)
    for i in range(problem.n):
        alone = run(pass_, problem, (x[i : i + 1], kernel, bias, grad[i : i + 1]), algorithm=algorithm)
        assert same_bits(alone[0], together[i])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("column", [0, 15, 31, 36, 66, 69])
@pytest.mark.parametrize(
    "problem",
    [Problem(h=5, w=70, c=1, k=1, padding=1), depthwise(18, h=4, w=70, padding=1), grouped(2, 9, h=4, w=70, padding=1)],
    ids=str,
)
def test_a_value_that_is_not_finite_meets_its_own_taps_alone(problem, column, value, isa, dtype):
    """Also where zeros fill up the last vector of a row, or the last strip."""
    arrays = problem.arrays(dtype, integers)
    for which in (0, 3):
        poisoned = [a.copy() for a in arrays]
        poisoned[which][0, 2, column, 0] = value
        with np.errstate(invalid="ignore"):
            expected = run("grad_kernel", problem, poisoned, reference)
        np.testing.assert_array_equal(run("grad_kernel", problem, poisoned, algorithm="direct"), expected)


@pytest.mark.parametrize("what", ["forward", "grad_x", "grad_kernel"])
@pytest.mark.parametrize("problem", [PLANES[-1], PLANES[0], STRIPS[0], MULTIPLIERS[0], GROUPS[0]], ids=str)
def test_auto_takes_them(problem, what, isa):
    plan = chanconv.explain(problem.x_shape, problem.kernel_shape, what=what, **problem.options)
    assert plan.algorithm == "direct"
    assert "direct" not in plan.declined
    assert min(plan.tile) > 0
    assert plan.workspace_bytes > 0


@pytest.mark.parametrize("problem", [Problem(), Problem(c=4, k=8, groups=2), Problem(c=1, k=6)], ids=str)
def test_channels_together_are_declined(problem):
    with pytest.raises(ValueError, match='algorithm: "direct" cannot compute this shape'):
        run("forward", problem, problem.arrays(np.float32), algorithm="direct")
    assert "channels" in chanconv.explain(problem.x_shape, problem.kernel_shape, **problem.options).declined["direct"]


def test_a_strided_gradient_spreads_no_more_than_its_kernel_says(isa, dtype):
    """A NaN of the kernel reaches the cells of x that its tap spreads grad_output to, padding or not, and no other."""
    problem = depthwise(17, h=6, w=9, kh=3, kw=3, stride=2, padding=1)
    _, kernel, _, grad = problem.arrays(dtype)
    for r, s in np.ndindex(3, 3):
        broken = kernel.copy()
        broken[r, s, 0, 5] = np.nan
        expected = reference.conv_grad_x(grad, broken, problem.x_shape, **problem.options)
        result = chanconv.conv_grad_x(grad, broken, problem.x_shape, algorithm="direct", **problem.options)
        np.testing.assert_array_equal(np.isnan(result), np.isnan(expected))


def test_a_strided_transpose_with_bias_and_activation(isa, dtype):
    problem = depthwise(17, h=7, w=20, kh=3, kw=4, stride=2, padding=1)
    rng = np.random.default_rng(5)
    x = rng.integers(-4, 5, problem.y_shape).astype(dtype)
    kernel, bias = rng.integers(-4, 5, (3, 4, 1, 17)).astype(dtype), rng.integers(-40, 41, 17).astype(dtype)
    y = chanconv.conv_transpose(x, kernel, stride=2, padding=1, groups=17, bias=bias, activation="relu")
    expected = reference.conv_transpose(x, kernel, stride=2, padding=1, groups=17, bias=bias)
    np.testing.assert_array_equal(y, np.maximum(expected, 0))


@pytest.mark.parametrize("first, end", [(0, 1000), (3, 1020), (1, 18)])
def test_channels_of_a_larger_image_give_the_same_bits(first, end, isa, dtype):
    """Pixels a multiple of 4 KiB apart, whose last vector overlaps the one before."""
    c = end - first
    x, kernel, _, _ = depthwise(c, h=11, w=19, kh=5, kw=5).arrays(dtype)
    wide = np.zeros((*x.shape[:-1], 1024), dtype)
    wide[..., first:end] = x
    options = {"padding": 2, "groups": c, "algorithm": "direct"}
    y = chanconv.conv(x, kernel, **options)
    assert same_bits(chanconv.conv(wide[..., first:end], kernel, **options), y)
    gradients = (chanconv.conv_grad_kernel(y, image, kernel.shape, **options) for image in (wide[..., first:end], x))
    assert same_bits(*gradients)


# ---- Where x and y lie ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 1, 4, 15])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("c", [96, 112, 104])
def test_vectors_that_begin_with_cache_lines_of_x_give_the_same_bits(c, kernel, offset, isa, dtype):
    """Vectors of many channels begin where x has its lines, and so elsewhere for every address."""
    problem = depthwise(c, n=2, h=9, w=17, kh=kernel, kw=kernel, stride=2, padding=1)
    x, weights, bias, grad = problem.arrays(dtype)
    block = np.zeros(x.size + 128, dtype)
    start = -(block.ctypes.data // block.itemsize) % 64 + offset
    moved = block[start : start + x.size].reshape(x.shape)
    moved[...] = x
    for pass_ in PASSES:
        expected = run(pass_, problem, (x, weights, bias, grad), algorithm="direct")
        for threads in (1, 3):
            with chanconv.num_threads(threads):
                assert same_bits(run(pass_, problem, (moved, weights, bias, grad), algorithm="direct"), expected)
    y = chanconv.conv(moved, weights, bias=bias, activation="relu", algorithm="direct", **problem.options)
    assert same_bits(y, activations.relu(run("forward", problem, (x, weights, bias, grad), algorithm="direct")))


@pytest.mark.parametrize("c", [96, 104, 101])
@pytest.mark.parametrize("what, stride, h, w", [("forward", 1, 130, 142), ("forward", 2, 182, 198), ("grad_x", 2, 182, 198)])
def test_a_large_result_has_the_bits_of_its_images(what, stride, h, w, c, isa):
    """Two images are stored past the caches where the pixels are whole cache lines, one is not; nor is an unaligned `out`."""
    problem = depthwise(c, n=2, h=h, w=w, stride=stride, padding=1)
    x, kernel, bias, grad = problem.arrays(np.float32)
    expected = np.concatenate([run(what, problem, (x[i : i + 1], kernel, bias, grad[i : i + 1])) for i in range(2)])
    for threads in (1, 3):
        with chanconv.num_threads(threads):
            assert same_bits(run(what, problem, (x, kernel, bias, grad)), expected)
    shifted = np.zeros(expected.size + 4, np.float32)[4:].reshape(expected.shape)
    assert same_bits(run(what, problem, (x, kernel, bias, grad), out=shifted), expected)
    wide = np.zeros((*expected.shape[:3], 160), np.float32)
    assert same_bits(run(what, problem, (x, kernel, bias, grad), out=wide[..., 16 : 16 + c]), expected)
    assert not wide[..., :16].any()
    assert not wide[..., 16 + c :].any()
