# SPDX-License-Identifier: BSD-3-Clause
"""Forms of arguments, dtypes, layouts and `out`: what happens to arrays before and after a pass."""

import itertools
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import chanconv
from chanconv import activations, arrays, geometry, reference

RNG = np.random.default_rng(7)
X = RNG.standard_normal((2, 8, 8, 4)).astype(np.float32)
KERNEL = RNG.standard_normal((3, 3, 4, 5)).astype(np.float32)
BIAS = RNG.standard_normal(5).astype(np.float32)
GRAD = RNG.standard_normal((2, 6, 6, 5)).astype(np.float32)
COLUMNS = RNG.standard_normal((2, 36, 36)).astype(np.float32)
Y = chanconv.conv(X, KERNEL, bias=BIAS)

# Every function on arrays, as name: (call with arrays and out, its input arrays).
CALLS = {
    "plane_conv": (chanconv.plane_conv, (X[..., 0].copy(), KERNEL[..., 0, 0].copy())),
    "conv": (lambda x, kernel, bias, **out: chanconv.conv(x, kernel, bias=bias, **out), (X, KERNEL, BIAS)),
    "conv_grad_x": (lambda grad, kernel, **out: chanconv.conv_grad_x(grad, kernel, X.shape, **out), (GRAD, KERNEL)),
    "conv_grad_kernel": (lambda g, x, **out: chanconv.conv_grad_kernel(g, x, KERNEL.shape, **out), (GRAD, X)),
    "per_sample": (
        lambda g, x, **out: chanconv.conv_grad_kernel(g, x, KERNEL.shape, per_sample=True, **out),
        (GRAD, X),
    ),
    "conv_transpose": (chanconv.conv_transpose, (GRAD, KERNEL)),
    "im2col": (lambda x, **out: chanconv.im2col(x, 3, **out), (X,)),
    "col2im": (lambda columns, **out: chanconv.col2im(columns, X.shape, 3, **out), (COLUMNS,)),
}
WITHOUT_OUT = {
    "plane_conv_backward": (
        lambda g, x, kernel: chanconv.plane_conv_backward(g, x, kernel)[:2],
        (GRAD[..., 0].copy(), X[..., 0].copy(), KERNEL[..., 0, 0].copy()),
    ),
    "conv_backward": (chanconv.conv_backward, (GRAD, X, KERNEL)),
    "conv_transpose_backward": (chanconv.conv_transpose_backward, (X, GRAD, KERNEL)),
}
ALL_CALLS = CALLS | WITHOUT_OUT

every_call = pytest.mark.parametrize("name", ALL_CALLS)
every_call_with_out = pytest.mark.parametrize("name", CALLS)


def results(name, inputs):
    """The result, or several, as a list."""
    result = ALL_CALLS[name][0](*inputs)
    return [result] if isinstance(result, np.ndarray) else list(result)


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


# ---- Forms of scalars -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [2, (2, 2), [2, 2], np.int8(2), np.uint64(2), np.array(2), np.array([2, 2])])
def test_forms_of_a_pair(stride):
    expected = reference.conv(X, KERNEL, 2, dilation=2)
    for dilation in (stride, 2):
        y = chanconv.conv(X, KERNEL, stride, dilation=dilation)
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("padding", "same_as"),
    [
        (0, "valid"),
        (1, (1, 1)),
        ((1, 2), ((1, 1), (2, 2))),
        ([[1, 0], [2, 1]], ((1, 0), (2, 1))),
        (((1, 0), 2), ((1, 0), (2, 2))),
        (np.array([[1, 0], [2, 1]]), ((1, 0), (2, 1))),
        (np.int64(2), 2),
        ("same", 1),
        ("same_lower", 1),
    ],
)
def test_forms_of_padding(padding, same_as):
    assert same_bits(chanconv.conv(X, KERNEL, padding=padding), chanconv.conv(X, KERNEL, padding=same_as))


