# SPDX-License-Identifier: BSD-3-Clause
"""Bad and extreme inputs: the right answer or an error that names the argument; never a crash, never a wrong result.

The tests are numbered by topic: A types and containers, B relations of shapes, C sizes of zero, S scalars, E sizes
beyond memory, L layouts and `out`, H gradients, im2col and planes. G, values, is test_bad_values.py; I, threads and
processes, test_processes.py; what C callers alone can do, tests/c/test_bad_calls.c.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import chanconv
from chanconv import activations, reference

RNG = np.random.default_rng(3)
X = RNG.standard_normal((2, 8, 8, 4)).astype(np.float32)
KERNEL = RNG.standard_normal((3, 3, 4, 5)).astype(np.float32)
BIAS = RNG.standard_normal(5).astype(np.float32)
GRAD = RNG.standard_normal((2, 6, 6, 5)).astype(np.float32)
Y = chanconv.conv(X, KERNEL, bias=BIAS)
INT_MAX, INT_MIN = 2**63 - 1, -(2**63)


def refused(error, argument, function, *args, **kwargs):
    """The call raises `error` with a text that begins with the argument's name; no array changes, and all goes on."""
    given = [a for a in (*args, *kwargs.values()) if isinstance(a, np.ndarray) and a.size < 10**6]
    before = [a.tobytes() for a in given]
    with pytest.raises(error, match=rf"^{argument}\b") as info:
        function(*args, **kwargs)
    assert [a.tobytes() for a in given] == before
    assert chanconv.conv(X, KERNEL, bias=BIAS).tobytes() == Y.tobytes()
    return str(info.value)


def close(result, expected, terms=100):
    assert result.shape == expected.shape
    scale = np.abs(expected).max(initial=1)
    np.testing.assert_allclose(result, expected, rtol=0, atol=terms * np.finfo(result.dtype).eps * scale)


def zeros(*shape):
    return np.zeros(shape, np.float32)


def integers(*shape):
    return RNG.integers(-3, 4, shape).astype(np.float32)


# ---- A: types and containers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [None, "image", {}, {"x": 1}, object(), b"bytes", {1, 2}])
def test_A1_not_an_array(x):
    refused(TypeError, "x", chanconv.conv, x, KERNEL)
    refused(TypeError, "kernel", chanconv.conv, X, x)
    refused(TypeError, "grad_output", chanconv.conv_backward, x, X, KERNEL)
    if x is not None:
        refused(TypeError, "bias", chanconv.conv, X, KERNEL, bias=x)


def test_A2_nested_lists():
    close(chanconv.conv(X.tolist(), KERNEL), reference.conv(X.astype(float), KERNEL))


@pytest.mark.parametrize("x", [[[1.0], [1.0, 2.0]], [[[1.0]], [1.0]], [1.0, None], [[[1.0]], ["a"]]])
def test_A3_ragged_lists(x):
    refused((ValueError, TypeError), "x", chanconv.conv, x, KERNEL)


@pytest.mark.parametrize(
    "dtype", ["O", "V8", "f4,f4", "U3", "S3", "M8[s]", "m8[s]", pytest.param([("a", "f4", (2,))], id="struct")]
)
def test_A4_dtypes_that_are_no_numbers(dtype):
    refused(TypeError, "x", chanconv.conv, np.empty((8, 8, 4), dtype), KERNEL)
    refused(TypeError, "kernel", chanconv.conv, X, np.empty((3, 3, 4, 5), dtype))


@pytest.mark.parametrize("dtype", ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
def test_A5_integers(dtype):
    image = RNG.integers(0, 2, X.shape).astype(dtype)
    for kernel in (KERNEL, KERNEL.astype(np.float64)):
        y = chanconv.conv(image, kernel)
        assert y.dtype == np.result_type(image, kernel)
        close(y, reference.conv(image.astype(np.float64), kernel))
    text = refused(TypeError, "x", chanconv.conv, image, np.ones((3, 3, 4, 5), dtype))
    assert "float32" in text and "astype" in text


@pytest.mark.parametrize("dtype", ["longdouble", "complex64", "complex128", "clongdouble"])
def test_A6_longdouble_and_complex(dtype):
    refused(TypeError, "x", chanconv.conv, X.astype(dtype), KERNEL)
    refused(TypeError, "bias", chanconv.conv, X, KERNEL, bias=BIAS.astype(dtype))


def test_A6_float16_is_rounded_once():
    x, kernel = X.astype(np.float16), KERNEL.astype(np.float16)
    y = chanconv.conv(x, kernel)
    np.testing.assert_array_equal(y, chanconv.conv(x.astype("f4"), kernel.astype("f4")).astype(np.float16))


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">f8", ">f2", ">i2"])
def test_A7_byte_order(dtype):
    x = integers(2, 8, 8, 4)
    y = chanconv.conv(x.astype(dtype), KERNEL)
    assert y.dtype.isnative
    close(y, reference.conv(x.astype(np.float64), KERNEL))


@pytest.mark.parametrize("wide", ["x", "kernel", "bias"])
def test_A8_mixed_dtypes(wide):
    arrays = {"x": X, "kernel": KERNEL, "bias": BIAS}
    arrays[wide] = arrays[wide].astype(np.float64)
    y = chanconv.conv(**arrays)
    assert y.dtype == np.float64
    close(y, reference.conv(X.astype(np.float64), KERNEL.astype(np.float64), bias=BIAS))
    refused(TypeError, "out", chanconv.conv, **arrays, out=np.empty(Y.shape, np.float32))


def test_A9_masked_arrays():
    masked = np.ma.masked_less(X, 0)
    assert "filled" in refused(TypeError, "x", chanconv.conv, masked, KERNEL)
    refused(TypeError, "kernel", chanconv.conv, X, np.ma.array(KERNEL))
    refused(TypeError, "out", chanconv.conv, X, KERNEL, out=np.ma.array(Y))


def test_A10_subclasses_and_memory_maps(tmp_path):
    class Sub(np.ndarray):
        pass

    y = chanconv.conv(X.view(Sub), KERNEL.view(Sub), bias=BIAS.view(Sub))
    assert type(y) is np.ndarray and y.tobytes() == Y.tobytes()
    np.save(tmp_path / "x.npy", X)
    assert chanconv.conv(np.load(tmp_path / "x.npy", mmap_mode="r"), KERNEL, bias=BIAS).tobytes() == Y.tobytes()


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_A10_matrix():
    plane = np.matrix(X[0, ..., 0])
    assert (chanconv.plane_conv(plane, KERNEL[..., 0, 0]) == chanconv.plane_conv(X[0, ..., 0], KERNEL[..., 0, 0])).all()


