# SPDX-License-Identifier: BSD-3-Clause
"""The forward pass against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import (
    BLOCKS,
    DEPTHWISE,
    GENERAL,
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
from chanconv import activations, reference


@pytest.mark.parametrize("problem", sample(200, seed=1) + DEPTHWISE[:40], ids=str)
def test_error_bound(problem, isa, dtype, strict):
    expected, bound = within("forward", problem, dtype)
    for algorithm, y in run_all("forward", problem, problem.arrays(dtype)):
        assert y.dtype == dtype, algorithm
        assert_within(y, expected, bound)


@pytest.mark.parametrize("problem", TILES + DEPTHWISE, ids=str)
def test_integers_are_exact_around_every_tile(problem, isa, dtype, strict):
    for algorithm, y in run_all("forward", problem, problem.arrays(dtype, integers)):
        np.testing.assert_array_equal(y, exact("forward", problem), err_msg=algorithm)


@pytest.mark.parametrize("problem", BLOCKS, ids=str)
def test_integers_are_exact_over_several_blocks(problem, isa, dtype, strict):
    for algorithm, y in run_all("forward", problem, problem.arrays(dtype, integers)):
        np.testing.assert_array_equal(y, exact_by_matrices("forward", problem), err_msg=algorithm)


@pytest.mark.parametrize("problem", sample(60, seed=2), ids=str)
def test_out_is_written_whole(problem, algorithm):
    arrays = problem.arrays(np.float32)
    expected = run("forward", problem, arrays, algorithm=algorithm)
    out = np.full(problem.y_shape, np.nan, np.float32)
    assert run("forward", problem, arrays, algorithm=algorithm, out=out) is out
    assert same_bits(out, expected)


@pytest.mark.parametrize("problem", sample(30, seed=3), ids=str)
def test_out_in_a_slice_of_a_larger_array(problem, algorithm):
    """As for channels that are written next to others: the gaps stay as they were."""
    arrays = problem.arrays(np.float64)
    n, height, width, kernels = problem.y_shape
    whole = np.full((n, height + 2, width, kernels + 3), np.nan)
    run("forward", problem, arrays, algorithm=algorithm, out=whole[:, 1:-1, :, 2:-1])
    assert same_bits(whole[:, 1:-1, :, 2:-1], run("forward", problem, arrays, algorithm=algorithm))
    whole[:, 1:-1, :, 2:-1] = np.nan
    assert np.isnan(whole).all()


def test_definition():
    """One kernel is the sum of plane convolutions over channels, and K kernels are K times one kernel."""
    x, kernel, _, _ = Problem(n=2, c=5, k=3).arrays(np.float64, integers)
    y = chanconv.conv(x, kernel)
    for k in range(3):
        one = sum(chanconv.plane_conv(x[..., i], kernel[..., i, k]) for i in range(5))
        np.testing.assert_array_equal(y[..., k], one)
        np.testing.assert_array_equal(chanconv.conv(x, kernel[..., k]), one)


@pytest.mark.parametrize("activation", [None, "relu"])
def test_single_image_and_single_kernel(activation, algorithm):
    problem = Problem(n=2, c=4, k=3, stride=2, padding="same")
    x, kernel, bias, _ = problem.arrays(np.float32)
    options = problem.options | {"algorithm": algorithm, "activation": activation}
    y = chanconv.conv(x, kernel, bias=bias, **options)
    assert same_bits(chanconv.conv(x[1], kernel, bias=bias, **options), y[1])
    one = chanconv.conv(x, kernel[..., 0], bias=bias[0], **options)
    np.testing.assert_allclose(one, y[..., 0], rtol=0, atol=1e-5)
    assert same_bits(chanconv.conv(x[1], kernel[..., 0], bias=bias[0], **options), one[1])


def test_groups_are_convolutions_of_their_own(isa, dtype, algorithm):
    problem = Problem(n=2, c=6, k=9, groups=3, padding=1)
    x, kernel, bias, _ = problem.arrays(dtype, integers)
    y = run("forward", problem, (x, kernel, bias, None), algorithm=algorithm)
    for group in range(3):
        channels, kernels = slice(2 * group, 2 * group + 2), slice(3 * group, 3 * group + 3)
        alone = chanconv.conv(x[..., channels], kernel[..., kernels], padding=1, bias=bias[kernels])
        np.testing.assert_array_equal(y[..., kernels], alone)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "gelu", "silu", "tanh", "softplus", "hard_silu", "elu"])
def test_fused_activation_is_the_activation(name, isa, dtype, algorithm):
    """conv(..., activation=f) has the bits of f(conv(...))."""
    activation = activations.get(name)
    for problem in (Problem(n=2, c=5, k=19), Problem(h=3, w=3, k=1), Problem(c=4, k=8, groups=4, padding=2)):
        arrays = problem.arrays(dtype)
        separate = activation.forward(run("forward", problem, arrays, algorithm=algorithm))
        assert same_bits(run("forward", problem, arrays, algorithm=algorithm, activation=name), separate)
        assert same_bits(run("forward", problem, arrays, algorithm=algorithm, activation=activation), separate)


def test_activation_with_parameters():
    problem = Problem()
    arrays = problem.arrays(np.float32)
    activation = activations.get("leaky_relu", negative_slope=0.3)
    y = run("forward", problem, arrays, activation=activation)
    assert same_bits(y, activations.leaky_relu(run("forward", problem, arrays), 0.3))


def test_float16_is_computed_in_float32_and_rounded_once(algorithm):
    problem = Problem(n=2, c=30, k=5)
    half = problem.arrays(np.float16)
    y = run("forward", problem, half, algorithm=algorithm)
    single = run("forward", problem, [a.astype(np.float32) for a in half], algorithm=algorithm)
    assert same_bits(y, single.astype(np.float16))


def test_common_type():
    problem = Problem(c=2, k=3)
    x, kernel, bias, _ = problem.arrays(np.float64, integers)
    expected = chanconv.conv(x, kernel, bias=bias)
    for types in [("f4", "f8", "f4"), ("f4", "f4", "f8"), ("i1", "f8", "i8"), ("i1", "f4", "f4"), ("?", "f4", "f2")]:
        arrays = [a.astype(t) for a, t in zip((x, kernel, bias), types, strict=True)]
        y = chanconv.conv(arrays[0], arrays[1], bias=arrays[2])
        assert y.dtype == np.result_type(*arrays)
        if types[0] != "?":
            np.testing.assert_array_equal(y, expected)


# ---- Sizes of zero and one -------------------------------------------------------------------------------------------

EMPTY = [
    Problem(n=0),
    Problem(c=0),
    Problem(k=0),
    Problem(n=0, c=0, k=0),
    Problem(n=2, h=0, w=3, padding=1, kh=2, kw=2),
    Problem(n=2, h=0, w=0, padding=2),
    Problem(n=0, h=0, padding=((1, 2), (0, 0))),
]


@pytest.mark.parametrize("problem", EMPTY, ids=str)
def test_zero_sizes(problem, isa, algorithm):
    """An empty sum is 0, plus bias."""
    arrays = problem.arrays(np.float32)
    out = np.full(problem.y_shape, np.nan, np.float32)
    y = run("forward", problem, arrays, algorithm=algorithm, out=out)
    np.testing.assert_array_equal(y, np.broadcast_to(arrays[2], problem.y_shape))


@pytest.mark.parametrize(
    ("problem", "argument"),
    [
        (Problem(n=0, stride=0), "stride"),
        (Problem(n=0, groups=2), "groups"),
        (Problem(kh=0), "kernel"),
        (Problem(kw=0), "kernel"),
        (Problem(h=0), "x"),
        (Problem(n=0, h=0, w=0, c=0, kh=0, kw=0, k=0), "kernel"),
        (Problem(kh=9), "kernel"),
        (Problem(kh=9, h=8, stride=2), "kernel"),
        (Problem(h=8, dilation=4), "dilation"),
        (Problem(c=5, groups=2), "groups"),
        (Problem(c=4, k=5, groups=2), "groups"),
    ],
    ids=str,
)
def test_what_does_not_exist_is_an_error(problem, argument, algorithm):
    x, kernel = np.zeros(problem.x_shape, np.float32), np.zeros(problem.kernel_shape, np.float32)
    with pytest.raises(ValueError, match=rf"^{argument}: "):
        chanconv.conv(x, kernel, algorithm=algorithm, **problem.options)


@pytest.mark.parametrize(
    "problem",
    [
        Problem(n=1, h=1, w=1, c=1, kh=1, kw=1, k=1),
        Problem(h=3, w=3, kh=1, kw=1, stride=7),
        Problem(h=5, w=5, kh=5, kw=5),
        Problem(h=3, kh=5, kw=1, padding=(1, 0)),
        Problem(h=9, dilation=(4, 1)),
        Problem(h=3, w=4, padding=6),
        Problem(padding=((3, 0), (0, 1))),
        Problem(kh=4, kw=2, padding="same"),
        Problem(kh=4, kw=2, padding="same_lower", stride=3),
        Problem(w=1, kw=1, stride=(1, 5), padding=(1, 0)),
        Problem(h=7, w=7, kh=1, kw=1, dilation=2**62),
        Problem(h=7, w=7, stride=2**31),
        Problem(h=7, w=7, stride=2**62),
        Problem(h=7, w=7, stride=2**63 - 1, padding=2),
        Problem(h=7, w=7, stride=2**63 - 1, padding="same"),
    ],
    ids=str,
)
def test_edges_of_the_geometry(problem, isa, algorithm):
    y = run("forward", problem, problem.arrays(np.float32, integers), algorithm=algorithm)
    np.testing.assert_array_equal(y, exact("forward", problem))


# ---- Properties ------------------------------------------------------------------------------------------------------

SIZES = st.integers(1, 9)
UNLIMITED = ["zeros", "replicate", "symmetric"]  # padding modes that reach any distance
QUICK = settings(max_examples=40, deadline=None, derandomize=True)


def small_integers(*shape):
    return integers(np.random.default_rng(sum(shape)), shape).astype(np.float32)


@QUICK
@given(h=SIZES, w=SIZES, c=SIZES, k=SIZES, shift=st.tuples(SIZES, SIZES), algorithm=st.sampled_from(GENERAL))
def test_circular_padding_commutes_with_shifts(h, w, c, k, shift, algorithm):
    """Rolling x around its edges rolls the result."""
    x, kernel = small_integers(h, w, c), small_integers(min(h, 3), min(w, 2), c, k)
    options = {"padding": "same", "padding_mode": "circular", "algorithm": algorithm}
    rolled = chanconv.conv(np.roll(x, shift, (0, 1)), kernel, **options)
    np.testing.assert_array_equal(rolled, np.roll(chanconv.conv(x, kernel, **options), shift, (0, 1)))


@QUICK
@given(h=SIZES, w=SIZES, c=SIZES, k=SIZES, stride=st.tuples(SIZES, SIZES), algorithm=st.sampled_from(GENERAL))
def test_stride_takes_every_nth_output(h, w, c, k, stride, algorithm):
    x, kernel = small_integers(h, w, c), small_integers(3, 3, c, k)
    dense = chanconv.conv(x, kernel, padding=1, algorithm=algorithm)
    strided = chanconv.conv(x, kernel, stride, padding=1, algorithm=algorithm)
    np.testing.assert_array_equal(strided, dense[:: stride[0], :: stride[1]])


@QUICK
@given(h=SIZES, w=SIZES, c=SIZES, k=SIZES, dilation=st.tuples(SIZES, SIZES), algorithm=st.sampled_from(GENERAL))
def test_dilation_is_a_kernel_with_zeros_between(h, w, c, k, dilation, algorithm):
    x, kernel = small_integers(h, w, c), small_integers(2, 3, c, k)
    spread = np.zeros((dilation[0] + 1, 2 * dilation[1] + 1, c, k), np.float32)
    spread[:: dilation[0], :: dilation[1]] = kernel
    options = {"padding": dilation, "algorithm": algorithm}
    dilated = chanconv.conv(x, kernel, dilation=dilation, **options)
    np.testing.assert_array_equal(dilated, chanconv.conv(x, spread, **options))


@QUICK
@given(h=SIZES, w=SIZES, pads=st.tuples(*[st.integers(0, 4)] * 4), mode=st.sampled_from(UNLIMITED))
def test_padding_is_a_padded_image(h, w, pads, mode):
    x, kernel = small_integers(2, h, w, 3), small_integers(1, 1, 3, 2)
    padding = (pads[:2], pads[2:])
    padded = reference.pad_plane(np.moveaxis(x, -1, 1), padding, mode)
    y = chanconv.conv(x, kernel, padding=padding, padding_mode=mode)
    np.testing.assert_array_equal(y, chanconv.conv(np.moveaxis(padded, 1, -1), kernel))


@pytest.mark.parametrize("problem", sample(100, seed=4), ids=str)
def test_output_shape(problem):
    shapes, options = (problem.x_shape, problem.kernel_shape), problem.options
    del options["padding_mode"]
    assert chanconv.conv_output_shape(*shapes, **options) == problem.y_shape
    assert chanconv.conv_output_shape(shapes[0][1:], shapes[1], **options) == problem.y_shape[1:]
    if problem.groups == 1:
        assert chanconv.conv_output_shape(shapes[0], shapes[1][:3], **options) == problem.y_shape[:3]