def test_pair_is_vertical_then_horizontal():
    assert chanconv.conv_output_shape((20, 30, 1), (3, 3, 1, 1), (1, 2)) == (18, 14, 1)
    assert chanconv.conv_output_shape((20, 30, 1), (3, 3, 1, 1), padding=(0, 1)) == (18, 30, 1)
    assert chanconv.conv_output_shape((20, 30, 1), (3, 3, 1, 1), dilation=(1, 3)) == (18, 24, 1)
    assert chanconv.conv_output_shape((20, 30, 1), (3, 3, 1, 1), padding=((1, 2), (3, 4))) == (21, 35, 1)


def test_int_subclasses_and_names_of_numpy():
    class Two(int):
        pass

    expected = chanconv.conv(X, KERNEL, 2, padding="same", padding_mode="reflect")
    y = chanconv.conv(X, KERNEL, Two(2), padding=np.str_("same"), padding_mode=np.str_("reflect"))
    assert same_bits(y, expected)


def test_an_equal_key_is_no_excuse():
    """True == 1 == 1.0: what was computed for 1 must not let the others through."""
    chanconv.conv(X, KERNEL, 1, padding=1, dilation=1, groups=1)
    for wrong, name in itertools.product((True, 1.0, np.True_, (1, True), (1.0, 1)), ("stride", "padding", "dilation")):
        with pytest.raises(TypeError, match=f"^{name}: expected an int, got"):
            chanconv.conv(X, KERNEL, **{name: wrong})
    for wrong in (True, 1.0):
        with pytest.raises(TypeError, match="^groups: expected an int, got"):
            chanconv.conv(X, KERNEL, groups=wrong)


def test_a_call_that_comes_again():
    """What is kept of a call is no more than its shapes, dtype and options decide."""
    x, kernel, bias = X.copy(), KERNEL.copy(), BIAS.copy()
    for _ in range(3):
        y = chanconv.conv(x, kernel, bias=bias, activation="relu")
        assert y.flags.owndata and same_bits(y, np.maximum(chanconv.conv(X, KERNEL, bias=BIAS, out=np.empty_like(Y)), 0))
        x, kernel, bias = x.copy(), kernel.copy(), bias.copy()
    assert same_bits(chanconv.conv(x, kernel), chanconv.conv(x, kernel, out=np.empty_like(Y)))
    assert not same_bits(chanconv.conv(x, kernel), y)
    kernel[:] = 0
    assert not chanconv.conv(x, kernel).any()
    assert same_bits(chanconv.conv(x[:, ::-1], KERNEL), chanconv.conv(x[:, ::-1].copy(), KERNEL))
    assert chanconv.conv(x.astype(np.float64), kernel.astype(np.float64)).dtype == np.float64
    for wrong in (BIAS[:4], BIAS[None]):
        with pytest.raises(ValueError, match="^bias: expected shape"):
            chanconv.conv(x, kernel, bias=wrong)
    with pytest.raises(TypeError, match="^x: the mask"):
        chanconv.conv(np.ma.masked_array(x), kernel, bias=bias)


def test_a_transpose_that_comes_again():
    """Bias, activation and `output_padding` decide too."""
    x, kernel = X.copy(), np.moveaxis(KERNEL, -1, -2).copy()
    elu, seen = activations.Activation("elu", alpha=0.5), {}
    for again in range(3):
        for extra, bias, activation in itertools.product((0, (1, 0)), (None, BIAS), (None, "relu", elu)):
            options = {"stride": 2, "output_padding": extra, "bias": bias, "activation": activation}
            y = chanconv.conv_transpose(x, kernel, **options)
            out = np.empty_like(y)
            assert same_bits(y, chanconv.conv_transpose(np.repeat(x, 2, -1)[..., ::2], kernel, **options, out=out))
            seen.setdefault((extra, bias is None, activation), set()).add(y.tobytes())
            assert again == 0 or y.flags.owndata
    assert all(len(bits) == 1 for bits in seen.values())
    assert len(set.union(*seen.values())) == len(seen)
    with pytest.raises(TypeError, match="^output_padding: expected an int"):
        chanconv.conv_transpose(x, kernel, stride=2, output_padding=True)


