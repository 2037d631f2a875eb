# SPDX-License-Identifier: BSD-3-Clause
"""NaN, infinities, huge and tiny numbers, one by one as the list of extreme inputs has them (G1 .. G30).

tests/test_values.py holds every algorithm and position to the formula; here each line is said in numbers.
"""

import subprocess
import sys

import numpy as np
import pytest
from oracle import run_all, same_bits
from oracle import Problem as P

import chanconv
from chanconv import activations, reference

ALGORITHMS = ("gemm", "im2col", "direct", "auto", "winograd", "fft")
SUMS = ALGORITHMS[:4]
DENSE, DEPTHWISE = P(n=2, h=7, w=8, c=3, k=4, padding=1), P(n=2, h=6, w=7, c=16, k=16, groups=16, padding=1)
GROUPED = P(h=5, w=5, c=4, k=6, groups=2)


def ones(problem, dtype, kernel=1.0):
    """x and grad_output of ones, a kernel of one value, no bias."""
    shapes = (problem.x_shape, problem.kernel_shape, (problem.k,), problem.y_shape)
    return [np.full(s, v, dtype) for s, v in zip(shapes, (1, kernel, 0, 1), strict=True)]


def forward(problem, arrays, algorithms=ALGORITHMS):
    return [y for _, y in run_all("forward", problem, arrays, algorithms)]


@pytest.mark.parametrize("problem", [DENSE, DEPTHWISE, GROUPED], ids=str)
def test_G1_one_nan(problem, dtype):
    x, kernel, bias, grad = arrays = problem.arrays(dtype)
    clean = forward(problem, arrays, SUMS)
    for index in np.ndindex(*(s if s < 4 else 4 for s in problem.x_shape)):
        marked = np.zeros(problem.x_shape)
        marked[index] = 1
        covered = reference.conv(marked, np.ones(problem.kernel_shape), **problem.options) > 0
        poisoned = x.copy()
        poisoned[index] = np.nan
        for y, before in zip(forward(problem, (poisoned, kernel, bias, grad), SUMS), clean, strict=True):
            assert (np.isnan(y) == covered).all()
            assert same_bits(np.where(covered, 0, y), np.where(covered, 0, before))


@pytest.mark.parametrize("sign", [1, -1])
def test_G2_one_infinity(sign, dtype):
    x, kernel, bias, grad = ones(DENSE, dtype, kernel=sign * 0.5)
    x[0, 3, 3, 1] = np.inf
    for y in forward(DENSE, (x, kernel, bias, grad)):
        assert (y[0, 2:5, 2:5] == sign * np.inf).all() and np.isfinite(y[1]).all() and np.isfinite(y[0, 0]).all()


def test_G3_infinity_times_zero(dtype):
    x, kernel, bias, grad = ones(DENSE, dtype)
    x[0, 3, 3, 1] = np.inf
    kernel[1, 1, 1] = 0
    for y in forward(DENSE, (x, kernel, bias, grad)):
        assert np.isnan(y[0, 3, 3]).all() and (y[0, 3, 4] == np.inf).all()


def test_G4_nan_in_the_kernel_of_zeros(dtype):
    x, kernel, bias, grad = ones(DENSE, dtype)
    kernel[0, 2, 1, 2] = np.nan
    for y in forward(DENSE, (x * 0, kernel, bias, grad)):
        assert np.isnan(y[..., 2]).all() and not y[..., [0, 1, 3]].any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_G5_nonfinite_tap_on_padding(value, dtype):
    """Row 0 of the kernel lies on padding for row 0 of the result: 0 * Inf is NaN, as of an input that np.pad made."""
    x, kernel, bias, grad = ones(DENSE, dtype)
    kernel[0, :, 0, 0] = value
    with np.errstate(invalid="ignore"):
        expected = reference.conv(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), kernel)
    for y in forward(DENSE, (x, kernel, bias, grad)):
        assert np.isnan(y[:, 0, :, 0]).all()
        np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))


def test_G6_both_infinities(dtype):
    x, kernel, bias, grad = ones(DENSE, dtype)
    x[0, 3, 3, 1], x[0, 3, 4, 2] = np.inf, -np.inf
    for y in forward(DENSE, (x, kernel, bias, grad)):
        assert np.isnan(y[0, 2:5, 3:5]).all() and (y[0, 3, 2] == np.inf).all() and (y[0, 3, 5] == -np.inf).all()


def test_G7_nan_stays_in_its_group(dtype):
    x, kernel, bias, grad = arrays = GROUPED.arrays(dtype)
    poisoned = x.copy()
    poisoned[..., 1] = np.nan
    for y, clean in zip(forward(GROUPED, (poisoned, kernel, bias, grad)), forward(GROUPED, arrays), strict=True):
        assert np.isnan(y[..., :3]).all() and same_bits(y[..., 3:], clean[..., 3:])


def test_G8_nan_between_the_pixels(dtype):
    x, kernel, bias, _ = DENSE.arrays(dtype)
    wide = np.full((*x.shape[:3], 5), np.nan, dtype)
    wide[..., 1:4] = x
    for algorithm in ("auto", "gemm", "im2col", "winograd"):
        options = {"padding": 1, "bias": bias, "algorithm": algorithm}
        assert same_bits(chanconv.conv(wide[..., 1:4], kernel, **options), chanconv.conv(x, kernel, **options))