def test_A11_arrays_that_raise():
    class Raises:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("no array today")

    class Lies:
        __array_interface__ = {"shape": (1 << 20, 8, 4), "typestr": "<f4", "data": b"short", "version": 3}

    with pytest.raises(RuntimeError, match="no array today"):
        chanconv.conv(Raises(), KERNEL)
    with pytest.raises((ValueError, TypeError)):
        chanconv.conv(Lies(), KERNEL)


@pytest.mark.parametrize("ndim", [0, 1, 2, 5, 32])
def test_A12_number_of_axes(ndim):
    text = refused(ValueError, "x", chanconv.conv, zeros(*[1] * ndim), KERNEL)
    assert "(H, W, C) or (N, H, W, C)" in text and str((1,) * ndim) in text


def test_A13_axes_of_the_kernel():
    refused(ValueError, "kernel", chanconv.conv, X, zeros(3, 3))
    refused(ValueError, "kernel", chanconv.conv, X, zeros(3, 3, 4, 5, 1))
    refused(ValueError, "kernel", chanconv.plane_conv, X[..., 0], KERNEL)
    refused(ValueError, "kernel", chanconv.conv_transpose, X, zeros(3, 3, 4))


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (6,), (0,), (), (1,), (2, 6, 6, 5)])
def test_A14_shape_of_the_bias(shape):
    text = refused(ValueError, "bias", chanconv.conv, X, KERNEL, bias=zeros(*shape))
    assert "(5,)" in text and str(shape) in text
    if shape not in ((), (1,)):
        refused(ValueError, "bias", chanconv.conv, X, KERNEL[..., 0], bias=zeros(*shape))


def test_A15_keywords():
    for call in (
        lambda: chanconv.conv(X),
        lambda: chanconv.conv(X, KERNEL, 1, 0),
        lambda: chanconv.conv(X, KERNEL, strides=1),
        lambda: chanconv.conv(X, KERNEL, 1, stride=1),
        lambda: chanconv.plane_conv(X[..., 0], KERNEL[..., 0, 0], groups=1),
    ):
        with pytest.raises(TypeError):
            call()


# ---- B: relations of shapes -----------------------------------------------------------------------------------------


def test_B1_channels():
    text = refused(ValueError, "kernel", chanconv.conv, X, zeros(3, 3, 3, 5))
    assert "4" in text and "3" in text


def test_B2_channels_of_a_group():
    refused(ValueError, "kernel", chanconv.conv, X, zeros(3, 3, 4, 6), groups=2)


def test_B3_groups_and_channels():
    refused(ValueError, "groups", chanconv.conv, zeros(8, 8, 5), zeros(3, 3, 2, 4), groups=2)


def test_B4_groups_and_kernels():
    refused(ValueError, "groups", chanconv.conv, X, zeros(3, 3, 2, 5), groups=2)


def test_B5_more_groups_than_channels():
    refused(ValueError, "groups", chanconv.conv, X, zeros(3, 3, 1, 8), groups=8)
    refused(ValueError, "groups", chanconv.conv, zeros(8, 8, 8), zeros(3, 3, 1, 4), groups=8)


def test_B6_channels_first_by_mistake():
    refused(ValueError, "kernel", chanconv.conv, X.transpose(0, 3, 1, 2), KERNEL)


def test_B7_kernels_first_by_mistake():
    refused(ValueError, "kernel", chanconv.conv, X, KERNEL.transpose(3, 2, 0, 1))


def test_B8_kernel_larger_than_the_image():
    for shape in ((9, 3, 4, 5), (3, 9, 4, 5)):
        assert "larger than the padded input" in refused(ValueError, "kernel", chanconv.conv, X, zeros(*shape))


def test_B9_kernel_larger_than_the_image_with_a_stride():
    """In C, (8 - 9) / 2 + 1 is 1."""
    for stride in (2, 3, 100):
        refused(ValueError, "kernel", chanconv.conv, X, zeros(9, 9, 4, 5), stride)


def test_B10_dilation_beyond_the_image():
    refused(ValueError, "dilation", chanconv.conv, X, KERNEL, dilation=4)


def test_B11_kernel_as_large_as_the_image():
    kernel = integers(8, 8, 4, 5)
    close(chanconv.conv(X, kernel), reference.conv(X.astype(np.float64), kernel))
    close(chanconv.conv(X[:, :7, :7], KERNEL, dilation=3), reference.conv(X[:, :7, :7], KERNEL, dilation=3))


def test_B12_one_axis_tight():
    kernel = integers(10, 1, 4, 5)
    close(chanconv.conv(X, kernel, padding=1), reference.conv(X.astype(np.float64), kernel, padding=1))


def test_B13_all_sizes_one():
    assert chanconv.conv(np.full((1, 1, 1, 1), 3.0), np.full((1, 1, 1, 1), 2.0)).tolist() == [[[[6.0]]]]


def test_B14_stride_beyond_the_image():
    x, kernel = integers(3, 3, 2), integers(2, 2, 2, 1)
    np.testing.assert_array_equal(chanconv.conv(x, kernel, 7), reference.conv(x, kernel, 7))


@pytest.mark.parametrize("size", [*range(1, 41), 63, 64, 65])
def test_B15_every_number_of_channels_and_kernels(size):
    for channels, kernels in ((size, 3), (3, size), (size, size)):
        x, kernel = integers(4, 5, channels), integers(2, 3, channels, kernels)
        np.testing.assert_array_equal(chanconv.conv(x, kernel), reference.conv(x, kernel))


@pytest.mark.parametrize("multiplier", [1, 3])
def test_B16_depthwise(multiplier):
    x, kernel = integers(2, 6, 6, 7), integers(3, 3, 1, 7 * multiplier)
    np.testing.assert_array_equal(chanconv.conv(x, kernel, groups=7), reference.conv(x, kernel, groups=7))


def test_B17_bias_of_another_length():
    refused(ValueError, "bias", chanconv.conv, X, KERNEL, bias=zeros(8))
    refused(ValueError, "bias", chanconv.conv, X, KERNEL, bias=KERNEL)
    refused(ValueError, "bias", chanconv.conv_transpose, GRAD, KERNEL, bias=zeros(5))


