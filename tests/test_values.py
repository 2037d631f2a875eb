# SPDX-License-Identifier: BSD-3-Clause
"""NaN, Inf, huge, tiny and signed values: a result is what the formula over the input padded with zeros says."""

import functools
import subprocess
import sys

import numpy as np
import pytest
from oracle import Problem, assert_within, integers, run, run_all, same_bits, within

import chanconv
from chanconv import reference

# What each pass reads: where to put a NaN.
READS = {
    "forward": ("x", "kernel", "bias"),
    "grad_x": ("kernel", "grad_output"),
    "grad_kernel": ("x", "grad_output"),
    "per_sample": ("x", "grad_output"),
}
ARGUMENTS = ("x", "kernel", "bias", "grad_output")

PROBLEMS = [
    Problem(n=2, h=4, w=5, c=2, k=3, padding=1),
    Problem(n=2, h=5, w=4, c=2, k=4, kh=2, groups=2, stride=2, padding=((0, 2), (1, 0))),
    Problem(h=1, w=3, c=1, k=2, padding=1),  # taps that meet nothing but padding
    Problem(h=5, w=5, c=1, k=1, dilation=2, padding="same"),
    Problem(h=4, w=4, c=2, k=2, kh=1, kw=1, stride=3),
    Problem(h=4, w=4, c=3, k=3, groups=3, padding=1),
    Problem(h=4, w=3, c=1, k=2, padding=2, padding_mode="reflect"),
    Problem(h=3, w=3, c=1, k=2, padding=1, padding_mode="circular", stride=2),
    Problem(h=3, w=4, c=1, k=2, padding=2, padding_mode="replicate"),
    Problem(h=3, w=3, c=5, k=17, kh=2, kw=1, padding=(1, 0)),
    Problem(h=4, w=5, c=17, k=17, groups=17, padding=1),
    Problem(n=2, h=4, w=6, c=9, k=9, groups=9, kh=2, stride=(2, 1), dilation=(1, 2), padding="same"),
    Problem(h=1, w=4, c=16, k=16, groups=16, padding=(1, 3)),
    Problem(h=3, w=5, c=16, k=32, groups=16, kh=2, kw=2, padding=1),
    Problem(h=4, w=5, c=16, k=16, groups=8, padding=1),  # groups of few channels
    Problem(h=3, w=6, c=32, k=32, groups=8, kh=2, kw=2, stride=(1, 2), padding=1, padding_mode="reflect"),
    Problem(h=5, w=6, c=16, k=16, groups=16, stride=2, padding=1),  # a gradient of x that is spread
    Problem(h=2, w=18, c=2, k=1, kh=1, kw=1),  # few channels, many pixels
    Problem(h=4, w=19, c=1, k=1, padding=1),  # a plane
    Problem(h=3, w=18, c=1, k=3, kh=2, padding=(0, 1)),
    Problem(h=3, w=35, c=1, k=1, kh=2, stride=(1, 2), padding=1),
    Problem(h=3, w=4, c=2, k=16, padding=1),  # the kernel is read in place, without the taps on padding
    Problem(h=1, w=4, c=2, k=16, padding=1),
    Problem(n=2, h=2, w=3, c=2, k=32, groups=2, kh=2, kw=2, padding=1),
    Problem(n=2, h=5, w=6, c=3, k=20, stride=2, padding=1),  # gradient of x by patches
    Problem(h=3, w=5, c=30, k=4, dilation=2, padding=2),  # gradient of the kernel without the taps on padding
]


@functools.cache
def clean(problem, dtype):
    """The problem's integer arrays; not to be changed."""
    return problem.arrays(dtype, integers)


def poisoned(problem, argument, index, value, dtype):
    """The same with `value` at one position of one of them."""
    arrays = list(clean(problem, dtype))
    which = ARGUMENTS.index(argument)
    arrays[which] = arrays[which].copy()
    arrays[which].flat[index] = value
    return arrays