def test_a_gradient_that_comes_again():
    """The same of gradients, with the shape that is asked for."""
    grad_output = np.random.default_rng(3).standard_normal(Y.shape).astype(Y.dtype)
    expected = [chanconv.conv_grad_x(grad_output, KERNEL, X.shape, out=np.empty_like(X)),
                chanconv.conv_grad_kernel(grad_output, X, KERNEL.shape, out=np.empty_like(KERNEL))]  # fmt: skip
    for _ in range(3):
        found = [chanconv.conv_grad_x(grad_output.copy(), KERNEL.copy(), X.shape),
                 chanconv.conv_grad_kernel(grad_output.copy(), X.copy(), KERNEL.shape)]  # fmt: skip
        assert all(map(same_bits, found, expected)) and all(gradient.flags.owndata for gradient in found)
        found = chanconv.conv_backward(grad_output, X, KERNEL)
        assert same_bits(found.x, expected[0]) and same_bits(found.kernel, expected[1])
        mixed = chanconv.conv_backward(grad_output, X, KERNEL.astype(np.float64))
        assert mixed.x.dtype == mixed.kernel.dtype == np.float64
    aliased = np.zeros((2, *X.shape), X.dtype)  # an x whose result overlaps it
    aliased[0] = grad = np.resize(grad_output, X.shape)
    same = chanconv.conv_grad_x(grad, KERNEL[..., :4].copy(), X.shape, padding=1)
    for start in (0, 5, X.size):
        out = aliased.ravel()[start : start + X.size].reshape(X.shape)
        aliased[0] = grad
        assert same_bits(chanconv.conv_grad_x(aliased[0], KERNEL[..., :4].copy(), X.shape, padding=1, out=out), same)
    for wrong in (np.empty(X.size, X.dtype), np.empty(X.shape[1:], X.dtype)):
        with pytest.raises(ValueError, match="^out: expected shape"):
            chanconv.conv_grad_x(grad_output, KERNEL, X.shape, out=wrong)
    for shape in ((*X.shape[:-1], 1), X.shape[1:], (X.shape[0] + 1, *X.shape[1:])):
        with pytest.raises(ValueError, match="^(grad_output|kernel|x_shape): expected"):
            chanconv.conv_grad_x(grad_output, KERNEL, shape)
    with pytest.raises(TypeError, match="^x_shape: expected an int"):
        chanconv.conv_grad_x(grad_output, KERNEL, tuple(map(float, X.shape)))


def test_output_shape_is_that_of_the_result():
    shapes = itertools.product([(9, 7, 4), (0, 9, 7, 4), (2, 9, 7, 4)], [(3, 2, 4, 5), (3, 2, 4)])
    for x_shape, kernel_shape in shapes:
        for options in ({}, {"stride": 2, "padding": "same"}, {"dilation": (2, 1), "padding": ((1, 0), (0, 2))}):
            y = chanconv.conv(np.ones(x_shape), np.ones(kernel_shape), **options)
            assert chanconv.conv_output_shape(x_shape, kernel_shape, **options) == y.shape
    assert chanconv.conv_output_shape((9, 7), (3, 2)) == (7, 6)
    assert chanconv.conv_output_shape((4, 9, 7), [3, 2], stride=2) == (4, 4, 3)


# ---- Forms of arrays ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [(), (1,), (3,)])
@pytest.mark.parametrize("kernels", [(), (1,), (5,)])
def test_shapes_of_gradients(batch, kernels):
    """Each gradient has the shape of what it is the gradient of."""
    x, kernel = np.ones((*batch, 6, 7, 4)), np.ones((3, 3, 4, *kernels))
    grad = np.ones((*batch, 4, 5, *kernels))
    assert chanconv.conv(x, kernel, bias=np.zeros(kernels)).shape == grad.shape
    gradients = chanconv.conv_backward(grad, x, kernel)
    assert [g.shape for g in gradients] == [x.shape, kernel.shape, kernels]
    assert chanconv.conv_grad_x(grad, kernel, x.shape).shape == x.shape
    assert chanconv.conv_grad_kernel(grad, x, kernel.shape).shape == kernel.shape
    assert chanconv.conv_grad_kernel(grad, x, kernel.shape, per_sample=True).shape == (*batch, *kernel.shape)