@pytest.mark.parametrize("stride", [0, 4, -16, 1 << 40])
def test_B18_strides_of_an_axis_of_one(stride):
    x = as_strided(X[:, :1], (2, 1, 8, 4), (X.strides[0], stride, *X.strides[2:]))
    close(chanconv.conv(x, KERNEL, padding=1), reference.conv(X[:, :1], KERNEL, padding=1))


# ---- C: sizes of zero -----------------------------------------------------------------------------------------------


def test_C1_no_images():
    assert chanconv.conv(X[:0], KERNEL).shape == (0, 6, 6, 5)
    refused(ValueError, "kernel", chanconv.conv, X[:0], zeros(3, 3, 3, 5))
    refused(ValueError, "bias", chanconv.conv, X[:0], KERNEL, bias=zeros(4))


def test_C2_no_images_and_a_bad_stride():
    refused(ValueError, "stride", chanconv.conv, X[:0], KERNEL, 0)


def test_C3_no_channels():
    x, kernel = zeros(2, 8, 8, 0), zeros(3, 3, 0, 5)
    assert (chanconv.conv(x, kernel) == np.zeros((2, 6, 6, 5))).all()
    assert (chanconv.conv(x, kernel, bias=BIAS) == np.broadcast_to(BIAS, (2, 6, 6, 5))).all()
    gradients = chanconv.conv_backward(GRAD, x, kernel)
    assert gradients.x.shape == x.shape and gradients.kernel.shape == kernel.shape
    close(gradients.bias, GRAD.sum((0, 1, 2), dtype=np.float64))


@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (3, 0, 4, 5), (0, 0, 4, 5)])
def test_C4_no_taps(shape):
    refused(ValueError, "kernel", chanconv.conv, X, zeros(*shape))
    refused(ValueError, "kernel_size", chanconv.im2col, X, shape[:2])


def test_C5_no_kernels():
    kernel = zeros(3, 3, 4, 0)
    assert chanconv.conv(X, kernel).shape == (2, 6, 6, 0)
    gradients = chanconv.conv_backward(zeros(2, 6, 6, 0), X, kernel)
    assert gradients.x.shape == X.shape and not gradients.x.any()
    assert gradients.kernel.shape == kernel.shape and gradients.bias.shape == (0,)


def test_C6_nothing_but_padding():
    x, kernel = zeros(2, 0, 8, 4), zeros(2, 3, 4, 5)
    assert (chanconv.conv(x, kernel, padding=1, bias=BIAS) == np.broadcast_to(BIAS, (2, 1, 8, 5))).all()


def test_C6_depthwise_of_nothing_but_padding():
    """The rows that fit a cache were counted by a division by the bytes of a row."""
    x, kernel = zeros(2, 0, 8, 16), np.ones((2, 3, 1, 16), np.float32)
    assert (chanconv.conv(x, kernel, padding=1, groups=16) == zeros(2, 1, 8, 16)).all()
    gradients = chanconv.conv_backward(np.ones((2, 1, 8, 16), np.float32), x, kernel, padding=1, groups=16)
    assert gradients.x.shape == x.shape and not gradients.kernel.any()


@pytest.mark.parametrize("algorithm", ["auto", "gemm", "im2col"])
def test_C3_C5_taps_without_number_and_no_channels(algorithm):
    """2^58 taps of kernels that have no elements: no loop goes over them."""
    x, kernel = zeros(2**29, 2**29, 0), zeros(2**29, 2**29, 0, 5)
    y = chanconv.conv(x, kernel, bias=BIAS, algorithm=algorithm)
    assert y.tobytes() == BIAS.tobytes()
    kernel, padding = zeros(2**29, 2**29, 1, 0), 2**29
    grad_x = chanconv.conv_grad_x(
        zeros(1, 1, 0), kernel, (1, 1, 1), 2**31, padding=padding, out=np.ones((1, 1, 1), "f4"), algorithm=algorithm
    )
    assert grad_x.item() == 0


def test_C7_no_rows():
    refused(ValueError, "x", chanconv.conv, zeros(2, 0, 8, 4), KERNEL)
    refused(ValueError, "x", chanconv.conv, zeros(2, 0, 8, 4), KERNEL, padding="same")


def test_C8_everything_zero():
    refused(ValueError, "kernel", chanconv.conv, zeros(0, 0, 0, 0), zeros(0, 0, 0, 0))


def test_C9_no_images_of_an_absurd_size():
    x = zeros(0, 2**60, 1, 1)
    assert chanconv.conv(x, np.ones((1, 1, 1, 1), np.float32)).shape == x.shape
    refused(ValueError, "kernel", chanconv.conv, x, np.ones((1, 1, 1, 2), np.float32))
    refused(ValueError, "x", chanconv.conv, zeros(0, 2**60, 1, 1), np.ones((1, 1, 1, 1)))


def test_C9_gradients_per_sample_of_very_many_images_of_nothing():
    x, grad = zeros(2**40, 1, 1, 0), zeros(2**40, 1, 1, 0)
    gradients = chanconv.conv_grad_kernel(grad, x, (1, 1, 0, 0), per_sample=True)
    assert gradients.shape == (2**40, 1, 1, 0, 0)


def test_C10_gradients_of_no_images_are_zero():
    gradients = chanconv.conv_backward(GRAD[:0], X[:0], KERNEL)
    assert gradients.x.shape == (0, 8, 8, 4)
    assert gradients.kernel.tobytes() == bytes(KERNEL.nbytes) and gradients.bias.tobytes() == bytes(20)
    assert chanconv.conv_grad_kernel(GRAD[:0], X[:0], KERNEL.shape, per_sample=True).shape == (0, *KERNEL.shape)


def test_C11_gradient_without_rows():
    refused(ValueError, "grad_output", chanconv.conv_backward, GRAD[:, :0], X, KERNEL)


