# SPDX-License-Identifier: BSD-3-Clause
"""The gradients of conv: against the reference, against finite differences of conv itself, and as its adjoints."""

import numpy as np
import pytest
from oracle import (
    BLOCKS,
    DEPTHWISE,
    MODES,
    TILES,
    Problem,
    assert_within,
    exact,
    exact_by_matrices,
    integers,
    run,
    run_all,
    same_bits,
    sample,
    within,
)

import chanconv
from chanconv import reference

GRADIENTS = ("grad_x", "grad_kernel", "per_sample")


@pytest.mark.parametrize("problem", sample(120, seed=11) + DEPTHWISE[40:70], ids=str)
@pytest.mark.parametrize("pass_", GRADIENTS)
def test_error_bound(pass_, problem, isa, dtype, strict):
    expected, bound = within(pass_, problem, dtype)
    for algorithm, result in run_all(pass_, problem, problem.arrays(dtype)):
        assert result.dtype == dtype, algorithm
        assert_within(result, expected, bound)


@pytest.mark.parametrize("problem", TILES + DEPTHWISE, ids=str)
@pytest.mark.parametrize("pass_", ["grad_x", "grad_kernel"])
def test_integers_are_exact_around_every_tile(pass_, problem, isa, dtype, strict):
    for algorithm, result in run_all(pass_, problem, problem.arrays(dtype, integers)):
        np.testing.assert_array_equal(result, exact(pass_, problem), err_msg=algorithm)


@pytest.mark.parametrize("problem", BLOCKS, ids=str)
@pytest.mark.parametrize("pass_", ["grad_x", "grad_kernel"])
def test_integers_are_exact_over_several_blocks(pass_, problem, isa, dtype, strict):
    for algorithm, result in run_all(pass_, problem, problem.arrays(dtype, integers)):
        np.testing.assert_array_equal(result, exact_by_matrices(pass_, problem), err_msg=algorithm)


@pytest.mark.parametrize("problem", sample(100, seed=12), ids=str)
def test_backward_is_the_single_gradients(problem, dtype, algorithm):
    x, kernel, _, grad = arrays = problem.arrays(dtype)
    grads = chanconv.conv_backward(grad, x, kernel, algorithm=algorithm, **problem.options)
    assert same_bits(grads.x, run("grad_x", problem, arrays, algorithm=algorithm))
    assert same_bits(grads.kernel, run("grad_kernel", problem, arrays, algorithm=algorithm))
    expected = grad.astype(np.longdouble).sum((0, 1, 2))
    bound = (grad[..., 0].size + 1) * np.finfo(dtype).eps * np.abs(grad).sum((0, 1, 2))
    assert_within(grads.bias, expected, bound)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "problem",
    [
        Problem(h=5, w=5, c=2, k=3, padding=1),
        Problem(h=5, w=6, c=2, k=2, stride=2, padding=((0, 2), (1, 3))),
        Problem(h=6, w=5, c=4, k=2, groups=2, dilation=2, padding="same"),
    ],
    ids=str,
)
def test_finite_differences(problem, mode, algorithm):
    """conv is linear in x and in the kernel: the difference over a step of 1 is the derivative, but for rounding."""
    options = problem.options | {"padding_mode": mode, "algorithm": algorithm}
    x, kernel, _, grad = problem.arrays(np.float64)
    grads = chanconv.conv_backward(grad, x, kernel, **options)
    value = np.vdot(chanconv.conv(x, kernel, **options), grad)
    for at, gradient in ((x, grads.x), (kernel, grads.kernel)):
        for index in np.ndindex(at.shape):
            at[index] += 1
            difference = np.vdot(chanconv.conv(x, kernel, **options), grad) - value
            at[index] -= 1
            assert gradient[index] == pytest.approx(difference, abs=1e-11)


@pytest.mark.parametrize("problem", sample(90, seed=13), ids=str)
def test_adjoint(problem, isa, algorithm):
    """<conv(x, k), g> == <x, grad_x(g)> == <k, grad_kernel(g)>, exactly on integers."""
    x, kernel, bias, grad = problem.arrays(np.float64, integers)
    arrays = x, kernel, np.zeros_like(bias), grad
    product = np.vdot(run("forward", problem, arrays, algorithm=algorithm), grad)
    assert np.vdot(x, run("grad_x", problem, arrays, algorithm=algorithm)) == product
    assert np.vdot(kernel, run("grad_kernel", problem, arrays, algorithm=algorithm)) == product