@pytest.mark.parametrize("problem", [DENSE, DEPTHWISE, GROUPED], ids=str)
@pytest.mark.parametrize("pass_", ["forward", "grad_x", "grad_kernel", "per_sample"])
def test_G9_out_full_of_nan(pass_, problem, dtype):
    arrays = problem.arrays(dtype)
    for algorithm, expected in run_all(pass_, problem, arrays, ALGORITHMS):
        out = np.full_like(expected, np.nan)
        for _, y in run_all(pass_, problem, arrays, (algorithm,), out=out):
            assert y is out and same_bits(out, expected)


def test_G10_nan_in_the_bias(dtype):
    x, kernel, bias, grad = ones(DENSE, dtype)
    bias[2] = np.nan
    for y in forward(DENSE, (x, kernel, bias, grad)):
        assert np.isnan(y[..., 2]).all() and np.isfinite(y[..., [0, 1, 3]]).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_G11_overflow(sign, dtype):
    """Infinite where the sum overflows; finite where the direct sum is, whatever an algorithm makes of huge numbers."""
    x, kernel, bias, grad = ones(DENSE, dtype)
    x[0, 3, 3, 1] = x[0, 3, 4, 1] = sign * np.finfo(dtype).max
    for y in forward(DENSE, (x, kernel, bias, grad)):
        assert (y[0, 3, 3:5] == sign * np.inf).all() and np.isfinite(y[1]).all() and np.isfinite(y[0, 0]).all()


def test_G12_the_largest_cancel(dtype):
    largest = np.finfo(dtype).max
    x, kernel, bias, grad = ones(DENSE, dtype)
    x[:] = 0
    x[0, 3, 3, 1], x[0, 3, 4, 1] = largest, -largest
    for y in forward(DENSE, (x, kernel, bias, grad), SUMS):
        assert not y[0, 2:5, 3:5].any() and (y[0, 3, 2] == largest).all() and (y[0, 3, 5] == -largest).all()