def test_C12_gradients_of_nothing_but_padding():
    x, kernel = zeros(2, 0, 8, 4), np.ones((2, 3, 4, 5), np.float32)
    gradients = chanconv.conv_backward(np.ones((2, 1, 8, 5), np.float32), x, kernel, padding=1)
    assert gradients.x.shape == x.shape
    assert not gradients.kernel.any() and (gradients.bias == 16).all()


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3, 4), (1,) * 5 + (0,)])
def test_C13_activations_of_nothing(shape):
    for name in ("relu", "gelu", "tanh", "sigmoid"):
        assert activations.get(name).forward(zeros(*shape)).shape == shape
        assert activations.get(name).backward(zeros(*shape), zeros(*shape)).shape == shape


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_C14_softmax_of_nothing(name):
    try:
        assert activations.get(name).forward(zeros(3, 0)).shape == (3, 0)
    except ValueError as error:
        assert str(error).startswith("axis")


def test_C15_columns_of_no_images():
    assert chanconv.im2col(X[:0], 3).shape == (0, 36, 36)
    assert chanconv.col2im(zeros(0, 36, 36), (0, 8, 8, 4), 3).shape == (0, 8, 8, 4)
    assert chanconv.im2col(zeros(8, 8, 0), 3).shape == (36, 0)
    assert not chanconv.col2im(zeros(36, 0), (8, 8, 0), 3).any()


def test_C16_planes_without_rows():
    refused(ValueError, "x", chanconv.plane_conv, zeros(0, 5), zeros(3, 3))


# ---- S: scalars -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [0, (1, 0), (0, 1)])
def test_S1_stride_0(stride):
    refused(ValueError, "stride", chanconv.conv, X, KERNEL, stride)
    refused(ValueError, "stride", chanconv.conv_transpose, GRAD, KERNEL, stride)


@pytest.mark.parametrize("stride", [-1, INT_MIN, (1, -2)])
def test_S2_negative_stride(stride):
    refused(ValueError, "stride", chanconv.conv, X, KERNEL, stride)


@pytest.mark.parametrize("algorithm", ["auto", "gemm", "im2col"])
@pytest.mark.parametrize("stride", [2**31, 2**62, INT_MAX])
def test_S3_huge_stride(stride, algorithm):
    y = chanconv.conv(X, KERNEL, stride, bias=BIAS, algorithm=algorithm)
    close(y, Y[:, :1, :1])
    gradients = chanconv.conv_backward(GRAD[:, :1, :1], X, KERNEL, stride, algorithm=algorithm)
    expected = chanconv.conv_backward(GRAD[:, :1, :1], X[:, :3, :3], KERNEL, algorithm=algorithm)
    close(gradients.x[:, :3, :3], expected.x)
    close(gradients.kernel, expected.kernel)
    assert not gradients.x[:, 3:].any() and not gradients.x[:, :, 3:].any()


@pytest.mark.parametrize("stride", [2**63, 2**64, 10**30, -(10**30), pytest.param(1 << 100_000, id="huge")])
def test_S4_stride_beyond_64_bits(stride):
    for name in ("stride", "padding", "dilation", "groups"):
        refused(ValueError, name, chanconv.conv, X, KERNEL, **{name: stride})


@pytest.mark.parametrize("stride", [1.0, 1.5, np.nan, "2", None, b"2", object(), {1, 2}, {1: 2}, np.float32(1)])
def test_S5_stride_that_is_no_int(stride):
    refused(TypeError, "stride", chanconv.conv, X, KERNEL, stride)
    refused(TypeError, "dilation", chanconv.conv, X, KERNEL, dilation=stride)


@pytest.mark.parametrize("true", [True, np.True_, np.array(True)])
def test_S6_bools(true):
    for name in ("stride", "padding", "dilation", "groups"):
        refused(TypeError, name, chanconv.conv, X, KERNEL, **{name: true})


@pytest.mark.parametrize("two", [np.int8(2), np.uint64(2), np.array(2), np.array(2, "u1")])
def test_S7_ints_of_numpy(two):
    x, kernel = integers(8, 8, 4), integers(3, 3, 2, 4)
    expected = reference.conv(x, kernel, 2, padding=2, dilation=2, groups=2)
    np.testing.assert_array_equal(chanconv.conv(x, kernel, two, padding=two, dilation=two, groups=two), expected)


@pytest.mark.parametrize("stride", [(), (1,), (1, 2, 3), [[1, 2]], np.ones(3, int), []])
def test_S8_length_of_stride(stride):
    refused(ValueError, "stride", chanconv.conv, X, KERNEL, stride)
    refused(ValueError, "padding", chanconv.conv, X, KERNEL, padding=stride)


@pytest.mark.parametrize("stride", [(1, None), (1.0, 1), ((1, 1), 1), ("1", "1"), np.ones(2), "12"])
def test_S9_items_of_stride(stride):
    refused(TypeError, "stride", chanconv.conv, X, KERNEL, stride)


def test_S10_index_that_fails():
    class Raises:
        def __index__(self):
            raise RuntimeError("no number today")

    class NoInt:
        def __index__(self):
            return 1.5

    with pytest.raises(RuntimeError, match="no number today"):
        chanconv.conv(X, KERNEL, Raises())
    refused(TypeError, "stride", chanconv.conv, X, KERNEL, NoInt())


def test_S11_index_that_changes_x():
    class Shrinks:
        def __index__(self):
            x.resize((1, 4, 4, 4), refcheck=False)
            x[...] = 1
            return 1

    x = X.copy()
    y = chanconv.conv(x, KERNEL, Shrinks())
    close(y, reference.conv(np.ones((1, 4, 4, 4)), KERNEL.astype(np.float64)))


@pytest.mark.parametrize("padding", [-1, (0, -1), ((0, -1), (0, 0)), ((0, 0), (-1, 0)), INT_MIN])
def test_S12_negative_padding(padding):
    refused(ValueError, "padding", chanconv.conv, X, KERNEL, padding=padding)
    refused(ValueError, "padding", chanconv.conv_transpose, X, KERNEL.swapaxes(2, 3), padding=padding)


@pytest.mark.parametrize("padding", [3, 5, (9, 0), ((0, 11), (7, 0))])
@pytest.mark.parametrize("algorithm", ["auto", "gemm", "im2col"])
def test_S13_padding_beyond_the_kernel(padding, algorithm):
    y = chanconv.conv(X, KERNEL, padding=padding, bias=BIAS, algorithm=algorithm)
    close(y, reference.conv(X.astype(np.float64), KERNEL, padding=padding, bias=BIAS))


def test_S14_padding_on_one_side():
    padding = ((3, 0), (0, 1))
    close(chanconv.conv(X, KERNEL, padding=padding), reference.conv(X.astype(np.float64), KERNEL, padding=padding))