@pytest.mark.parametrize("problem", sample(60, seed=14), ids=str)
@pytest.mark.parametrize("pass_", GRADIENTS)
def test_out_is_written_whole(pass_, problem, algorithm):
    arrays = problem.arrays(np.float32)
    expected = run(pass_, problem, arrays, algorithm=algorithm)
    out = np.full(expected.shape, np.nan, np.float32)
    assert run(pass_, problem, arrays, algorithm=algorithm, out=out) is out
    assert same_bits(out, expected)


@pytest.mark.parametrize(
    ("problem", "unused"),
    [
        (Problem(h=8, w=8, stride=3), np.s_[:, [6, 7], :]),  # steps that no longer fit leave the last rows out
        (Problem(h=8, w=8, stride=3), np.s_[:, :, [6, 7]]),
        (Problem(h=9, w=5, kh=2, kw=2, stride=(4, 1)), np.s_[:, [2, 3, 6, 7, 8]]),  # steps larger than the kernel: gaps
        (Problem(h=9, w=9, kh=2, kw=1, stride=2, dilation=4), np.s_[:, [1, 3, 5, 7]]),
        (Problem(c=16, k=32, h=7, w=7, kh=1, kw=1, stride=2), np.s_[:, 1::2]),
    ],
    ids=str,
)
def test_cells_that_no_output_sees_have_gradient_zero(problem, unused, isa, dtype, algorithm):
    arrays = problem.arrays(dtype)
    grad_x = run("grad_x", problem, arrays, algorithm=algorithm, out=np.full(problem.x_shape, np.nan, dtype))
    assert not grad_x[unused].any()
    seen = run("grad_x", problem, [np.ones_like(a) for a in arrays], reference) != 0
    np.testing.assert_array_equal(grad_x != 0, seen)


@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize("algorithm", ["gemm", "im2col", "auto"])
@pytest.mark.parametrize("problem", [Problem(h=3, w=3, k=1), Problem(h=1, w=1, c=1, kh=1, kw=1, k=1)], ids=str)
def test_one_output(problem, threads, algorithm):
    """Less work than threads."""
    x, kernel, _, grad = problem.arrays(np.float64)
    with chanconv.num_threads(threads):
        grads = chanconv.conv_backward(grad, x, kernel, algorithm=algorithm)
    np.testing.assert_array_equal(grads.x, kernel[None, ..., 0] * grad)
    np.testing.assert_array_equal(grads.kernel[..., 0], (x * grad)[0])
    np.testing.assert_array_equal(grads.bias, grad.ravel())


def test_single_image_and_single_kernel(algorithm):
    problem = Problem(n=2, c=4, k=3, stride=2, padding="same")
    x, kernel, _, grad = problem.arrays(np.float64, integers)
    options = problem.options | {"algorithm": algorithm}
    image = chanconv.conv_backward(grad[0], x[0], kernel, **options)
    np.testing.assert_array_equal(image.x, reference.conv_grad_x(grad[0], kernel, x.shape[1:], **problem.options))
    for gradient in (image, chanconv.conv_backward(grad[:1], x[:1], kernel, **options)):
        by_reference = reference.conv_grad_kernel(grad[0], x[0], kernel.shape, **problem.options)
        np.testing.assert_array_equal(gradient.kernel, by_reference)
    one = chanconv.conv_backward(grad[..., 0], x, kernel[..., 0], **options)
    by_reference = reference.conv_backward(grad[..., 0], x, kernel[..., 0], **problem.options)
    for ours, theirs in zip(one, by_reference, strict=True):
        assert ours.shape == np.shape(theirs)
        np.testing.assert_array_equal(ours, theirs)


