# SPDX-License-Identifier: BSD-3-Clause
"""Slices of larger images, of their channels or rows and columns, are read and written where they lie."""

import tracemalloc

import numpy as np
import pytest

import chanconv

# (shape of x, shape of the kernel, options): gemm with and without borders, pointwise, narrow, depthwise, planes, groups.
PROBLEMS = [
    ((2, 9, 8, 16), (3, 3, 16, 20), {"padding": 1}),
    ((2, 9, 8, 16), (1, 1, 16, 20), {}),
    ((3, 1, 1, 16), (1, 1, 16, 20), {}),
    ((2, 12, 11, 3), (5, 5, 3, 33), {"stride": 2, "padding": 2}),
    ((2, 9, 8, 24), (3, 3, 1, 24), {"padding": 1, "groups": 24}),
    ((2, 9, 8, 12), (3, 3, 1, 24), {"padding": 1, "groups": 12}),
    ((2, 20, 19, 1), (3, 3, 1, 1), {"padding": 1}),
    ((1, 8, 9, 12), (3, 2, 6, 10), {"stride": (2, 1), "groups": 2, "padding": "same", "padding_mode": "reflect"}),
    ((2, 40, 41, 6), (1, 1, 6, 5), {}),
    ((2, 9, 8, 7), (3, 3, 7, 5), {"dilation": 2, "algorithm": "im2col"}),
]
IDS = [f"{'x'.join(map(str, x))}-{'x'.join(map(str, k))}" for x, k, _ in PROBLEMS]


def channels(array):
    """The same values as channels 3 .. of a larger image."""
    larger = np.full((*array.shape[:-1], array.shape[-1] + 5), np.nan, array.dtype)
    larger[..., 3:-2] = array
    return larger[..., 3:-2]


def crop(array):
    """... as rows and columns within a larger image."""
    n, h, w, c = array.shape
    larger = np.full((n, h + 3, w + 4, c), np.nan, array.dtype)
    larger[:, 1 : h + 1, 2 : w + 2] = array
    return larger[:, 1 : h + 1, 2 : w + 2]


def every_second(array):
    """... as every second image."""
    larger = np.full((2 * len(array), *array.shape[1:]), np.nan, array.dtype)
    larger[::2] = array
    return larger[::2]


VIEWS = [channels, crop, lambda array: channels(crop(array)), every_second]
VIEW_IDS = ["channels", "crop", "both", "images"]


def arrays(problem, dtype):
    x_shape, kernel_shape, options = problem
    rng = np.random.default_rng(0)
    x, kernel = (rng.standard_normal(shape).astype(dtype) for shape in (x_shape, kernel_shape))
    geometry = {name: value for name, value in options.items() if name not in ("padding_mode", "algorithm")}
    grad = rng.standard_normal(chanconv.conv_output_shape(x_shape, kernel_shape, **geometry)).astype(dtype)
    return x, kernel, grad


@pytest.fixture(params=PROBLEMS, ids=IDS)
def problem(request):
    return request.param


@pytest.fixture(params=VIEWS, ids=VIEW_IDS)
def view(request):
    return request.param


def untouched(view):
    """The elements of the larger array that are not the view's."""
    gaps = view.base.copy() if view.base.base is None else view.base.base.copy()
    start = (view.__array_interface__["data"][0] - (view.base if view.base.base is None else view.base.base)
             .__array_interface__["data"][0]) // view.itemsize  # fmt: skip
    inner = np.lib.stride_tricks.as_strided(gaps.reshape(-1)[start:], view.shape, view.strides)
    inner[...] = np.nan
    return gaps


def test_inputs(problem, view, dtype, isa):
    x, kernel, grad = arrays(problem, dtype)
    options = problem[2]
    assert np.array_equal(chanconv.conv(view(x), kernel, **options), chanconv.conv(x, kernel, **options))
    expected = chanconv.conv_backward(grad, x, kernel, **options)
    found = chanconv.conv_backward(view(grad), view(x), kernel, **options)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)
    for gradients in ((view(grad), x), (grad, view(x)), (view(grad), view(x))):
        found = chanconv.conv_grad_kernel(*gradients, kernel.shape, per_sample=True, **options)
        assert np.array_equal(found, chanconv.conv_grad_kernel(grad, x, kernel.shape, per_sample=True, **options))


def test_out(problem, view, dtype):
    x, kernel, grad = arrays(problem, dtype)
    options = problem[2]
    for function, given, shape in (
        (chanconv.conv, (view(x), kernel), grad.shape),
        (chanconv.conv_grad_x, (view(grad), kernel, x.shape), x.shape),
    ):
        out = view(np.zeros(shape, dtype))
        assert function(*given, out=out, **options) is out
        assert np.array_equal(out, function(*given, **options))
        assert np.isnan(untouched(out)).all()