@pytest.mark.parametrize("batch", [(), (1,), (3,)])
def test_shapes_of_planes_columns_and_transposes(batch):
    plane, kernel = np.ones((*batch, 6, 7)), np.ones((3, 2))
    y = chanconv.plane_conv(plane, kernel)
    assert y.shape == (*batch, 4, 6)
    assert [g.shape for g in chanconv.plane_conv_backward(y, plane, kernel)[:2]] == [plane.shape, kernel.shape]
    image = np.ones((*batch, 6, 7, 5))
    assert chanconv.im2col(image, (3, 2)).shape == (*batch, 24, 30)
    assert chanconv.im2col(image[..., 0].reshape(-1, 7), (3, 2)).ndim == 2
    assert chanconv.conv_transpose(image, np.ones((3, 3, 2, 5)), 2).shape == (*batch, 13, 15, 2)


@pytest.mark.parametrize("bias", [0.5, np.float32(0.5), np.array(0.5, np.float32), [0.5], np.float32([0.5])])
def test_forms_of_the_bias_of_one_kernel(bias):
    y = chanconv.conv(X, KERNEL[..., 0], bias=bias)
    np.testing.assert_allclose(y, chanconv.conv(X, KERNEL[..., 0]) + 0.5, atol=1e-5)


def test_a_number_has_no_dtype_of_its_own():
    assert chanconv.conv(X, KERNEL[..., 0], bias=0.5).dtype == np.float32
    assert chanconv.conv(X, KERNEL[..., 0], bias=2).dtype == np.float32


def test_nested_lists_and_objects_that_are_arrays():
    class Image:
        def __array__(self, dtype=None, copy=None):
            return X

    assert same_bits(chanconv.conv(Image(), KERNEL), chanconv.conv(X, KERNEL))
    y = chanconv.conv(X.tolist(), KERNEL.tolist(), bias=BIAS.tolist())
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, Y, atol=1e-5)


@pytest.mark.parametrize("chosen", [c for n in (1, 2, 3) for c in itertools.combinations(("x", "kernel", "bias"), n)])
def test_wrt(chosen):
    everything = chanconv.conv_backward(GRAD, X, KERNEL)
    gradients = chanconv.conv_backward(GRAD, X, KERNEL, wrt=chosen)
    for name in ("x", "kernel", "bias"):
        found = getattr(gradients, name)
        assert same_bits(found, getattr(everything, name)) if name in chosen else found is None
    transposed = chanconv.conv_transpose_backward(X, GRAD, KERNEL, wrt=set(chosen))
    assert {name for name in ("x", "kernel", "bias") if getattr(transposed, name) is not None} == set(chosen)


def test_wrt_of_one_name():
    gradients = chanconv.conv_backward(GRAD, X, KERNEL, wrt="bias")
    assert gradients.x is None and gradients.kernel is None
    np.testing.assert_allclose(gradients.bias, GRAD.sum((0, 1, 2)), atol=1e-4)


# ---- dtypes ---------------------------------------------------------------------------------------------------------


@every_call
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtype_of_the_result(name, dtype):
    inputs = [a.astype(dtype) for a in ALL_CALLS[name][1]]
    assert {r.dtype for r in results(name, inputs)} == {np.dtype(dtype)}


@every_call
def test_float16_is_computed_in_float32_and_rounded_once(name):
    inputs = [a.astype(np.float16) for a in ALL_CALLS[name][1]]
    wide = results(name, [a.astype(np.float32) for a in inputs])
    for half, full in zip(results(name, inputs), wide, strict=True):
        assert same_bits(half, full.astype(np.float16))


def test_float16_with_an_activation_is_rounded_once():
    x, kernel = X.astype(np.float16), KERNEL.astype(np.float16)
    for name in ("gelu", "softmax"):
        wide = chanconv.conv(x.astype(np.float32), kernel.astype(np.float32), activation=name)
        assert same_bits(chanconv.conv(x, kernel, activation=name), wide.astype(np.float16))


@every_call
def test_mixed_dtypes_are_computed_in_the_common_one(name):
    inputs = ALL_CALLS[name][1]
    expected = results(name, [a.astype(np.float64) for a in inputs])
    for wide in range(len(inputs)):
        mixed = [a.astype(np.float64) if i == wide else a for i, a in enumerate(inputs)]
        assert all(same_bits(a, b) for a, b in zip(results(name, mixed), expected, strict=True))