def test_per_sample_of_single_kernels():
    problem = Problem(n=3, c=2, k=1)
    x, _, _, grad = problem.arrays(np.float64, integers)
    one = chanconv.conv_grad_kernel(grad[..., 0], x, (3, 3, 2), per_sample=True)
    assert one.shape == (3, 3, 3, 2)
    np.testing.assert_array_equal(one, reference.conv_grad_kernel(grad, x, (3, 3, 2, 1), per_sample=True)[..., 0])


@pytest.mark.parametrize("problem", [Problem(n=0), Problem(c=0), Problem(k=0), Problem(n=0, c=0, k=0)], ids=str)
@pytest.mark.parametrize("pass_", GRADIENTS)
def test_zero_sizes(pass_, problem, isa, algorithm):
    arrays = problem.arrays(np.float32)
    shape = {"grad_x": problem.x_shape, "grad_kernel": problem.kernel_shape}.get(
        pass_, (problem.n, *problem.kernel_shape)
    )
    out = np.full(shape, np.nan, np.float32)
    result = run(pass_, problem, arrays, algorithm=algorithm, out=out)
    assert result.shape == shape
    assert not result.any()


def test_an_image_without_rows_has_a_kernel_gradient_of_zero(algorithm):
    problem = Problem(n=2, h=0, w=3, padding=1, kh=2, kw=2)
    arrays = problem.arrays(np.float32)
    assert run("grad_x", problem, arrays, algorithm=algorithm).shape == problem.x_shape
    out = np.full(problem.kernel_shape, np.nan, np.float32)
    assert not run("grad_kernel", problem, arrays, algorithm=algorithm, out=out).any()


def test_bias_gradient_of_nothing_is_zero():
    problem = Problem(n=0)
    x, kernel, _, grad = problem.arrays(np.float32)
    np.testing.assert_array_equal(chanconv.conv_backward(grad, x, kernel).bias, np.zeros(4, np.float32))


# ---- wrt and bad arguments -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrt", ["x", ("kernel",), ["bias"], ("bias", "x"), {"x", "kernel"}])
def test_wrt(wrt):
    x, kernel, _, grad = Problem().arrays(np.float32)
    every, some = chanconv.conv_backward(grad, x, kernel), chanconv.conv_backward(grad, x, kernel, wrt=wrt)
    for name in ("x", "kernel", "bias"):
        got = getattr(some, name)
        if name in ([wrt] if isinstance(wrt, str) else wrt):
            assert same_bits(got, getattr(every, name))
        else:
            assert got is None


@pytest.mark.parametrize("wrt", [(), "y", ("x", "weight"), ""])
def test_wrt_that_names_nothing_known(wrt):
    x, kernel, _, grad = Problem().arrays(np.float32)
    with pytest.raises(ValueError, match=r"^wrt: "):
        chanconv.conv_backward(grad, x, kernel, wrt=wrt)


@pytest.mark.parametrize("shape", [(3, 4, 4, 4), (2, 5, 4, 4), (2, 4, 3, 4), (2, 4, 4, 5), (2, 0, 4, 4), (4, 4, 4)])
def test_grad_output_of_another_shape(shape):
    x, kernel, _, _ = Problem(n=2).arrays(np.float32)
    with pytest.raises(ValueError, match=r"^grad_output: .*4, 4"):
        chanconv.conv_backward(np.zeros(shape, np.float32), x, kernel)


@pytest.mark.parametrize("x_shape", [(2, 7, 6, 3), (3, 6, 6, 3), (2, 6, 6, -3), (6, 6, 3), (6, 6), (2, 2**62, 6, 3)])
def test_x_shape_that_does_not_fit(x_shape):
    _, kernel, _, grad = Problem(n=2).arrays(np.float32)
    with pytest.raises(ValueError, match=r"^(x_shape|grad_output|x): "):
        chanconv.conv_grad_x(grad, kernel, x_shape)


@pytest.mark.parametrize("kernel_shape", [(3, 3, 3, 5), (3, 3, 2, 4), (0, 3, 3, 4), (3, 3), (3, 3, 3, -4)])
def test_kernel_shape_that_does_not_fit(kernel_shape):
    x, _, _, grad = Problem(n=2).arrays(np.float32)
    with pytest.raises(ValueError, match=r"^(kernel_shape|grad_output|kernel): "):
        chanconv.conv_grad_kernel(grad, x, kernel_shape)
