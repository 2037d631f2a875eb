# SPDX-License-Identifier: BSD-3-Clause
"""The transposed convolution: the gradient of conv with respect to x, used forwards."""

import random

import numpy as np
import pytest
from oracle import assert_within, integers, same_bits

import chanconv
from chanconv import reference


def draw(rng):
    """Sizes (H, W, C, K // groups, KH, KW) and options of a transposed convolution; perhaps one that does not exist."""
    groups = rng.choice([1, 1, 2, 3])
    stride, dilation = ([rng.randint(1, 3), rng.randint(1, 4)] for _ in range(2))
    sizes = [rng.randint(1, 7), rng.randint(1, 7), groups * rng.randint(1, 5), rng.randint(1, 6)]
    options = {"stride": tuple(stride), "dilation": tuple(dilation), "groups": groups}
    options["padding"] = rng.choice(["valid", "same", "same_lower", 1, (0, 2), ((1, 0), (2, 1))])
    if "same" not in str(options["padding"]):
        options["output_padding"] = tuple(rng.randrange(max(pair)) for pair in zip(stride, dilation, strict=True))
    return (*sizes, rng.randint(1, 4), rng.randint(1, 4)), options


def exists(problem):
    (h, w, *_, kh, kw), options = problem
    arguments = {"output_padding": 0} | options
    del arguments["groups"]
    return min(reference.conv_transpose_sizes((h, w), (kh, kw), **arguments)) >= 1


def sample(count, seed):
    rng = random.Random(seed)
    problems = filter(exists, iter(lambda: draw(rng), None))
    return [next(problems) for _ in range(count)]


def arrays(sizes, options, values=integers, dtype=np.float64):
    """x, kernel, bias and grad_output."""
    h, w, c, kg, kh, kw = sizes
    rng = np.random.default_rng(sum(sizes))
    x, kernel, bias = (values(rng, s).astype(dtype) for s in ((2, h, w, c), (kh, kw, kg, c), (kg * options["groups"],)))
    return x, kernel, bias, values(rng, reference.conv_transpose(x, kernel, **options).shape).astype(dtype)


@pytest.mark.parametrize(("sizes", "options"), sample(150, seed=21), ids=str)
def test_integers_are_exact(sizes, options, isa, dtype):
    x, kernel, bias, grad = arrays(sizes, options, dtype=dtype)
    expected = reference.conv_transpose(x, kernel, bias=bias, **options)
    out = np.full(expected.shape, np.nan, dtype)
    assert chanconv.conv_transpose(x, kernel, bias=bias, out=out, **options) is out
    np.testing.assert_array_equal(out, expected)
    grads = chanconv.conv_transpose_backward(grad, x, kernel, **options)
    for ours, theirs in zip(grads, reference.conv_transpose_backward(grad, x, kernel, **options), strict=True):
        assert ours.dtype == dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("sizes", "options"), sample(60, seed=22), ids=str)
def test_error_bound(sizes, options, isa):
    x, kernel, bias, _ = arrays(sizes, options, lambda rng, shape: rng.standard_normal(shape), np.float32)
    wide = [a.astype(np.float64) for a in (x, kernel, bias)]
    expected, total, terms = (
        reference.conv_transpose(f(wide[0]), f(wide[1]), bias=f(wide[2]), **options)
        for f in (np.positive, np.abs, np.ones_like)
    )
    nu = (terms + 1) * np.finfo(np.float32).eps / 2
    assert_within(chanconv.conv_transpose(x, kernel, bias=bias, **options), expected, nu / (1 - nu) * total)


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"stride": 3, "padding": 1, "groups": 2}], ids=str)
def test_it_is_the_gradient_of_conv(options):
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((2, 4, 5, 6)), rng.standard_normal((3, 3, 4 // options.get("groups", 1), 6))
    y = chanconv.conv_transpose(x, kernel, **options)
    assert same_bits(y, chanconv.conv_grad_x(x, kernel, y.shape, **options))
    assert same_bits(chanconv.conv_transpose(x[1], kernel, **options), y[1])


@pytest.mark.parametrize("padding", ["same", "same_lower"])
@pytest.mark.parametrize("stride", [1, 2, (3, 5)])
def test_same_multiplies_the_size(stride, padding):
    y = chanconv.conv_transpose(np.ones((4, 7, 2)), np.ones((3, 4, 3, 2)), stride, padding=padding)
    assert y.shape == tuple(n * s for n, s in zip((4, 7), reference.pair(stride), strict=True)) + (3,)


def test_fused_activation_is_the_activation(isa):
    x, kernel, bias, _ = arrays((4, 5, 6, 7, 3, 3), {"groups": 1}, lambda rng, s: rng.standard_normal(s), np.float32)
    plain = chanconv.conv_transpose(x, kernel, 2, bias=bias)
    for name in ("relu", "silu", "leaky_relu"):
        fused = chanconv.conv_transpose(x, kernel, 2, bias=bias, activation=name)
        assert same_bits(fused, chanconv.activations.get(name).forward(plain))


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (2, 4, 4, 0)])
def test_zero_sizes(shape):
    y = chanconv.conv_transpose(np.ones(shape), np.ones((3, 3, 5, shape[-1])), bias=np.arange(5.0))
    assert y.shape == (shape[0], 6, 6, 5)
    np.testing.assert_array_equal(y, np.broadcast_to(np.arange(5), y.shape))


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"output_padding": 1}, "output_padding"),
        ({"output_padding": (2, 0), "stride": 2}, "output_padding"),
        ({"output_padding": -1, "stride": 2}, "output_padding"),
        ({"output_padding": 1, "stride": 2, "padding": "same"}, "output_padding"),
        ({"padding": 3}, "padding"),
        ({"padding": -1}, "padding"),
        ({"stride": 0}, "stride"),
        ({"stride": 2**62}, "stride"),
        ({"groups": 2}, "groups"),
    ],
    ids=str,
)
def test_bad_arguments(options, argument):
    with pytest.raises((ValueError, MemoryError), match=rf"^{argument}: "):
        chanconv.conv_transpose(np.ones((4, 4, 3)), np.ones((3, 3, 5, 3)), **options)


@pytest.mark.parametrize("kernel_shape", [(3, 3, 3, 5), (3, 3, 5, 2)])
def test_kernel_of_other_channels(kernel_shape):
    with pytest.raises(ValueError, match=r"^kernel: expected \(KH, KW, K // groups, C\) with C = 3, got shape \(3, 3, "):
        chanconv.conv_transpose(np.ones((4, 4, 3)), np.ones(kernel_shape))


@pytest.mark.parametrize("shape", [(2, 6, 6, 5), (2, 7, 6, 4), (1, 6, 6, 4), (6, 6, 4)])
def test_grad_output_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"^grad_output: "):
        chanconv.conv_transpose_backward(np.ones(shape), np.ones((2, 4, 4, 3)), np.ones((3, 3, 4, 3)))