@pytest.mark.parametrize("integer", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("kernel_dtype", [np.float32, np.float64])
def test_integer_images(integer, kernel_dtype):
    image = RNG.integers(0, 2, X.shape).astype(integer)
    common = np.result_type(integer, kernel_dtype)
    kernel = KERNEL.astype(kernel_dtype)
    expected = chanconv.conv(image.astype(common), kernel.astype(common))
    assert same_bits(chanconv.conv(image, kernel), expected)


# ---- Layouts --------------------------------------------------------------------------------------------------------


def unaligned(a, offset=1):
    buffer = np.empty(a.nbytes + offset, np.uint8)
    view = buffer[offset:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def read_only(a):
    copy = a.copy()
    copy.flags.writeable = False
    return copy


def every_other(a):
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), np.nan, a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


LAYOUTS = {
    "reversed": lambda a: a[..., ::-1].copy()[..., ::-1],
    "reversed rows": lambda a: a[::-1].copy()[::-1],
    "every other": every_other,
    "fortran": np.asfortranarray,
    "transposed": lambda a: np.ascontiguousarray(a.swapaxes(0, -1)).swapaxes(0, -1),
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "unaligned": unaligned,
    "aligned to an element": lambda a: unaligned(a, 64 + a.itemsize),
    "read-only": read_only,
    "subclass": lambda a: a.view(type("Sub", (np.ndarray,), {})),
    "dtype with metadata": lambda a: a.astype(np.dtype(a.dtype, metadata={"unit": "m"})),
}


@every_call
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layouts(name, layout, dtype):
    """A layout changes no bit, and inputs stay as they are."""
    plain = [a.astype(dtype) for a in ALL_CALLS[name][1]]
    inputs = [LAYOUTS[layout](a) for a in plain]
    assert all((a == b).all() for a, b in zip(inputs, plain, strict=True))
    for result, expected in zip(results(name, inputs), results(name, plain), strict=True):
        assert same_bits(result, expected)
        assert type(result) is np.ndarray and result.flags.c_contiguous and result.flags.owndata
        assert result.dtype.isnative and result.dtype.metadata is None
    assert all((a == b).all() for a, b in zip(inputs, plain, strict=True))


def test_repeated_and_overlapping_inputs():
    repeated = np.broadcast_to(X[:1], (3, *X.shape[1:]))
    assert same_bits(chanconv.conv(repeated, KERNEL), chanconv.conv(repeated.copy(), KERNEL))
    line = np.arange(40, dtype=np.float32)
    windows = as_strided(line, (8, 8, 4), (16, 4, 4))
    assert same_bits(chanconv.conv(windows, KERNEL), chanconv.conv(windows.copy(), KERNEL))


@pytest.mark.parametrize("axis", [1, 2])
def test_strides_of_an_axis_of_one_do_not_matter(axis):
    x = X[:, :1] if axis == 1 else X[:, :, :1]
    strides = list(x.strides)
    for stride in (0, 4, -12, 1 << 40):
        strides[axis] = stride
        odd = as_strided(x, x.shape, strides)
        assert same_bits(chanconv.conv(odd, KERNEL, padding=1), chanconv.conv(x.copy(), KERNEL, padding=1))


def test_inputs_may_be_one_object():
    square = X[0]
    y = chanconv.conv(square, square[:, :, :, None][:, :, :, :1].repeat(2, -1))
    np.testing.assert_allclose(y[0, 0], (square**2).sum().repeat(2), rtol=1e-5)
    plane = X[0, ..., 0].copy()
    np.testing.assert_allclose(chanconv.plane_conv(plane, plane), (plane**2).sum(), rtol=1e-5)


def test_memory_maps(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert same_bits(chanconv.conv(mapped, KERNEL, bias=BIAS), Y)


# ---- out ------------------------------------------------------------------------------------------------------------


@every_call_with_out
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_out(name, dtype):
    call, inputs = CALLS[name]
    inputs = [a.astype(dtype) for a in inputs]
    expected = call(*inputs)
    out = np.full(expected.shape, np.nan, dtype)
    assert call(*inputs, out=out) is out
    assert same_bits(out, expected)


@every_call_with_out
@pytest.mark.parametrize("layout", ["reversed", "every other", "fortran", "transposed", "unaligned", "subclass"])
def test_out_of_any_layout(name, layout):
    call, inputs = CALLS[name]
    expected = call(*inputs)
    out = LAYOUTS[layout](np.full_like(expected, np.nan))
    assert call(*inputs, out=out) is out
    assert same_bits(np.ascontiguousarray(out), expected)


def test_gaps_of_out_stay_untouched():
    buffer = np.full((2, 6, 6, 12), 7, np.float32)
    chanconv.conv(X, KERNEL, bias=BIAS, out=buffer[..., 3:8])
    assert same_bits(buffer[..., 3:8].copy(), Y)
    assert (buffer[..., :3] == 7).all() and (buffer[..., 8:] == 7).all()


@every_call_with_out
@pytest.mark.parametrize("offset", [0, 1, 5])
def test_out_may_overlap_any_input(name, offset):
    call, inputs = CALLS[name]
    expected = call(*inputs)
    for position, overlapped in enumerate(inputs):
        memory = np.zeros(max(expected.size, overlapped.size) + offset, np.float32)
        out = memory[offset : offset + expected.size].reshape(expected.shape)
        view = memory[: overlapped.size].reshape(overlapped.shape)
        view[...] = overlapped
        call(*inputs[:position], view, *inputs[position + 1 :], out=out)
        assert same_bits(out, expected)


def test_out_may_be_x():
    x = X.copy()
    square = RNG.standard_normal((3, 3, 4, 4)).astype(np.float32)
    expected = chanconv.conv(x, square, padding="same")
    assert chanconv.conv(x, square, padding="same", out=x) is x
    assert same_bits(x, expected)


@pytest.mark.parametrize("activation", ["relu", "softmax"])
def test_out_with_activation(activation):
    expected = chanconv.conv(X, KERNEL, activation=activation)
    out = np.empty((6, 2, 6, 5), np.float32).swapaxes(0, 1)
    assert chanconv.conv(X, KERNEL, activation=activation, out=out) is out
    assert same_bits(np.ascontiguousarray(out), expected)
    with pytest.raises(ValueError, match="^out: expected shape"):
        chanconv.conv(X, KERNEL, activation=activation, out=np.empty((2, 6, 6, 4), np.float32))


def test_out_saves_the_memory_of_the_result():
    x, out = np.ones((64, 64, 16), np.float32), np.empty((62, 62, 64), np.float32)
    kernel = np.ones((3, 3, 16, 64), np.float32)
    chanconv.conv(x, kernel, out=out)
    tracemalloc.start()
    chanconv.conv(x, kernel, out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000


def interleaved(shape, strides):
    return as_strided(np.zeros(1000, np.float32), shape, [4 * s for s in strides])


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((3, 4)), False),
        (np.zeros((3, 4)).T[::-1, ::2], False),
        (np.zeros((0, 4)), False),
        (interleaved((2, 2), (3, 2)), False),
        (interleaved((3, 2), (2, 3)), False),
        (interleaved((3, 3), (2, 4)), True),
        (interleaved((4, 3), (1, 2)), True),
        (interleaved((2, 3), (0, 1)), True),
        (interleaved((1, 3), (0, 1)), False),
        (as_strided(np.zeros(100, np.uint8), (4,), (2,)).view(np.uint8), False),
        (as_strided(np.zeros(10, np.float32), (4,), (2,)), True),
    ],
)
def test_overlaps_itself(array, expected):
    assert arrays.overlaps_itself(array) is expected