@pytest.mark.parametrize("padding", [2**31, 2**62, INT_MAX, ((INT_MAX, INT_MAX), (0, 0))])
def test_S15_huge_padding(padding):
    refused(ValueError, "padding", chanconv.conv, X, KERNEL, padding=padding)


def test_S16_padding_that_makes_the_result_huge():
    with pytest.raises((ValueError, MemoryError)):
        chanconv.conv(zeros(1, 1, 1), zeros(1, 1, 1, 64), padding=10**6)


def test_S17_names_of_padding():
    x, kernel = integers(7, 8, 2), integers(3, 4, 2, 3)
    for name in ("same", "same_lower", "valid"):
        y = chanconv.conv(x, kernel, 2, padding=name)
        np.testing.assert_array_equal(y, reference.conv(x, kernel, 2, padding=name))
    for name in ("SAME", "foo", "", "same "):
        text = refused(ValueError, "padding", chanconv.conv, x, kernel, padding=name)
        assert all(known in text for known in ("valid", "same", "same_lower"))
    for wrong in (b"same", None, 1.0, ("same", "same"), {"top": 1}):
        refused(TypeError, "padding", chanconv.conv, x, kernel, padding=wrong)


def test_S17_names_of_modes_and_algorithms():
    for argument in ("padding_mode", "algorithm"):
        assert "one of" in refused(ValueError, argument, chanconv.conv, X, KERNEL, **{argument: "foo"})
        for wrong in (None, 1, b"zeros", ["zeros"]):
            refused(TypeError, argument, chanconv.conv, X, KERNEL, **{argument: wrong})


@pytest.mark.parametrize(("name", "padding"), [("same", ((0, 1), (1, 2))), ("same_lower", ((1, 0), (2, 1)))])
def test_S18_the_odd_row(name, padding):
    x, kernel = integers(6, 6, 2), integers(2, 4, 2, 3)
    np.testing.assert_array_equal(
        chanconv.conv(x, kernel, padding=name), chanconv.conv(x, kernel, padding=padding)
    )


@pytest.mark.parametrize("dilation", [0, -1, (1, 0), INT_MIN])
def test_S19_dilation_below_1(dilation):
    refused(ValueError, "dilation", chanconv.conv, X, KERNEL, dilation=dilation)


def test_S20_huge_dilation_of_one_tap():
    kernel = integers(1, 1, 4, 5)
    close(chanconv.conv(X, kernel, dilation=2**62), chanconv.conv(X, kernel))


@pytest.mark.parametrize("dilation", [2**62, 2**61, INT_MAX])
def test_S21_huge_dilation(dilation):
    for padding in (0, "same"):
        refused(ValueError, "dilation", chanconv.conv, X, KERNEL, dilation=dilation, padding=padding)
    with pytest.raises(ValueError):
        chanconv.conv_transpose(GRAD, KERNEL, dilation=dilation)


@pytest.mark.parametrize("groups", [0, -1, INT_MIN])
def test_S22_groups_below_1(groups):
    refused(ValueError, "groups", chanconv.conv, X, KERNEL, groups=groups)
    refused(ValueError, "groups", chanconv.conv_transpose, GRAD, KERNEL, groups=groups)


@pytest.mark.parametrize("groups", [2.0, None, "2", (2, 2)])
def test_S23_groups_that_are_no_int(groups):
    refused(TypeError, "groups", chanconv.conv, X, KERNEL, groups=groups)


@pytest.mark.parametrize("groups", [2**62, INT_MAX])
def test_S22_huge_groups(groups):
    refused(ValueError, "groups", chanconv.conv, X, KERNEL, groups=groups)
    refused(ValueError, "groups", chanconv.conv_transpose, GRAD, KERNEL, groups=groups)


def test_S24_activations():
    for wrong in ("RELU ", "Relu", "", "foo", "prelu"):
        refused(ValueError, "activation", chanconv.conv, X, KERNEL, activation=wrong)
    for wrong in (7, np.tanh, b"relu", ["relu"], object(), True):
        refused(TypeError, "activation", chanconv.conv, X, KERNEL, activation=wrong)


def test_S25_parameters_of_activations():
    refused(ValueError, "negative_slope", activations.leaky_relu, X, np.nan)
    refused(ValueError, "alpha", activations.elu, X, np.nan)
    assert (activations.leaky_relu(X, -1.0) == np.abs(X)).all()
    np.testing.assert_allclose(activations.elu(np.float32([-1.0]), -1.0), -np.expm1(-1.0), rtol=1e-6)


def test_S26_limits_of_hard_tanh():
    with pytest.raises(ValueError):
        activations.hard_tanh(X, 1.0, -1.0)
    with pytest.raises(ValueError):
        activations.hard_tanh(X, np.nan, 1.0)


def test_S27_numbers_of_threads():
    before = chanconv.get_num_threads()
    for wrong, error in ((0, ValueError), (-1, ValueError), (2.5, TypeError), (True, TypeError), ("2", TypeError)):
        refused(error, "n", chanconv.set_num_threads, wrong)
    with chanconv.num_threads(10**9):
        assert chanconv.conv(X, KERNEL, bias=BIAS).tobytes() == Y.tobytes()
    assert chanconv.get_num_threads() == before


def in_a_new_process(code, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code], env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


CONV = "import numpy as np, chanconv; print(chanconv.conv(np.ones((4, 4, 1)), np.ones((2, 2, 1, 1))).sum())"


@pytest.mark.parametrize("value", ["abc", "", "-1", "0", "1.5", "99999999999999999999"])
def test_S28_threads_of_the_environment(value):
    done = in_a_new_process(CONV, CHANCONV_NUM_THREADS=value)
    assert done.stdout.strip() == "36.0"
    assert done.stderr.count("Warning") <= 1


@pytest.mark.parametrize("value", ["avx512", "neon", "generic", "sse9", ""])
def test_S29_instruction_set_of_the_environment(value):
    done = in_a_new_process(CONV, CHANCONV_ISA=value)
    assert done.stdout.strip() == "36.0"
    assert done.stderr.count("Warning") <= 1


# ---- E: sizes beyond memory -----------------------------------------------------------------------------------------


def repeated(*shape):
    return np.broadcast_to(np.float32(0), shape)


