# SPDX-License-Identifier: BSD-3-Clause
"""The reference itself, which everything else is tested against: SciPy, finite differences, adjoints, PyTorch."""

import numpy as np
import pytest

from chanconv import activations
from chanconv import reference as ref

MODES = ["zeros", "reflect", "replicate", "circular", "symmetric"]

# Geometries that cover every option, alone and together, for an x of 7 x 6 and a kernel of 3 x 2.
GEOMETRIES = [
    {},
    {"stride": 2},
    {"stride": (1, 3), "padding": 2},
    {"padding": ((2, 0), (1, 3))},
    {"padding": (1, 2), "dilation": (2, 3)},
    {"padding": "same", "stride": (2, 1)},
    {"padding": "same_lower", "stride": (2, 3), "dilation": 2},
    {"groups": 2, "stride": 2, "padding": 1},
    {"dilation": (3, 1), "padding": ((3, 2), (0, 1)), "groups": 2},
]
X_SHAPE, KERNEL_SIZE, CHANNELS, KERNELS = (2, 7, 6, 4), (3, 2), 4, 6


def problem(x_shape=X_SHAPE, kernels=KERNELS, groups=1, **geometry):
    """x, kernel, grad_output and the options of the convolution."""
    rng = np.random.default_rng(0)
    options = {"groups": groups, **geometry}
    x = rng.standard_normal(x_shape)
    kernel = rng.standard_normal((*KERNEL_SIZE, x_shape[-1] // groups, kernels))
    grad = rng.standard_normal(ref.conv_output_shape(x.shape, kernel.shape, **options))
    return x, kernel, grad, options


def inner(a, b):
    return np.vdot(a, b)


def numeric_gradient(function, at, step=1e-6):
    """Central differences of a scalar function of an array."""
    grad = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        shift = np.zeros_like(at)
        shift[index] = step
        grad[index] = (function(at + shift) - function(at - shift)) / (2 * step)
    return grad


def pad_by_hand(x, before, after, mode):
    """A 1-D array padded cell by cell, from the definition of the mode."""
    size = len(x)
    source = {
        "zeros": lambda i: i if 0 <= i < size else None,
        "reflect": lambda i: abs(i) if i < size else 2 * (size - 1) - i,
        "replicate": lambda i: min(max(i, 0), size - 1),
        "circular": lambda i: i % size,
        "symmetric": lambda i: i % (2 * size) if i % (2 * size) < size else 2 * size - 1 - i % (2 * size),
    }[mode]
    return np.array([0 if source(i) is None else x[source(i)] for i in range(-before, size + after)])


def test_plane_conv_by_hand():
    x = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])
    kernel = np.array([[1.0, 10], [100, 1000]])
    np.testing.assert_array_equal(ref.plane_conv(x, kernel), [[5421, 6532], [8754, 9865]])


