# SPDX-License-Identifier: BSD-3-Clause
"""Plane convolutions: one channel, one kernel."""

import numpy as np
import pytest
from oracle import SUMS, integers, same_bits, sample

import chanconv
from chanconv import reference

PROBLEMS = [p for p in sample(400, seed=31) if p.groups == 1][:150]
GENERAL = ("gemm", "im2col", "auto")


def arrays(problem, dtype):
    """Planes (N, H, W), a kernel (KH, KW) and grad_output, and the options."""
    x, kernel, _, grad = problem.arrays(dtype, integers)
    options = problem.options
    del options["groups"]
    return x[..., 0], kernel[..., 0, 0], grad[..., 0], options


def each_algorithm(function, *args, **options):
    """(name, result) of every algorithm that does not decline; the general ones must not."""
    for algorithm in SUMS:
        try:
            yield algorithm, function(*args, algorithm=algorithm, **options)
        except ValueError as error:
            if algorithm in GENERAL or not str(error).startswith("algorithm"):
                raise


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_integers_are_exact(problem, isa, dtype):
    x, kernel, grad, options = arrays(problem, dtype)
    y = reference.plane_conv(x, kernel, **options)
    for algorithm, ours in each_algorithm(chanconv.plane_conv, x, kernel, **options):
        assert ours.dtype == dtype
        np.testing.assert_array_equal(ours, y, err_msg=algorithm)
    grads = reference.plane_conv_backward(grad, x, kernel, **options)
    for algorithm, ours in each_algorithm(chanconv.plane_conv_backward, grad, x, kernel, **options):
        np.testing.assert_array_equal(ours.x, grads.x, err_msg=algorithm)
        np.testing.assert_array_equal(ours.kernel, grads.kernel, err_msg=algorithm)
        assert ours.bias is None


@pytest.mark.parametrize("size", [*range(1, 20), 31, 32, 33, 63, 64, 65, 100])
@pytest.mark.parametrize("taps", [1, 3, 5, 7])
def test_lengths_of_rows_around_vectors(size, taps, isa, dtype):
    rng = np.random.default_rng(size)
    x, kernel = integers(rng, (5, size)).astype(dtype), integers(rng, (3, taps)).astype(dtype)
    y = reference.plane_conv(x, kernel, padding=(1, taps // 2))
    for algorithm, ours in each_algorithm(chanconv.plane_conv, x, kernel, padding=(1, taps // 2)):
        np.testing.assert_array_equal(ours, y, err_msg=algorithm)


@pytest.mark.parametrize("width", [*range(5, 25), 70, 2500])
@pytest.mark.parametrize("options", [{}, {"padding": 2}, {"stride": 2}, {"dilation": 2}], ids=str)
def test_pixels_apart_have_the_bits_of_dense_ones(width, options, isa, dtype):
    rng = np.random.default_rng(width)
    x, kernel = rng.standard_normal((9, width)).astype(dtype), rng.standard_normal((3, 3)).astype(dtype)
    apart = np.full((9, width, 2), np.nan, dtype)
    apart[..., 1] = x
    y = chanconv.plane_conv(x, kernel, **options)
    grad = rng.standard_normal(y.shape).astype(dtype)
    apart_grad = np.full((*grad.shape, 3), np.nan, dtype)
    apart_grad[..., 0] = grad
    dense = chanconv.plane_conv_backward(grad, x, kernel, **options)
    ours = chanconv.plane_conv_backward(apart_grad[..., 0], apart[..., 1], kernel, **options)
    assert same_bits(chanconv.plane_conv(apart[..., 1], kernel, **options), y)
    assert same_bits(ours.kernel, dense.kernel) and same_bits(ours.x, dense.x)


def test_a_plane_is_a_stack_of_one(dtype):
    x, kernel, grad, options = arrays(PROBLEMS[0], dtype)
    y = chanconv.plane_conv(x, kernel, **options)
    assert same_bits(chanconv.plane_conv(x[0], kernel, **options), y[0])
    one, stack = (chanconv.plane_conv_backward(grad[s], x[s], kernel, **options) for s in (0, np.s_[:1]))
    assert same_bits(one.x, stack.x[0])
    assert same_bits(one.kernel, stack.kernel)


@pytest.mark.parametrize("problem", PROBLEMS[:20], ids=str)
def test_it_is_a_convolution_with_one_channel(problem):
    x, kernel, grad, options = arrays(problem, np.float32)
    out = np.full(grad.shape, np.nan, np.float32)
    assert chanconv.plane_conv(x, kernel, out=out, **options) is out
    np.testing.assert_array_equal(out, chanconv.conv(x[..., None], kernel[..., None], **options))


@pytest.mark.parametrize("wrt", ["x", ("kernel",)])
def test_wrt(wrt):
    x, kernel, grad, options = arrays(PROBLEMS[0], np.float32)
    grads = chanconv.plane_conv_backward(grad, x, kernel, wrt=wrt, **options)
    assert (grads.x is None) == ("x" not in wrt)
    assert (grads.kernel is None) == ("kernel" not in wrt)
    assert grads.bias is None
    with pytest.raises(ValueError, match=r"^wrt: "):
        chanconv.plane_conv_backward(grad, x, kernel, wrt="bias", **options)


@pytest.mark.parametrize(
    ("x_shape", "kernel_shape", "options", "argument"),
    [
        ((0, 5), (1, 1), {}, "x"),
        ((300, 300), (1, 700000), {}, "kernel"),
        ((5, 5), (6, 1), {}, "kernel"),
        ((5, 5), (0, 1), {}, "kernel"),
        ((5, 5), (3, 3), {"stride": (0, 1)}, "stride"),
        ((1, 5, 5, 1), (3, 3), {}, "x"),
        ((5,), (3, 3), {}, "x"),
        ((5, 5), (3, 3, 1, 1), {}, "kernel"),
        ((5, 5), (3, 3, 1), {}, "kernel"),
    ],
)
def test_bad_arguments(x_shape, kernel_shape, options, argument):
    with pytest.raises(ValueError, match=rf"^{argument}: "):
        chanconv.plane_conv(np.ones(x_shape, np.float32), np.ones(kernel_shape, np.float32), **options)