def test_columns_and_transposes(view, dtype):
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((2, 6, 7, 5)).astype(dtype), rng.standard_normal((3, 3, 4, 5)).astype(dtype)
    columns = chanconv.im2col(x, 3)
    assert np.array_equal(chanconv.im2col(view(x), 3), columns)
    out = view(np.zeros_like(x))
    assert np.array_equal(chanconv.col2im(columns, x.shape, 3, out=out), chanconv.col2im(columns, x.shape, 3))
    expected = chanconv.conv_transpose(x, kernel, stride=2, bias=np.arange(4, dtype=dtype), activation="relu")
    out = view(np.zeros_like(expected))
    chanconv.conv_transpose(view(x), kernel, stride=2, bias=np.arange(4, dtype=dtype), activation="relu", out=out)
    assert np.array_equal(out, expected)
    assert np.isnan(untouched(out)).all()


def test_planes_and_one_kernel(dtype):
    """Shapes without some of the axes (N, H, W, C)."""
    rng = np.random.default_rng(0)
    colours = rng.standard_normal((3, 10, 9, 4)).astype(dtype)
    kernel = rng.standard_normal((3, 3)).astype(dtype)
    for x in (colours[0, ..., 2], colours[..., 1], colours[1, 2:8, 3:, 0], colours[::2, ..., 3]):
        assert np.array_equal(chanconv.plane_conv(x, kernel), chanconv.plane_conv(x.copy(), kernel))
    for x in (colours[..., 1:], colours[0, 1:, 2:, :3]):
        one = rng.standard_normal((2, 2, 3)).astype(dtype)
        assert np.array_equal(chanconv.conv(x, one), chanconv.conv(x.copy(), one))
        out = np.full((*x.shape[:-3], x.shape[-3] - 1, x.shape[-2] - 1, 2), np.nan, dtype)
        assert np.array_equal(chanconv.conv(x, one, out=out[..., 1]), chanconv.conv(x, one))
        assert np.isnan(out[..., 0]).all()


def test_layers_that_grow_in_one_buffer(dtype):
    """x and out are channels of one array."""
    rng = np.random.default_rng(0)
    buffer = np.full((2, 8, 8, 20), np.nan, dtype)
    buffer[..., :8] = rng.standard_normal((2, 8, 8, 8))
    for c in (8, 12, 16):
        kernel = rng.standard_normal((3, 3, c, 4)).astype(dtype)
        expected = chanconv.conv(buffer[..., :c].copy(), kernel, padding=1, activation="tanh")
        chanconv.conv(buffer[..., :c], kernel, padding=1, activation="tanh", out=buffer[..., c : c + 4])
        assert np.array_equal(buffer[..., c : c + 4], expected)
    x = buffer[..., 4:16].copy()
    kernel = rng.standard_normal((3, 3, 12, 12)).astype(dtype)
    for c in range(9):  # out and x share some of their channels
        again = buffer.copy()
        out = again[..., c : c + 12]
        chanconv.conv(again[..., 4:16], kernel, padding=1, out=out)
        assert np.array_equal(out, chanconv.conv(x, kernel, padding=1))


def peak(call):
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_nothing_is_copied(dtype):
    buffer = np.zeros((4, 32, 32, 40), dtype)
    kernel = np.ones((3, 3, 16, 16), dtype)
    x, out = buffer[..., :16], buffer[..., 20:36]
    assert peak(lambda: chanconv.conv(x, kernel, padding=1, out=out)) < x.nbytes / 20
    assert peak(lambda: chanconv.conv_grad_kernel(x, out, kernel.shape, padding=1)) < kernel.nbytes + x.nbytes / 20


@pytest.mark.parametrize("algorithm", ["gemm", "winograd"])
def test_algorithms(view, dtype, algorithm):
    x, kernel, grad = arrays(((2, 13, 12, 32), (3, 3, 32, 32), {"padding": 1}), dtype)
    given = {"padding": 1, "algorithm": algorithm}
    assert np.array_equal(chanconv.conv(view(x), kernel, **given), chanconv.conv(x, kernel, **given))
    expected = chanconv.conv_grad_x(grad, kernel, x.shape, **given)
    assert np.array_equal(chanconv.conv_grad_x(view(grad), kernel, x.shape, **given), expected)


@pytest.mark.parametrize(
    "strange",
    [
        lambda x: x[:, ::-1],
        lambda x: x[..., ::-1],
        lambda x: np.asfortranarray(x),
        lambda x: np.moveaxis(np.moveaxis(x, -1, 1).copy(), 1, -1),
        lambda x: x[:, ::2],
        lambda x: x[:, :, ::3],
        lambda x: np.broadcast_to(x[:1], (3, *x.shape[1:])),
        lambda x: np.lib.stride_tricks.as_strided(x, (1, 3, 4, 6), (0, x.strides[1], x.strides[3], x.strides[3])),
    ],
)
def test_other_views(strange, dtype):
    """Rows and columns left out are slices too; what is turned, exchanged or repeated is copied."""
    x = strange(np.random.default_rng(0).standard_normal((2, 9, 8, 6)).astype(dtype))
    kernel = np.random.default_rng(1).standard_normal((3, 2, 6, 5)).astype(dtype)
    assert np.array_equal(chanconv.conv(x, kernel), chanconv.conv(x.copy(), kernel))