def test_E1_result_beyond_the_address_space():
    with pytest.raises(MemoryError):
        chanconv.conv(repeated(2**31, 2**20, 1, 4), zeros(1, 1, 4, 5))


def test_E2_result_of_more_than_2_to_the_63_elements():
    refused(ValueError, "kernel", chanconv.conv, repeated(2**20, 2**20, 1, 1), repeated(1, 1, 1, 2**40))


def test_E3_result_of_more_than_2_to_the_63_bytes():
    refused(ValueError, "kernel", chanconv.conv, repeated(2**20, 2**20, 1, 1), repeated(1, 1, 1, 2**22))


def test_E4_result_of_a_terabyte():
    with pytest.raises(MemoryError):
        chanconv.conv(repeated(2**18, 2**10, 1, 1), repeated(1, 1, 1, 2**10))


def test_E5_columns_beyond_the_address_space():
    x = repeated(2**20, 2**20, 1)
    with pytest.raises((MemoryError, ValueError)):
        chanconv.im2col(x, 2**18, 2**19)
    with pytest.raises((MemoryError, ValueError)):
        chanconv.im2col(x, 2**10)


def test_E9_inputs_beyond_memory():
    for algorithm in ("auto", "gemm", "im2col"):
        with pytest.raises(MemoryError):
            chanconv.conv(repeated(1, 1, 2**40), repeated(1, 1, 2**40, 1), algorithm=algorithm)


def test_E9_plans_of_absurd_sizes():
    """A plan is found without going through what it is for, and sizes that no memory has are refused."""
    assert chanconv.explain((1, 2**40, 2), (1, 1, 2, 5), algorithm="gemm").algorithm == "gemm"
    with pytest.raises(MemoryError):
        chanconv.explain((2**20, 2**30, 1), (1, 1, 1, 1))
    with pytest.raises(MemoryError):
        chanconv.explain((1, 1, 1), (1, 1, 1, 1), 2**31 - 1, padding=2**31 - 1)
    for what in ("forward", "grad_x", "grad_kernel"):
        chanconv.explain((2**20, 2**20, 16), (1, 1, 1, 16), groups=16, what=what)


def test_E12_little_address_space():
    """The matrix of im2col would take 128 MiB."""
    in_a_new_process(
        "import resource, numpy as np, chanconv\n"
        "x, kernel = np.ones((1, 300, 300, 32), np.float32), np.ones((3, 3, 32, 8), np.float32)\n"
        "expected = chanconv.conv(x, kernel)\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (64 << 20), -1))\n"
        "try:\n"
        "    chanconv.conv(x, kernel, algorithm='im2col')\n"
        "    raise SystemExit('enough memory: this test proves nothing')\n"
        "except MemoryError as error:\n"
        "    assert str(error).startswith('memory'), error\n"
        "assert np.array_equal(chanconv.conv(x, kernel), expected)\n"
    )


def test_E13_failing_calls_leak_nothing():
    import resource

    def fail(times):
        for _ in range(times):
            for arguments in ({"stride": 0}, {"padding": -1}, {"out": Y[:1]}):
                with pytest.raises(ValueError):
                    chanconv.conv(X, KERNEL, **arguments)

    fail(2000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fail(5000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096


def available_memory():
    with open("/proc/meminfo") as file:
        return 1024 * next(int(line.split()[1]) for line in file if line.startswith("MemAvailable"))


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/meminfo")
@pytest.mark.parametrize("test", ["E6", "E7", "E8"])
def test_E6_E7_E8_more_than_2_to_the_31_elements(test):
    """Only on request, with CHANCONV_TEST_LARGE=1: they take 20 GB and half a minute."""
    if not os.environ.get("CHANCONV_TEST_LARGE") or available_memory() < 22e9:
        pytest.skip("set CHANCONV_TEST_LARGE=1, on a machine with 22 GB free")
    if test == "E8":
        kernel = np.zeros((1, 1, 2**16 + 1, 2**15), np.float32)
        kernel[0, 0, -1, -1] = 3
        assert chanconv.conv(np.ones((1, 1, 2**16 + 1), np.float32), kernel)[0, 0, -1] == 3
        return
    shape = (2**15 + 1, 2**14, 4) if test == "E6" else (1, 2**29 + 2, 4)
    x = np.zeros(shape, np.float32)
    x[-1, -2:] = 1
    kernel = np.ones((1, 2, 4, 1), np.float32)
    y = chanconv.conv(x, kernel)
    assert y.shape == (shape[0], shape[1] - 1, 1) and y[-1, -1] == 8 and y[-1, -2] == 4 and not y[-1, :-2].any()


# ---- L: layouts and out ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[..., ::2],
        lambda a: a[:, ::-1],
        lambda a: a.transpose(0, 2, 1, 3),
        lambda a: a[::-1, 1:, ::-2],
    ],
)
def test_L1_views(view):
    x = view(RNG.standard_normal((2, 12, 12, 8)).astype(np.float32))
    kernel = RNG.standard_normal((3, 3, x.shape[-1], 5)).astype(np.float32)
    assert chanconv.conv(x, kernel).tobytes() == chanconv.conv(x.copy(order="C"), kernel).tobytes()


def test_L2_fortran_order_and_sliced_kernels():
    wide = RNG.standard_normal((3, 3, 4, 10)).astype(np.float32)
    y = chanconv.conv(np.asfortranarray(X), wide[..., ::2])
    assert y.tobytes() == chanconv.conv(X, wide[..., ::2].copy()).tobytes()


def test_L3_repeated_images():
    x = np.broadcast_to(X[:1], (4, 8, 8, 4))
    assert chanconv.conv(x, KERNEL).tobytes() == chanconv.conv(x.copy(), KERNEL).tobytes()