def test_same_puts_the_odd_row_below_and_same_lower_above():
    x, kernel = np.arange(1.0, 5).reshape(2, 2), np.ones((2, 2))
    np.testing.assert_array_equal(ref.plane_conv(x, kernel, padding="same"), [[10, 6], [7, 4]])
    np.testing.assert_array_equal(ref.plane_conv(x, kernel, padding="same_lower"), [[1, 3], [4, 10]])


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [1, 2, 5, 6, 7])
def test_same_gives_the_ceiling(size, stride):
    for padding in ["same", "same_lower"]:
        for kernel_size, dilation in [(1, 1), (2, 1), (3, 1), (3, 2), (4, 3)]:
            shape = ref.conv_output_shape(
                (size, size), (kernel_size, kernel_size), stride, padding=padding, dilation=dilation
            )
            assert shape == (-(-size // stride),) * 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 0), (0, 3), (4, 4)])
def test_padding_modes_cell_by_cell(mode, before, after):
    x = np.arange(1.0, 6.0)
    by_hand = pad_by_hand(x, before, after, mode)
    by_conv = ref.plane_conv(x[:, None], np.ones((1, 1)), padding=((before, after), (0, 0)), padding_mode=mode)
    np.testing.assert_array_equal(by_conv[:, 0], by_hand)


@pytest.mark.parametrize("shape", [(5, 7), (3, 5, 7)])
def test_plane_conv_is_scipys_correlation(shape):
    signal = pytest.importorskip("scipy.signal")
    rng = np.random.default_rng(1)
    x, kernel = rng.standard_normal(shape), rng.standard_normal((3, 4))
    expected = [signal.correlate2d(plane, kernel, mode="valid") for plane in x.reshape(-1, 5, 7)]
    np.testing.assert_allclose(ref.plane_conv(x, kernel).reshape(-1, 3, 4), expected, rtol=0, atol=1e-13)


def test_plane_conv_by_four_loops():
    """The formula of the docstring, sum by sum, with every option of the geometry."""
    rng = np.random.default_rng(2)
    x, kernel = rng.standard_normal((6, 7)), rng.standard_normal((2, 3))
    y = ref.plane_conv(x, kernel, (2, 1), padding=((1, 0), (2, 1)), dilation=(1, 2))
    padded = np.zeros((7, 10))
    padded[1:, 2:9] = x
    for i, j in np.ndindex(y.shape):
        terms = [padded[2 * i + r, j + 2 * s] * kernel[r, s] for r, s in np.ndindex(2, 3)]
        assert y[i, j] == pytest.approx(sum(terms), abs=1e-13)
    assert y.shape == (3, 6)


@pytest.mark.parametrize("activation", ["relu", activations.get("relu"), lambda y: np.maximum(y, 0)])
def test_activation_by_name_object_or_function(activation):
    x, kernel = np.random.default_rng(3).standard_normal((5, 6, 2)), np.random.default_rng(4).standard_normal((3, 2, 2, 3))
    expected = np.maximum(ref.conv(x, kernel), 0)
    np.testing.assert_array_equal(ref.conv(x, kernel, activation=activation), expected)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_conv_by_seven_loops(groups):
    """Many channels, groups and kernels by the textbook's loops over single elements."""
    rng = np.random.default_rng(3)
    n_, h, w, c_, k_ = 2, 4, 5, 4, 8
    x, kernel = rng.standard_normal((n_, h, w, c_)), rng.standard_normal((3, 2, c_ // groups, k_))
    bias = rng.standard_normal(k_)
    y = ref.conv(x, kernel, groups=groups, bias=bias, activation=np.tanh)
    for n, i, j, k in np.ndindex(y.shape):
        total = bias[k]
        for r, s, c in np.ndindex(3, 2, c_ // groups):
            total += x[n, i + r, j + s, k // (k_ // groups) * (c_ // groups) + c] * kernel[r, s, c, k]
        assert y[n, i, j, k] == pytest.approx(np.tanh(total), abs=1e-13)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_gradients_by_finite_differences(geometry, mode):
    x, kernel, grad, options = problem((1, 7, 6, 2), kernels=2, **geometry)
    options["padding_mode"] = mode
    grads = ref.conv_backward(grad, x, kernel, **options)
    by_x = numeric_gradient(lambda at: inner(ref.conv(at, kernel, **options), grad), x)
    by_kernel = numeric_gradient(lambda at: inner(ref.conv(x, at, **options), grad), kernel)
    np.testing.assert_allclose(grads.x, by_x, rtol=0, atol=1e-7)
    np.testing.assert_allclose(grads.kernel, by_kernel, rtol=0, atol=1e-7)
    np.testing.assert_allclose(grads.bias, grad.sum((0, 1, 2)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_gradients_are_adjoint(geometry, mode):
    """conv is linear in x and in the kernel: <conv(x, k), g> == <x, grad_x> == <k, grad_kernel>."""
    x, kernel, grad, options = problem(**geometry)
    options["padding_mode"] = mode
    product = inner(ref.conv(x, kernel, **options), grad)
    grads = ref.conv_backward(grad, x, kernel, **options)
    assert inner(x, grads.x) == pytest.approx(product, rel=1e-12)
    assert inner(kernel, grads.kernel) == pytest.approx(product, rel=1e-12)


def test_plane_gradients_are_those_of_an_image_with_one_channel():
    x, kernel, grad, _ = problem()
    plane, plane_kernel, plane_grad = x[..., 0], kernel[..., 0, 0], grad[..., 0]
    by_plane = ref.plane_conv_backward(plane_grad, plane, plane_kernel)
    by_image = ref.conv_backward(plane_grad[..., None], plane[..., None], plane_kernel[..., None, None])
    np.testing.assert_array_equal(by_plane.x, by_image.x[..., 0])
    np.testing.assert_array_equal(by_plane.kernel, by_image.kernel[..., 0, 0])
    assert ref.plane_conv_backward(plane_grad, plane, plane_kernel, wrt=("kernel",)).x is None


def test_per_sample_gradients_add_up_to_the_gradient():
    x, kernel, grad, options = problem(groups=2, padding=1)
    per_sample = ref.conv_grad_kernel(grad, x, kernel.shape, per_sample=True, **options)
    assert per_sample.shape == (2, *kernel.shape)
    total = ref.conv_grad_kernel(grad, x, kernel.shape, **options)
    np.testing.assert_allclose(per_sample.sum(0), total, rtol=0, atol=1e-12)


def test_one_kernel_and_one_image_drop_their_axis():
    x, kernel, grad, _ = problem()
    whole = ref.conv_backward(grad[..., :1], x, kernel[..., :1])
    one = ref.conv_backward(grad[..., 0], x, kernel[..., 0])
    np.testing.assert_array_equal(ref.conv(x[0], kernel[..., 0]), ref.conv(x, kernel)[0, ..., 0])
    np.testing.assert_array_equal(ref.conv(x, kernel[..., 0], bias=2.0), ref.conv(x, kernel)[..., 0] + 2)
    np.testing.assert_array_equal(one.x, whole.x)
    np.testing.assert_array_equal(one.kernel, whole.kernel[..., 0])
    assert one.bias == pytest.approx(whole.bias[0]) and np.shape(one.bias) == ()
    grad_image = ref.conv_grad_x(grad[0], kernel, X_SHAPE[1:])
    np.testing.assert_array_equal(grad_image, ref.conv_grad_x(grad, kernel, X_SHAPE)[0])


@pytest.mark.parametrize(
    ("x_shape", "kernel_shape", "y_shape"),
    [
        ((0, 5, 5, 2), (3, 3, 2, 4), (0, 3, 3, 4)),
        ((2, 5, 5, 0), (3, 3, 0, 4), (2, 3, 3, 4)),
        ((2, 5, 5, 2), (3, 3, 2, 0), (2, 3, 3, 0)),
    ],
)
def test_zero_sizes(x_shape, kernel_shape, y_shape):
    x, kernel, grad = np.ones(x_shape), np.ones(kernel_shape), np.ones(y_shape)
    y = ref.conv(x, kernel, bias=np.full(y_shape[-1], 3.0))
    assert y.shape == y_shape
    assert (y == 3).all()
    grads = ref.conv_backward(grad, x, kernel)
    assert (grads.x.shape, grads.kernel.shape) == (x_shape, kernel_shape)
    assert not grads.x.any()
    assert not grads.kernel.any()


# ---- The transpose and im2col ----------------------------------------------------------------------------------------

TRANSPOSED = [
    {},
    {"stride": 2, "output_padding": 1},
    {"stride": (3, 2), "padding": ((1, 0), (0, 1)), "output_padding": (2, 0)},
    {"dilation": 3, "output_padding": 2, "padding": 1},
    {"stride": 2, "padding": "same"},
    {"stride": (4, 3), "padding": "same_lower"},
    {"groups": 2, "stride": 2, "padding": 1},
]


@pytest.mark.parametrize("options", TRANSPOSED, ids=str)
def test_conv_transpose(options):
    """Its gradients by finite differences, its input's gradient by the adjoint, and its shape."""
    rng = np.random.default_rng(4)
    x, kernel = rng.standard_normal((2, 3, 4, 6)), rng.standard_normal((3, 2, 4 // options.get("groups", 1), 6))
    y = ref.conv_transpose(x, kernel, **options)
    grad = rng.standard_normal(y.shape)
    grads = ref.conv_transpose_backward(grad, x, kernel, **options)
    assert inner(x, grads.x) == pytest.approx(inner(y, grad), rel=1e-12)
    by_kernel = numeric_gradient(lambda at: inner(ref.conv_transpose(x, at, **options), grad), kernel)
    np.testing.assert_allclose(grads.kernel, by_kernel, rtol=0, atol=1e-7)
    with_bias = ref.conv_transpose(x, kernel, bias=np.arange(4.0), activation=np.tanh, **options)
    np.testing.assert_array_equal(with_bias, np.tanh(y + np.arange(4)))
    if options.get("padding") in ("same", "same_lower"):
        assert y.shape[1:3] == tuple(n * s for n, s in zip((3, 4), ref.pair(options["stride"]), strict=True))


def test_conv_transpose_by_scattering():
    """Every input pixel adds its kernel, times its value, to the result: the other way to say it."""
    rng = np.random.default_rng(5)
    x, kernel = rng.standard_normal((3, 2, 5)), rng.standard_normal((3, 2, 4, 5))
    y = np.zeros((3 * 2 + 2, 2 * 3, 4))
    for i, j in np.ndindex(3, 2):
        y[2 * i : 2 * i + 3, 3 * j : 3 * j + 2] += kernel @ x[i, j]
    np.testing.assert_allclose(ref.conv_transpose(x, kernel, (2, 3))[:7, :5], y[:7, :5], rtol=0, atol=1e-13)
    assert ref.conv_transpose(x, kernel, (2, 3)).shape == (7, 5, 4)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("geometry", [g for g in GEOMETRIES if "groups" not in g], ids=str)
def test_im2col(geometry, mode):
    """im2col @ kernel is the convolution, and col2im is the adjoint of im2col."""
    x, kernel, grad, options = problem(**geometry)
    del options["groups"]
    options["padding_mode"] = mode
    columns = ref.im2col(x, KERNEL_SIZE, **options)
    y = columns @ kernel.reshape(-1, KERNELS)
    np.testing.assert_allclose(y.reshape(grad.shape), ref.conv(x, kernel, **options), rtol=0, atol=1e-12)
    weights = np.random.default_rng(6).standard_normal(columns.shape)
    image = ref.col2im(weights, x.shape, KERNEL_SIZE, **options)
    assert inner(image, x) == pytest.approx(inner(weights, columns), rel=1e-12)


def test_im2col_of_planes_and_single_images():
    x = problem()[0]
    columns = ref.im2col(x, KERNEL_SIZE)
    np.testing.assert_array_equal(ref.im2col(x[1], KERNEL_SIZE), columns[1])
    plane = ref.im2col(x[1, ..., 2], KERNEL_SIZE)
    np.testing.assert_array_equal(plane, columns[1].reshape(25, 6, 4)[..., 2])
    image = ref.col2im(columns, X_SHAPE, KERNEL_SIZE)
    np.testing.assert_array_equal(ref.col2im(columns[1], X_SHAPE[1:], KERNEL_SIZE), image[1])
    np.testing.assert_array_equal(ref.col2im(plane, X_SHAPE[1:3], KERNEL_SIZE), image[1, ..., 2])


# ---- PyTorch ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def to_nchw(torch, array):
    return torch.tensor(np.moveaxis(array, -1, 1).copy(), requires_grad=True)


def to_oihw(torch, array):
    return torch.tensor(array.transpose(3, 2, 0, 1).copy(), requires_grad=True)


def nhwc(tensor):
    return np.moveaxis(tensor.detach().numpy(), 1, -1)


def hwio(tensor):
    return tensor.detach().numpy().transpose(2, 3, 1, 0)


TORCH_PAD = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


@pytest.mark.parametrize("mode", TORCH_PAD)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_conv_is_pytorchs(torch, geometry, mode):
    x, kernel, grad, options = problem(**geometry)
    bias = np.random.default_rng(7).standard_normal(KERNELS)
    stride, dilation = ref.pair(options.get("stride", 1)), ref.pair(options.get("dilation", 1))
    rows, columns = ref.explicit_padding(options.get("padding", 0), X_SHAPE[1:3], KERNEL_SIZE, stride, dilation)
    tx, tk, tb = to_nchw(torch, x), to_oihw(torch, kernel), torch.tensor(bias, requires_grad=True)
    padded = torch.nn.functional.pad(tx, (*columns, *rows), mode=TORCH_PAD[mode])
    ty = torch.nn.functional.conv2d(padded, tk, tb, stride, 0, dilation, options["groups"])
    ty.backward(to_nchw(torch, grad).detach())
    grads = ref.conv_backward(grad, x, kernel, padding_mode=mode, **options)
    y = ref.conv(x, kernel, bias=bias, padding_mode=mode, **options)
    for ours, theirs in [(y, nhwc(ty)), (grads.x, nhwc(tx.grad)), (grads.kernel, hwio(tk.grad)), (grads.bias, tb.grad)]:
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2, "output_padding": 1},
        {"stride": (3, 2), "padding": (1, 0), "output_padding": (2, 0)},
        {"dilation": 3, "output_padding": 2, "padding": 1},
        {"groups": 2, "stride": 2, "padding": 1},
    ],
    ids=str,
)
def test_conv_transpose_is_pytorchs(torch, options):
    rng = np.random.default_rng(8)
    groups = options.get("groups", 1)
    x, kernel = rng.standard_normal((2, 3, 4, 6)), rng.standard_normal((3, 2, 4 // groups, 6))
    bias = rng.standard_normal(4)
    y = ref.conv_transpose(x, kernel, bias=bias, **options)
    grad = rng.standard_normal(y.shape)
    tx, tk = to_nchw(torch, x), to_oihw(torch, kernel)
    ty = torch.nn.functional.conv_transpose2d(tx, tk, torch.tensor(bias), **options)
    ty.backward(to_nchw(torch, grad).detach())
    grads = ref.conv_transpose_backward(grad, x, kernel, **options)
    for ours, theirs in [(y, nhwc(ty)), (grads.x, nhwc(tx.grad)), (grads.kernel, hwio(tk.grad))]:
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_im2col_is_pytorchs_unfold(torch):
    x = problem()[0]
    theirs = torch.nn.functional.unfold(to_nchw(torch, x), KERNEL_SIZE, dilation=2, padding=(2, 1), stride=(1, 2))
    theirs = theirs.detach().numpy().reshape(2, CHANNELS, 6, -1).transpose(0, 3, 2, 1)
    ours = ref.im2col(x, KERNEL_SIZE, (1, 2), padding=(2, 1), dilation=2)
    np.testing.assert_array_equal(ours, theirs.reshape(ours.shape))