# ---- Activations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["relu", "gelu", "leaky_relu", "softmax", "log_softmax"])
def test_activation_by_name_and_by_object(name):
    activation = activations.get(name)
    expected = activation.forward(Y)
    for given in (name, np.str_(name), activation):
        np.testing.assert_allclose(chanconv.conv(X, KERNEL, bias=BIAS, activation=given), expected, atol=1e-5)


def test_activation_with_parameters():
    activation = activations.get("leaky_relu", negative_slope=0.5)
    y = chanconv.conv(X, KERNEL, bias=BIAS, activation=activation)
    assert same_bits(y, np.where(Y > 0, Y, Y * np.float32(0.5)))


def test_activation_that_changes_the_shape():
    kernel = RNG.standard_normal((3, 3, 4, 6)).astype(np.float32)
    y = chanconv.conv(X, kernel, activation="glu")
    assert same_bits(y, activations.glu(chanconv.conv(X, kernel)))


def test_activation_of_a_transposed_convolution():
    y = chanconv.conv_transpose(GRAD, KERNEL, bias=np.ones(4, np.float32), activation="relu")
    plain = reference.conv_transpose(GRAD.astype(np.float64), KERNEL, bias=np.ones(4))
    np.testing.assert_allclose(y, np.maximum(plain, 0), atol=1e-4)