def positions(problem, argument):
    """Every position of an argument; of a large one some 25."""
    size = clean(problem, np.dtype(np.float64))[ARGUMENTS.index(argument)].size
    return range(0, size, size // 25 if size > 120 else 1)


@functools.cache
def by_the_formula(pass_, problem, argument, index, value):
    with np.errstate(invalid="ignore"):
        return run(pass_, problem, poisoned(problem, argument, index, value, np.dtype(np.float64)), reference)


@pytest.mark.parametrize("values", [(np.nan,), (np.inf, -np.inf)], ids=["nan", "inf"])
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("pass_", READS)
def test_one_nonfinite_value_at_every_position(pass_, problem, values, isa, dtype):
    """Zeros among the integers make NaN of Inf; all that does not see the position is exact."""
    for argument in READS[pass_]:
        for index in positions(problem, argument):
            value = values[index % len(values)]
            expected = by_the_formula(pass_, problem, argument, index, value)
            for algorithm, result in run_all(pass_, problem, poisoned(problem, argument, index, value, dtype)):
                same = np.array_equal(result, expected, equal_nan=True)
                assert same, f"{algorithm}: {argument}.flat[{index}]: {result} for {expected}"


@pytest.mark.parametrize("problem", [PROBLEMS[0], PROBLEMS[1], Problem(n=2, h=6, w=6, c=8, k=16, padding=1)], ids=str)
def test_outputs_that_do_not_see_a_nan_keep_their_bits(problem, isa, dtype):
    finite = problem.arrays(dtype)
    for algorithm, y in run_all("forward", problem, finite):
        for index in range(0, finite[0].size, 5):
            x = finite[0].copy()
            x.flat[index] = np.nan
            result = run("forward", problem, (x, *finite[1:]), algorithm=algorithm)
            assert same_bits(np.where(np.isnan(result), y, result), y), f"{algorithm}: x.flat[{index}]"


def test_a_nan_in_the_kernel_wins_over_zeros(isa, dtype, algorithm):
    kernel = np.zeros((3, 3, 2, 4), dtype)
    kernel[1, 1, 0, 2] = np.nan
    y = chanconv.conv(np.zeros((6, 6, 2), dtype), kernel, padding=1, algorithm=algorithm)
    np.testing.assert_array_equal(y, np.broadcast_to([0, 0, np.nan, 0], y.shape))


def test_infinities_of_both_signs_in_one_window(isa, dtype, algorithm):
    x = np.ones((1, 6, 1), dtype)
    x[0, 2], x[0, 3] = np.inf, -np.inf
    y = chanconv.conv(x, np.ones((1, 2, 1), dtype), algorithm=algorithm)
    np.testing.assert_array_equal(y.ravel(), [2, np.inf, np.nan, -np.inf, 2])


def test_a_nan_between_the_channels_that_are_read(algorithm):
    """x, grad_output and out are slices of arrays whose other channels are NaN."""
    problem = Problem(n=2, c=3, k=5, padding=1)
    x, kernel, bias, grad = arrays = problem.arrays(np.float32)

    def slice_of_nans(array):
        whole = np.full((*array.shape[:-1], array.shape[-1] + 2), np.nan, array.dtype)
        whole[..., 1:-1] = array
        return whole[..., 1:-1]

    sliced = slice_of_nans(x), kernel, bias, slice_of_nans(grad)
    for pass_ in READS:
        result = run(pass_, problem, sliced, algorithm=algorithm)
        assert same_bits(result, run(pass_, problem, arrays, algorithm=algorithm))


@pytest.mark.parametrize("sign", [1, -1])
def test_overflow_is_an_infinity_of_the_right_sign(sign, isa, dtype, algorithm):
    largest = np.finfo(dtype).max
    x = np.full((5, 5, 3), sign * largest, dtype)
    y = chanconv.conv(x, np.ones((3, 3, 3, 2), dtype), algorithm=algorithm)
    np.testing.assert_array_equal(y, np.full((3, 3, 2), sign * np.inf))


def test_the_largest_values_cancel(isa, dtype, algorithm):
    largest = np.finfo(dtype).max
    x = np.zeros((1, 4, 2), dtype)
    x[0, 1, 0], x[0, 2, 1] = largest, -largest
    y = chanconv.conv(x, np.ones((1, 2, 2, 1), dtype), algorithm=algorithm)
    np.testing.assert_array_equal(y.ravel(), [largest, 0, -largest])


@pytest.mark.parametrize("pass_", ["forward", "grad_x"])
@pytest.mark.parametrize("groups", [1, 6])
def test_subnormal_numbers_are_kept(pass_, groups, isa, dtype, algorithm):
    """Each channel times 1, alone or beside channels times 0."""
    tiny = np.finfo(dtype).smallest_subnormal
    problem = Problem(h=4, w=5, c=6, k=6, kh=1, kw=1, groups=groups)
    x = tiny * np.arange(-60, 60).astype(dtype).reshape(problem.x_shape)
    kernel = np.ones((1, 1, 1, 6), dtype) if groups == 6 else np.eye(6, dtype=dtype)[None, None]
    result = run(pass_, problem, (x, kernel, np.zeros(6, dtype), x), algorithm=algorithm)
    np.testing.assert_array_equal(result, x)


@pytest.mark.parametrize("pass_", READS)
def test_negative_zeros(pass_, isa, dtype, algorithm):
    problem = Problem(c=3, k=9, padding=1)
    arrays = [np.full_like(a, -0.0) for a in problem.arrays(dtype)]
    result = run(pass_, problem, arrays, algorithm=algorithm)
    assert not result.any()
    assert same_bits(run(pass_, problem, arrays, algorithm=algorithm), result)


@pytest.mark.parametrize("pass_", READS)
def test_signalling_nans_become_quiet(pass_, isa, algorithm):
    problem = Problem(c=3, k=9)
    arrays = problem.arrays(np.float32)
    arrays = [np.full(a.shape, 0x7F800001, np.uint32).view(np.float32) for a in arrays]
    bits = run(pass_, problem, arrays, algorithm=algorithm).view(np.uint32)
    np.testing.assert_array_equal(bits & 0x7FC00000, np.full(bits.shape, 0x7FC00000))


def test_cancellation_of_large_equal_values(isa, dtype, strict):
    """The products are large and their sum is small: the error is bounded by the sum of their sizes."""
    problem = Problem(h=7, w=9, c=13, k=11)
    _, kernel, _, _ = problem.arrays(dtype)
    x, bias = np.full(problem.x_shape, 1e8, dtype), np.zeros(11, dtype)
    wide = kernel.astype(np.longdouble)
    total = 1e8 * np.abs(wide).sum((0, 1, 2))
    bound = np.broadcast_to(119 * np.finfo(dtype).eps * total, problem.y_shape)
    for _, y in run_all("forward", problem, (x, kernel, bias, None)):
        assert_within(y, np.broadcast_to(1e8 * wide.sum((0, 1, 2)), problem.y_shape), bound)


# ---- The floating-point environment of the caller --------------------------------------------------------------------

ENVIRONMENT = """
import ctypes, platform, sys
import numpy as np
import chanconv
from chanconv import _chanconv

libm = ctypes.CDLL("libm.so.6")
rng = np.random.default_rng(0)
problems = [[rng.standard_normal(s).astype(t) for s in ((2, 6, 7, c), (3, 3, c, k), (2, 6, 7, k))]
            for c, k in ((1, 1), (3, 5), (8, 16), (17, 33)) for t in (np.float32, np.float64)]

def passes():
    for x, kernel, grad in problems:
        for algorithm in ("gemm", "im2col", "auto"):
            chanconv.conv(x, kernel, padding=1, algorithm=algorithm)
            chanconv.conv_backward(grad, x, kernel, padding=1, algorithm=algorithm)

for isa in _chanconv.isa_available():
    _chanconv.set_isa(isa)
"""


def in_a_process(code):
    done = subprocess.run([sys.executable, "-c", ENVIRONMENT + code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr}"


@pytest.mark.skipif(sys.platform != "linux", reason="feenableexcept is glibc's")
def test_finite_inputs_raise_no_floating_point_exception():
    """Lanes beyond the end of an array hold zeros: a caller that traps on invalid operations is not trapped."""
    in_a_process("    assert libm.feenableexcept(1 | 4 | 8) != -1\n    passes()\n    libm.fedisableexcept(1 | 4 | 8)\n")


@pytest.mark.skipif(sys.platform != "linux", reason="fesetround by the name of glibc's library")
def test_the_rounding_mode_is_left_alone():
    in_a_process(
        "    upward = {'aarch64': 0x400000}.get(platform.machine(), 0x800)\n"
        "    assert libm.fesetround(upward) == 0\n"
        "    passes()\n"
        "    assert libm.fegetround() == upward\n"
        "    libm.fesetround(0)\n"
    )


@pytest.mark.parametrize("pass_", ["forward", "grad_x", "grad_kernel"])
def test_a_deep_sum_is_within_its_bound(pass_, isa, strict):
    """Thousands of terms: the error grows with their number, no faster."""
    problem = Problem(n=2, h=3, w=3, c=900 if pass_ == "forward" else 3, k=900 if pass_ == "grad_x" else 3)
    problem = Problem(n=4, h=40, w=40, c=2, k=2) if pass_ == "grad_kernel" else problem
    expected, bound = within(pass_, problem, np.dtype(np.float32))
    for _, result in run_all(pass_, problem, problem.arrays(np.float32)):
        assert_within(result, expected, bound)