@pytest.mark.parametrize("offset", [1, 2, 3, *range(4, 64, 4)])
def test_L4_L5_addresses(offset):
    def at(a):
        memory = np.empty(a.nbytes + 128, np.uint8)
        start = -memory.ctypes.data % 64 + offset
        view = memory[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
        view[...] = a
        return view

    assert chanconv.conv(at(X), at(KERNEL), bias=at(BIAS)).tobytes() == Y.tobytes()
    assert chanconv.conv(X, KERNEL, bias=BIAS, out=at(Y * 0)).tobytes() == Y.tobytes()


def test_L7_overlapping_windows():
    x = as_strided(np.arange(100, dtype=np.float32), (2, 8, 8, 4), (16, 8, 4, 4))
    assert chanconv.conv(x, KERNEL).tobytes() == chanconv.conv(x.copy(), KERNEL).tobytes()


def test_L9_wrong_out():
    def with_out(error, out):
        return refused(error, "out", chanconv.conv, X, KERNEL, out=out)

    text = with_out(ValueError, zeros(2, 6, 6, 4))
    assert "(2, 6, 6, 5)" in text and "(2, 6, 6, 4)" in text
    with_out(ValueError, zeros(6, 6, 5))
    with_out(TypeError, np.empty((2, 6, 6, 5)))
    with_out(TypeError, np.empty((2, 6, 6, 5), np.int32))
    with_out(TypeError, np.empty((2, 6, 6, 5), np.dtype("f4").newbyteorder()))
    for wrong in ([0.0], 1.0, memoryview(zeros(2, 6, 6, 5)), (zeros(2, 6, 6, 5),)):
        with_out(TypeError, wrong)


def test_L10_read_only_out():
    out = zeros(2, 6, 6, 5)
    out.flags.writeable = False
    refused(ValueError, "out", chanconv.conv, X, KERNEL, out=out)


def test_L11_out_with_gaps():
    buffer = np.full((2, 6, 6, 9), np.nan, np.float32)
    chanconv.conv(X, KERNEL, bias=BIAS, out=buffer[..., 2:7])
    assert buffer[..., 2:7].tobytes() == Y.tobytes()
    assert np.isnan(buffer[..., :2]).all() and np.isnan(buffer[..., 7:]).all()


def test_L12_out_that_overlaps_itself():
    for strides in ((0, 120, 20, 4), (720, 120, 20, 0), (4, 4, 4, 4), (120, 120, 20, 4)):
        out = as_strided(zeros(1000), (2, 6, 6, 5), strides)
        refused(ValueError, "out", chanconv.conv, X, KERNEL, out=out)


def test_L13_out_is_x():
    x, kernel = X.copy(), integers(3, 3, 4, 4)
    expected = chanconv.conv(X, kernel, padding=1)
    assert chanconv.conv(x, kernel, padding=1, out=x) is x and x.tobytes() == expected.tobytes()


@pytest.mark.parametrize("shift", [-7, -1, 1, 7, 100])
def test_L14_out_overlaps_an_input(shift):
    memory = zeros(2000)
    x, out = (memory[start : start + 512].reshape(2, 8, 8, 4) for start in (500, 500 + shift))
    x[...] = X
    kernel = integers(3, 3, 4, 4)
    assert chanconv.conv(x, kernel, padding=1, out=out).tobytes() == chanconv.conv(X, kernel, padding=1).tobytes()
    kernel = memory[:180].reshape(KERNEL.shape)
    kernel[...] = KERNEL
    assert chanconv.conv(X, kernel, out=memory[100:460].reshape(2, 6, 6, 5), bias=BIAS).tobytes() == Y.tobytes()
    bias = memory[10:15]
    bias[...] = BIAS
    assert chanconv.conv(X, KERNEL, bias=bias, out=memory[:360].reshape(2, 6, 6, 5)).tobytes() == Y.tobytes()


def test_L15_inputs_that_are_one():
    a = integers(3, 3, 3, 3)
    np.testing.assert_array_equal(chanconv.conv(a, a, bias=a[0, 0, 0]), reference.conv(a, a, bias=a[0, 0, 0]))
    plane = a[..., 0, 0]
    found = chanconv.plane_conv_backward(plane[:1, :1], plane, plane)
    expected = reference.plane_conv_backward(plane[:1, :1], plane, plane)
    np.testing.assert_array_equal(found.x, expected.x)
    np.testing.assert_array_equal(found.kernel, expected.kernel)


def test_L16_activation_in_place():
    x = X.copy()
    expected = activations.gelu(X)
    assert activations.gelu(x, out=x) is x and x.tobytes() == expected.tobytes()


def test_L17_gradient_over_an_input():
    grad = np.zeros_like(X)
    view = grad.reshape(-1)[: GRAD.size].reshape(GRAD.shape)
    view[...] = GRAD
    expected = chanconv.conv_grad_x(GRAD, KERNEL, X.shape)
    assert chanconv.conv_grad_x(view, KERNEL, X.shape, out=grad).tobytes() == expected.tobytes()
    kernel = KERNEL.copy()
    expected = chanconv.conv_grad_kernel(GRAD, X, KERNEL.shape)
    x = np.concatenate([KERNEL.ravel(), X.ravel()])
    out = x[: KERNEL.size].reshape(KERNEL.shape)
    chanconv.conv_grad_kernel(GRAD, x[KERNEL.size :].reshape(X.shape), kernel.shape, out=out)
    assert out.tobytes() == expected.tobytes()


def test_L18_read_only_inputs():
    arrays = [a.copy() for a in (X, KERNEL, BIAS, GRAD)]
    for a in arrays:
        a.flags.writeable = False
    x, kernel, bias, grad = arrays
    assert chanconv.conv(x, kernel, bias=bias).tobytes() == Y.tobytes()
    chanconv.conv_backward(grad, x, kernel)
    chanconv.conv_transpose(grad, kernel)
    chanconv.col2im(chanconv.im2col(x, 3), x.shape, 3)


# ---- H: gradients, im2col, planes -----------------------------------------------------------------------------------


def test_H1_batches_that_differ():
    refused(ValueError, "grad_output", chanconv.conv_backward, GRAD[:1], X, KERNEL)
    refused(ValueError, "grad_output", chanconv.conv_backward, GRAD[0], X[:1], KERNEL)


@pytest.mark.parametrize("shape", [(2, 5, 6, 5), (2, 7, 6, 5), (2, 6, 6, 4), (2, 6, 6), (6, 6, 5), ()])
def test_H2_shape_of_grad_output(shape):
    for function, rest in (
        (chanconv.conv_backward, (X, KERNEL)),
        (chanconv.conv_grad_x, (KERNEL, X.shape)),
        (chanconv.conv_grad_kernel, (X, KERNEL.shape)),
    ):
        text = refused(ValueError, "grad_output", function, zeros(*shape), *rest)
        assert "(2, 6, 6, 5)" in text and str(shape) in text
    refused(ValueError, "grad_output", chanconv.conv_transpose_backward, zeros(*shape), GRAD, KERNEL)


def test_H3_rows_that_no_window_sees():
    grad = np.ones((2, 3, 3, 5), np.float32)
    grad_x = chanconv.conv_grad_x(grad, KERNEL, X.shape, 2)
    assert grad_x[:, 7:].tobytes() == bytes(2 * 8 * 4 * 4)
    assert not grad_x[:, :, 7:].any() and grad_x[:, :7, :7].all()


def test_H4_gaps_between_windows():
    kernel = np.ones((1, 1, 4, 5), np.float32)
    grad_x = chanconv.conv_grad_x(np.ones((2, 3, 3, 5), np.float32), kernel, X.shape, 3)
    expected = np.zeros(X.shape)
    expected[:, ::3, ::3] = 5
    np.testing.assert_array_equal(grad_x, expected)


@pytest.mark.parametrize(
    "x_shape", [(2, 8, 8, 3), (2, -8, 8, 4), (2**62, 2**62, 2**62, 4), (2, 10**30, 8, 4), (8, 8), (), (1,) * 5]
)
def test_H5_x_shape(x_shape):
    with pytest.raises(ValueError, match="x_shape"):
        chanconv.conv_grad_x(GRAD, KERNEL, x_shape)
    if len(x_shape) != 2:
        with pytest.raises(ValueError, match="x_shape"):
            chanconv.col2im(zeros(2, 36, 36), x_shape, 3)


@pytest.mark.parametrize("x_shape", [None, 8, 8.0, "2884", (2, 8.0, 8, 4), (2, None, 8, 4), {2, 8, 4}])
def test_H5_x_shape_that_is_no_shape(x_shape):
    refused(TypeError, "x_shape", chanconv.conv_grad_x, GRAD, KERNEL, x_shape)
    refused(TypeError, "kernel_shape", chanconv.conv_grad_kernel, GRAD, X, x_shape)


def test_H5_kernel_shape():
    for shape in ((3, 3, -4, 5), (3, 3, 3, 5), (3, 3), (9, 9, 4, 5), (0, 3, 4, 5), (3, 3, -1, 5)):
        refused(ValueError, "kernel_shape", chanconv.conv_grad_kernel, GRAD, X, shape)


def test_H6_nan_reaches_true_pairs_only():
    grad = np.ones((1, 3, 3, 1))
    grad[0, 1, 1] = np.nan
    grad_x = chanconv.conv_grad_x(grad, np.ones((2, 2, 1, 1)), (1, 7, 7, 1), 2)
    expected = np.zeros((7, 7), bool)
    expected[2:4, 2:4] = True
    np.testing.assert_array_equal(np.isnan(grad_x[0, ..., 0]), expected)


def test_H7_strided_pointwise_gradient():
    for channels in range(1, 10):
        x, grad = integers(2, 9, 9, channels), integers(2, 5, 5, 6)
        found = chanconv.conv_grad_kernel(grad, x, (1, 1, channels, 6), 2)
        np.testing.assert_array_equal(found, reference.conv_grad_kernel(grad, x, (1, 1, channels, 6), 2))


def test_H8_one_item_of_work():
    gradients = chanconv.conv_backward(np.ones((1, 1, 1, 1)), np.ones((1, 3, 3, 1)), np.ones((3, 3, 1, 1)))
    assert (gradients.x == 1).all() and (gradients.kernel == 1).all() and gradients.bias == 1


def test_H9_more_threads_than_work():
    with chanconv.num_threads(1):
        expected = chanconv.conv_backward(GRAD, X, KERNEL)
    with chanconv.num_threads(64):
        gradients = chanconv.conv_backward(GRAD, X, KERNEL)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(gradients, expected, strict=True))