# ---- What is kept between calls -------------------------------------------------------------------------------------


def test_shapes_are_read_after_all_user_code():
    """An ``__index__`` or ``__array__`` may change an array that was given before it."""

    class Stride:
        def __index__(self):
            x.resize((1, 4, 4, 4), refcheck=False)
            return 1

    class Kernel:
        def __array__(self, dtype=None, copy=None):
            x.resize((1, 4, 4, 4), refcheck=False)
            return KERNEL

    for stride, kernel in ((Stride(), KERNEL), (1, Kernel())):
        x = X.copy()
        assert chanconv.conv(x, kernel, stride).shape == (1, 2, 2, 5)


def test_many_threads_share_the_problems():
    geometry.problem.cache_clear()
    failures = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(50):
            size = rng.integers(3, 9)
            y = chanconv.conv(X[:, :size, :size], KERNEL)
            if not same_bits(y, expected[size]):
                failures.append(size)

    expected = {size: chanconv.conv(X[:, :size, :size].copy(), KERNEL) for size in range(3, 9)}
    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


# ---- Explanations and tracing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["forward", "grad_x", "grad_kernel"])
def test_explain(what):
    explanation = chanconv.explain((2, 8, 8, 4), (3, 3, 4, 5), padding=1, what=what, dtype=np.float64)
    assert explanation.y_shape == (2, 8, 8, 5)
    assert explanation.flops == 2 * 2 * 8 * 8 * 5 * 3 * 3 * 4
    assert explanation.bytes == 8 * (2 * 8 * 8 * 4 + 3 * 3 * 4 * 5 + 2 * 8 * 8 * 5)
    assert explanation.threads >= 1 and explanation.workspace_bytes >= 0
    assert explanation.algorithm not in explanation.declined
    assert all(explanation.declined.values())
    text = repr(explanation)
    for part in (what, "(2, 8, 8, 4)", "float64", explanation.algorithm, explanation.isa, *explanation.declined):
        assert part in text
    assert text.count("\n") >= 4


VECTOR_BYTES = {"avx512": 64, "avx2": 32, "neon": 16, "generic": 16}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((7, 9), {}),
        ((7, 9), {"padding": ((2, 5), (0, 1))}),
        ((7, 9), {"padding": 3, "dilation": (3, 2), "stride": (2, 5)}),
        ((40, 3), {"padding": (9, 20), "dilation": (5, 10), "stride": (3, 4)}),
        ((6, 1), {"padding": 30, "dilation": 1, "stride": 7}),
        ((9, 8), {"padding": 2, "padding_mode": "reflect"}),
    ],
)
def test_explain_bound(shape, options, dtype):
    """The products of the direct sum whose tap is on x, and all bytes, at the rates of csrc/bound.c."""
    x_shape, kernel_shape = (2, *shape, 4), (4, 3, 2, 6)
    plan = chanconv.explain(x_shape, kernel_shape, groups=2, dtype=dtype, **options)
    products = 2 * 6 * 2 * reference.conv(np.ones((*shape, 1)), np.ones((4, 3, 1, 1)), **options).sum()
    vector = VECTOR_BYTES[plan.isa]
    a_cycle = (4 if plan.isa == "neon" else 2) * vector // np.dtype(dtype).itemsize
    assert plan.arithmetic_cycles * a_cycle * plan.threads == pytest.approx(products, rel=1e-12)
    assert plan.memory_cycles * 2 * vector * plan.threads == pytest.approx(plan.bytes)  # all fits the first level
    assert plan.bound_cycles == max(plan.arithmetic_cycles, plan.memory_cycles)
    assert f"of {plan.bound}" in repr(plan)