def test_G13_subnormals(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    problem = P(h=5, w=6, c=3, k=3, kh=1, kw=1)
    x = (np.arange(90) * tiny).astype(dtype).reshape(1, 5, 6, 3)
    for y in forward(problem, (x, np.eye(3, dtype=dtype)[None, None], np.zeros(3, dtype), x), SUMS):
        assert same_bits(y, x)


def in_a_new_process(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, f"{done.returncode}: {done.stderr}"


PASSES = """
import ctypes, platform, numpy as np, chanconv
from chanconv import activations
libm = ctypes.CDLL("libm.so.6")
rng = np.random.default_rng(0)
def passes():
    for c, k, groups in ((1, 1, 1), (3, 5, 1), (17, 33, 1), (19, 19, 19)):
        for dtype in (np.float32, np.float64):
            x, kernel, grad = (rng.standard_normal(s).astype(dtype)
                               for s in ((2, 6, 7, c), (3, 3, c // groups, k), (2, 6, 7, k)))
            chanconv.conv(x, kernel, padding=1, groups=groups)
            chanconv.conv_backward(grad, x, kernel, padding=1, groups=groups)
            activations.gelu(x), activations.softmax(x)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="by the name of glibc's libm")
def test_G14_flush_to_zero_of_the_caller():
    """fesetenv(FE_DFL_DISABLE_SSE_DENORMS_ENV) is macOS's; here the flags are set in a saved environment."""
    in_a_new_process(
        PASSES + "if platform.machine() == 'x86_64':\n"
        "    saved = (ctypes.c_uint32 * 8)()\n"  # fenv_t: the last word is MXCSR
        "    libm.fegetenv(saved); saved[7] |= 0x8040; libm.fesetenv(saved)\n"
        "    passes()\n"
        "    now = (ctypes.c_uint32 * 8)(); libm.fegetenv(now)\n"
        "    assert now[7] & 0x8040 == 0x8040\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="by the name of glibc's libm")
def test_G15_rounding_mode_of_the_caller():
    in_a_new_process(
        PASSES + "upward = {'aarch64': 0x400000}.get(platform.machine(), 0x800)\n"
        "assert libm.fesetround(upward) == 0\npasses()\nassert libm.fegetround() == upward\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="feenableexcept is glibc's")
def test_G16_traps_of_the_caller():
    in_a_new_process(PASSES + "assert libm.feenableexcept(1) != -1\npasses()\nlibm.fedisableexcept(1)\n")


def test_G17_negative_zeros(dtype):
    x, kernel, bias, grad = ones(DENSE, dtype)
    for arrays in ((-0.0 * x, kernel, bias, grad), (x, -0.0 * kernel, -0.0 * bias - 0.0, grad)):
        for y, again in zip(forward(DENSE, arrays), forward(DENSE, arrays), strict=True):
            assert not y.any() and same_bits(y, again)


def test_G18_signalling_nan():
    x, kernel, bias, grad = ones(DENSE, np.float32)
    x[0, 3, 3, 1:2].view(np.uint32)[:] = 0x7F800001
    for y in forward(DENSE, (x, kernel, bias, grad)):
        assert (y[0, 2:5, 2:5].copy().view(np.uint32) & 0x7FC00000 == 0x7FC00000).all()


def test_G19_cancellation(dtype):
    problem = P(h=6, w=6, c=20, k=4)
    kernel = problem.arrays(dtype)[1]
    x = np.full(problem.x_shape, 1e8, dtype)
    exact = 1e8 * kernel.astype(np.longdouble).sum((0, 1, 2))
    bound = 182 * np.finfo(dtype).eps / 2 * 1e8 * np.abs(kernel).astype(np.float64).sum((0, 1, 2))
    for y in forward(problem, (x, kernel, np.zeros(4, dtype), None), SUMS[:3]):
        assert (np.abs(y - exact) <= bound).all()


@pytest.mark.parametrize("problem", [DENSE, DEPTHWISE, GROUPED, P(h=12, w=13, c=130, k=40, padding=1)], ids=str)
def test_G20_integers_are_exact(problem, threads, dtype):
    rng = np.random.default_rng(1)
    shapes = (problem.x_shape, problem.kernel_shape, (problem.k,), problem.y_shape)
    arrays = [rng.integers(-9, 10, s).astype(dtype) for s in shapes]
    for pass_ in ("forward", "grad_x", "grad_kernel"):
        results = [y for _, y in run_all(pass_, problem, arrays, SUMS[:3])]
        assert all(same_bits(y + 0, results[0] + 0) for y in results)
    exact = reference.conv(arrays[0].astype(float), arrays[1], bias=arrays[2], **problem.options)
    for y in forward(problem, arrays, SUMS[:3]):
        np.testing.assert_array_equal(y, exact)


# ---- Activations -----------------------------------------------------------------------------------------------------


def test_G21_relu(dtype):
    y = activations.relu(np.array([np.nan, -0.0, 1, -1, np.inf, -np.inf], dtype))
    np.testing.assert_array_equal(y, [np.nan, 0, 1, 0, np.inf, 0])


def test_G22_relu_backward(dtype):
    grad, x = np.array([3, 3, np.inf, 3], dtype), np.array([0, np.nan, -1, 2], dtype)
    np.testing.assert_array_equal(activations.relu_backward(grad, x), [0, np.nan, 0, 3])


def test_G23_sigmoid_far_out(dtype):
    y = activations.sigmoid(np.array([1000, -1000, np.inf, -np.inf, np.nan], dtype))
    np.testing.assert_array_equal(y, [1, 0, 1, 0, np.nan])


@pytest.mark.parametrize("name", ["silu", "gelu", "hard_silu", "mish"])
def test_G24_infinity_times_nothing(name, dtype):
    y = activations.get(name).forward(np.array([-np.inf, np.inf], dtype))
    np.testing.assert_array_equal(y, [0, np.inf])


def test_G25_leaky_relu_of_slope_0(dtype):
    """The formula: 0 * -Inf is NaN."""
    y = activations.leaky_relu(np.array([-np.inf, -1, 2], dtype), 0.0)
    np.testing.assert_array_equal(y, [np.nan, 0, 2])


def test_G26_underflow(dtype):
    tiny = np.array([np.finfo(dtype).smallest_subnormal, 1e-40, 1e-310], dtype)
    np.testing.assert_array_equal(activations.tanh(tiny), tiny)
    x = np.linspace(-110 if dtype == np.float32 else -760, 0, 5000, dtype=dtype)
    assert (np.diff(activations.sigmoid(x)) >= 0).all() and activations.sigmoid(x)[0] >= 0
    np.testing.assert_allclose(activations.sigmoid(np.float32([-100])), np.exp(np.float64(-100)), rtol=0.02)


def test_G27_softplus_and_rows_of_infinities(dtype):
    np.testing.assert_array_equal(activations.softplus(np.array([1000, -1000], dtype)), [1000, 0])
    rows = activations.softmax(np.array([[1, np.inf], [-np.inf, -np.inf], [-np.inf, 1]], dtype))
    np.testing.assert_array_equal(rows, [[np.nan, np.nan], [np.nan, np.nan], [0, 1]])


def test_G28_softmax_of_equal_huge_values(dtype):
    np.testing.assert_allclose(activations.softmax(np.full((2, 8), 1e38, dtype)), 1 / 8, rtol=1e-6)


def test_G29_elu_and_mish_of_minus_infinity(dtype):
    assert activations.elu(np.array([-np.inf], dtype), 1.5) == -1.5
    assert activations.mish(np.array([-np.inf], dtype)) == 0


@pytest.mark.parametrize("name", ["relu", "gelu", "tanh", "softplus", "mish", "hard_silu"])
def test_G30_tails(name, isa, dtype):
    x = np.random.default_rng(2).standard_normal(140).astype(dtype) * 4
    whole = activations.get(name).forward(x)
    for size in range(1, 68):
        for start in (0, 1, 3):
            assert same_bits(activations.get(name).forward(x[start : start + size]), whole[start : start + size])