def test_H10_wrt():
    for wrong in ((), [], "", "y", ("x", "y"), "xkernel"):
        refused(ValueError, "wrt", chanconv.conv_backward, GRAD, X, KERNEL, wrt=wrong)
    for wrong in (None, 1, ("x", 1), b"x"):
        refused(TypeError, "wrt", chanconv.conv_backward, GRAD, X, KERNEL, wrt=wrong)
    refused(ValueError, "wrt", chanconv.plane_conv_backward, GRAD[..., 0], X[..., 0], KERNEL[..., 0, 0], wrt="bias")
    with pytest.raises(ValueError, match="^wrt"):
        chanconv.conv_backward(None, None, None, wrt="y")


@pytest.mark.parametrize("shape", [(2, 36, 35), (2, 35, 36), (1, 36, 36), (36, 36), (2, 6, 6, 36), ()])
def test_H11_shape_of_columns(shape):
    text = refused(ValueError, "columns", chanconv.col2im, zeros(*shape), X.shape, 3)
    assert "(2, 36, 36)" in text and str(shape) in text


def test_H12_negative_sizes():
    """(8 - 10 + 1) * (8 - 10 + 1) windows of 10 x 10 must not count as one."""
    with pytest.raises(ValueError, match="^kernel_size"):
        chanconv.col2im(zeros(1, 100), (8, 8, 1), 10)
    for size in ((-1, -1), (-3, 3), 0):
        with pytest.raises(ValueError, match="^kernel_size"):
            chanconv.im2col(X, size)


def test_H13_kernel_larger_than_the_image():
    for size in (9, (9, 1), (1, 9)):
        refused(ValueError, "kernel_size", chanconv.im2col, X, size)
        with pytest.raises(ValueError, match="^kernel_size"):
            chanconv.col2im(zeros(2, 1, 81), X.shape, size)


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"padding": 1}, {"dilation": 2, "padding": (2, 0)}])
def test_H14_coverage(options):
    ones = np.ones((7, 8, 2))
    counts = chanconv.col2im(chanconv.im2col(ones, 3, **options), ones.shape, 3, **options)
    expected = reference.col2im(reference.im2col(ones, 3, **options), ones.shape, 3, **options)
    np.testing.assert_array_equal(counts, expected)


def test_H15_planes():
    refused(ValueError, "kernel", chanconv.plane_conv, zeros(5, 5), zeros(6, 5))
    refused(ValueError, "stride", chanconv.plane_conv, zeros(5, 5), zeros(3, 3), (0, 1))
    refused(ValueError, "x", chanconv.plane_conv, X, zeros(3, 3))


def test_H16_long_kernel():
    refused(ValueError, "kernel", chanconv.plane_conv, zeros(300, 300), zeros(1, 700000))