def test_explain_bound_of_large_arrays():
    one, all_of_it = (chanconv.explain((n, 2000, 2000, 3), (1, 1, 3, 3)) for n in (1, 1000))
    assert one.bound == all_of_it.bound == "memory"
    assert all_of_it.bound_cycles * all_of_it.threads * 16 == all_of_it.bytes
    assert chanconv.explain((64, 56, 56, 512), (3, 3, 512, 512)).bound == "arithmetic"
    far = chanconv.explain((2**40, 1, 1), (2**30, 1, 1, 1), padding=((2**30 - 1, 0), (0, 0)), algorithm="gemm")
    assert far.arithmetic_cycles * far.threads > 2.0**64  # at once, though taps are many


def test_explain_planes_and_algorithms():
    assert chanconv.explain((9, 9), (3, 3)).y_shape == (7, 7)
    assert chanconv.explain((9, 9, 2), (3, 3, 2)).y_shape == (7, 7)
    for algorithm in ("gemm", "im2col"):
        assert chanconv.explain((9, 9, 2), (3, 3, 2, 4), algorithm=algorithm).algorithm == algorithm


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"what": "backward"}, ValueError, "^what: expected one of forward, grad_x, grad_kernel, got 'backward'"),
        ({"what": 1}, TypeError, "^what: expected a str"),
        ({"dtype": "int32"}, TypeError, "^dtype: expected float32"),
        ({"stride": 0}, ValueError, "^stride:"),
    ],
)
def test_explain_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        chanconv.explain((9, 9, 2), (3, 3, 2, 4), **arguments)


def test_explain_speaks_of_its_own_arguments():
    with pytest.raises(ValueError, match="^x_shape: expected"):
        chanconv.explain((9,), (3, 3, 2, 4))
    with pytest.raises(ValueError, match="^kernel_shape: "):
        chanconv.explain((9, 9, 3), (3, 3, 2, 4))


TRACED = """
import numpy as np, chanconv
for again in range(2):
    chanconv.conv(np.ones((8, 8, 3), np.float32), np.ones((3, 3, 3, 8), np.float32), activation="relu")
chanconv.activations.prelu(np.ones(4, np.float32), 0.5)
chanconv.conv_backward(np.ones((6, 6, 8)), np.ones((8, 8, 3)), np.ones((3, 3, 3, 8)))
chanconv.im2col(np.ones((8, 8, 3)), 3)
"""


@pytest.mark.parametrize(("value", "lines"), [("1", 7), ("0", 0), ("", 0)])
def test_verbose_is_a_line_per_call(value, lines, monkeypatch):
    monkeypatch.setenv("CHANCONV_VERBOSE", value)
    done = subprocess.run([sys.executable, "-c", TRACED], capture_output=True, text=True, check=True)
    report = done.stderr.splitlines()
    assert len(report) == lines and not done.stdout
    if lines:
        for part in ("conv_forward float32", "x (1, 8, 8, 3)", "kernel (3, 3, 3, 8)", "threads", " us", "GFLOP/s"):
            assert part in report[0]
        operations = ["conv_forward"] * 2 + ["prelu_forward", "conv_grad_x", "conv_grad_kernel", "conv_grad_bias", "im2col"]
        assert [line.split()[1] for line in report] == operations


@pytest.mark.parametrize("form", [list, np.array, tuple])
def test_shapes_in_any_form(form):
    assert chanconv.conv_output_shape(form([6, 8, 3]), form([3, 2, 3, 5])) == (4, 7, 5)
    assert chanconv.explain(form([6, 8, 3]), form([3, 2, 3, 5])).x_shape == (6, 8, 3)
    for argument, shapes in (("x_shape", ([6, -8, 3], [3, 2, 3, 5])), ("kernel_shape", ([6, 8, 3], [3, -2, 3, 5]))):
        with pytest.raises(ValueError, match=rf"^{argument}: expected sizes of 0 or more"):
            chanconv.conv_output_shape(*map(form, shapes))
