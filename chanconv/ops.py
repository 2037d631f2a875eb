# SPDX-License-Identifier: BSD-3-Clause
"""Convolution, its gradients, its transpose, im2col and col2im: the functions of the public API.

Each brings its arguments into form (`chanconv.geometry` for scalars and shapes, `chanconv.arrays` for arrays) and hands
them to one pass of the C library. User code that an argument may run (``__index__``, ``__array__``) has run before the
first shape is read.

Letters: N images, H W height and width of x, C channels of x; KH KW height and width of a kernel, K kernels (channels
of the result); OH OW height and width of the result. ``conv`` and its relatives take an image (H, W, C) or a batch
(N, H, W, C), with kernels (KH, KW, C // groups, K) or one kernel (KH, KW, C) whose result has no channel axis.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from chanconv import _chanconv, activations, geometry, trace
from chanconv.arrays import COMPUTED_IN, FLOAT32, by_dtype, check_out, common, deliver, place
from chanconv.config import strict
from chanconv.explanation import Explanation
from chanconv.geometry import IMAGES, PLANES

_GRAD_KERNEL_PER_SAMPLE = by_dtype(_chanconv.conv_grad_kernel_per_sample)
_GRAD_BIAS = by_dtype(_chanconv.conv_grad_bias)
_IM2COL = by_dtype(_chanconv.im2col)
_COL2IM = by_dtype(_chanconv.col2im)

_X_KERNEL = ("x", "kernel")
_X_KERNEL_BIAS = ("x", "kernel", "bias")
_GRAD_X_KERNEL = ("grad_output", "x", "kernel")


class ConvGradients(NamedTuple):
    """Gradients of a convolution; None for one that was not asked for.

    Attributes
    ----------
    x, kernel, bias : numpy.ndarray or None
        Each of the shape of what it is the gradient of.
    """

    x: np.ndarray | None = None
    kernel: np.ndarray | None = None
    bias: np.ndarray | None = None


# ---- What several functions share -----------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _named_activation(name):
    return activations.get(name)


def _activation(activation):
    """(what a pass applies to its result itself, what is to be applied to it afterwards); at least one is None."""
    if activation is None:
        return None, None
    if isinstance(activation, str):
        activation = _named_activation(str(activation))
    if not isinstance(activation, activations.Activation):
        raise TypeError(f"activation: expected a name or an Activation, got {type(activation).__name__}")
    return (activation.fused, None) if activation.fused else (None, activation)


def _x_kernel_bias(x, kernel, bias):
    """The common dtype and the three arrays; bias may be None."""
    if bias is None:
        dtype, arrays = common(_X_KERNEL, (x, kernel))
        return dtype, *arrays, None
    dtype, arrays = common(_X_KERNEL_BIAS, (x, kernel, bias))
    return dtype, *arrays


def _as_key(activation):
    if activation is None or type(activation) is str:
        return activation
    fused, after = _activation(activation)
    return fused or after


def _biased(by, key, problem, shape, dtype, x, kernel, bias, activation, out):
    """A pass with bias and activation; one that the pass does not know is applied to its result."""
    fused, after = _activation(activation)
    if bias is not None:
        problem.check_bias(bias.shape)
    arrays = (x, kernel, bias)
    if after is None:
        return _run(by, key, dtype, problem.convolution, shape, arrays, out, fused)
    computed = COMPUTED_IN[dtype]
    y = after.forward(deliver(by[computed], problem.convolution, shape, computed, arrays))
    if out is None:
        return y.astype(dtype, copy=False)
    check_out(out, y.shape, dtype)
    return place(y, out)


def _named(names, find, *arguments):
    """``find(*arguments)`` for arrays that the caller knows by other arguments: a ValueError speaks of these.

    `names`: of x or kernel, the argument's name and its value.
    """
    try:
        return find(*arguments)
    except ValueError as error:
        argument, _, text = str(error).partition(": ")
        values = ", ".join(f"{name} {value}" for name, value in names.values())
        raise ValueError(f"{names.get(argument, (argument,))[0]}: {text} ({values})") from None


# ---- Passes, and calls that come again ------------------------------------------------------------------------------


class _Pass:
    """A pass of the C library: its functions, indexed by dtype, and calls of it that may come again.

    For ordinary arrays all but the values follows from shapes, dtype and options. What a call with these did is kept for
    the next one: that costs one to two microseconds less, which is half of a small convolution.
    """

    def __init__(self, what, function):
        self._functions = by_dtype(function)
        self.calls = _chanconv.Calls(what)

    def __getitem__(self, dtype):
        return self._functions[dtype]


_FORWARD = _Pass("forward", _chanconv.conv_forward)
_GRAD_X = _Pass("grad_x", _chanconv.conv_grad_x)
_GRAD_KERNEL = _Pass("grad_kernel", _chanconv.conv_grad_kernel)
_TRANSPOSE = _Pass("transpose", _chanconv.conv_transpose)


def _run(by, key, dtype, convolution, shape, arrays, out=None, *options):
    """Runs a pass, a `_Pass` or a layer's `KeptKernel`, and keeps the call under `key`.

    Not where arrays are converted, nor where a line is to be written for each call.
    """
    result = deliver(by[COMPUTED_IN[dtype]], convolution, shape, dtype, arrays, out, *options)
    if arrays[0].dtype is dtype is COMPUTED_IN[dtype] and not trace.ENABLED:
        by.calls.keep(key, convolution, shape, arrays, *options)
    return result


def _gradient(by, given, dtype, convolution, shape, arrays):
    """A gradient of `shape`, from arrays of which one may be of another type than their common one."""
    key = given, strict(), shape
    known = by.calls.again(key, *arrays) if arrays[0].dtype is dtype else None
    return _run(by, key, dtype, convolution, shape, arrays) if known is None else known


def _gradients(wanted, given, dtype, problem, grad_output, x, kernel):
    """The gradients of the convolution of x with kernel."""
    convolution, found = problem.convolution, {}
    if "x" in wanted:
        found["x"] = _gradient(_GRAD_X, given, dtype, convolution, problem.x_shape, (grad_output, kernel))
    if "kernel" in wanted:
        found["kernel"] = _gradient(_GRAD_KERNEL, given, dtype, convolution, problem.kernel_shape, (grad_output, x))
    if "bias" in wanted:
        function, shape = _GRAD_BIAS[COMPUTED_IN[dtype]], problem.bias_shape
        found["bias"] = deliver(function, convolution, shape, dtype, (grad_output,))
    return ConvGradients(**found)


# ---- Planes ---------------------------------------------------------------------------------------------------------


def plane_conv(x, kernel, stride=1, *, padding=0, dilation=1, padding_mode="zeros", algorithm="auto", out=None):
    """Convolution of planes, images of one channel, with one kernel.

    ``y[i, j] = sum over r, s of padded_x[i * stride + r * dilation, j * stride + s * dilation] * kernel[r, s]``

    Parameters
    ----------
    x : array_like, (H, W) or (N, H, W)
        float32, float64 or float16, or of integers beside a kernel of these.
    kernel : array_like, (KH, KW)
    stride, dilation : int or (int, int), optional
        Steps between outputs and between taps, vertical and horizontal; at least 1.
    padding : int, (int, int), ((int, int), (int, int)), "valid", "same" or "same_lower", optional
        Rows and columns around x: one number, (vertical, horizontal), ((top, bottom), (left, right)), or a name:
        "valid" for none, "same" for an output of ``ceil(H / stride)`` rows, an odd row or column at the bottom or
        right, "same_lower" with it at the top or left.
    padding_mode : {"zeros", "reflect", "replicate", "circular", "symmetric"}, optional
    algorithm : {"auto", "gemm", "direct", "winograd", "fft", "im2col"}, optional
        "auto" takes "fft" for large kernels, as `explain` says: its usual error is 0.1 to 0.4 times that of the direct
        sum for 31x31 taps and more, but small beside the largest values around, not beside each sum.
    out : numpy.ndarray, optional
        Takes the result: of its shape and dtype, writable. It may have any strides and overlap an input.

    Returns
    -------
    numpy.ndarray, (OH, OW) or (N, OH, OW)
        ``OH = (H + top + bottom - dilation * (KH - 1) - 1) // stride + 1``; `out` if given, else a new array. Its dtype
        is the common one of x and kernel.

    Raises
    ------
    TypeError, ValueError
        An argument of a wrong type, shape or value; the message names it.
    MemoryError
        The result, or what the algorithm needs besides, does not fit into memory.

    Examples
    --------
    >>> x = np.arange(9.0).reshape(3, 3)
    >>> plane_conv(x, [[1.0, 0.0], [0.0, -1.0]])
    array([[-4., -4.],
           [-4., -4.]])
    """
    given = geometry.options(stride, padding, dilation, 1, padding_mode, algorithm)
    key = given, strict(), None
    y = _FORWARD.calls.again(key, x, kernel, None, out)
    if y is not None:
        return y
    dtype, (x, kernel) = common(_X_KERNEL, (x, kernel))
    problem = geometry.problem(PLANES, dtype, x.shape, kernel.shape, given, strict())
    return _run(_FORWARD, key, dtype, problem.convolution, problem.y_shape, (x, kernel, None), out)


def plane_conv_backward(
    grad_output,
    x,
    kernel,
    stride=1,
    *,
    padding=0,
    dilation=1,
    padding_mode="zeros",
    algorithm="auto",
    wrt=("x", "kernel"),
):
    """Gradients of `plane_conv`.

    ``grad_x[i, j]`` is the sum of ``grad_output[oh, ow] * kernel[r, s]`` over the pairs that see x[i, j];
    ``grad_kernel[r, s]`` the sum of ``grad_output[oh, ow]`` times what the tap (r, s) sees there.

    Parameters
    ----------
    grad_output : array_like, (OH, OW) or (N, OH, OW)
        Gradient of a scalar, the loss, with respect to the result of `plane_conv`.
    x, kernel, stride, padding, dilation, padding_mode, algorithm
        As given to `plane_conv`.
    wrt : str or iterable of str, optional
        What gradients are wanted of: "x", "kernel" or both.

    Returns
    -------
    ConvGradients
        x of the shape of x, kernel (KH, KW) summed over the planes; bias is None, as is what `wrt` does not name.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `plane_conv`.

    Examples
    --------
    >>> gradients = plane_conv_backward(np.ones((2, 2)), np.arange(9.0).reshape(3, 3), np.ones((2, 2)))
    >>> gradients.x
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    >>> gradients.kernel
    array([[ 8., 12.],
           [20., 24.]])
    """
    wanted = geometry.wanted(wrt, ("x", "kernel"))
    given = geometry.options(stride, padding, dilation, 1, padding_mode, algorithm)
    dtype, (grad_output, x, kernel) = common(_GRAD_X_KERNEL, (grad_output, x, kernel))
    problem = geometry.problem(PLANES, dtype, x.shape, kernel.shape, given, strict())
    problem.check_grad_output(grad_output.shape)
    return _gradients(wanted, given, dtype, problem, grad_output, x, kernel)


# ---- Images ---------------------------------------------------------------------------------------------------------


def conv(
    x,
    kernel,
    stride=1,
    *,
    padding=0,
    dilation=1,
    groups=1,
    bias=None,
    activation=None,
    padding_mode="zeros",
    algorithm="auto",
    out=None,
):
    """Convolution of images with many channels: the sum over channels of plane convolutions, for every kernel.

    ``y[..., k] = activation(bias[k] + sum over c of plane_conv(x[..., c], kernel[..., c, k]))``

    It is the cross-correlation that deep learning calls a convolution: the kernel is not flipped.

    Parameters
    ----------
    x : array_like, (H, W, C) or (N, H, W, C)
        float32, float64 or float16, or of integers beside a kernel of these.
    kernel : array_like, (KH, KW, C // groups, K) or (KH, KW, C)
        K kernels, or one, whose result has no channel axis.
    stride, dilation : int or (int, int), optional
        Steps between outputs and between taps, vertical and horizontal; at least 1.
    padding : int, (int, int), ((int, int), (int, int)), "valid", "same" or "same_lower", optional
        Rows and columns around x: one number, (vertical, horizontal), ((top, bottom), (left, right)), or a name:
        "valid" for none, "same" for an output of ``ceil(H / stride)`` rows, an odd row or column at the bottom or
        right, "same_lower" with it at the top or left.
    groups : int, optional
        The channels of x and the kernels fall into as many groups; a kernel sees the channels of its own. A divisor of
        C and of K.
    bias : array_like, (K,), or a scalar for one kernel, optional
    activation : str or Activation, optional
        Applied to the result: a name from `chanconv.activations`, or what `chanconv.activations.get` gives.
    padding_mode : {"zeros", "reflect", "replicate", "circular", "symmetric"}, optional
    algorithm : {"auto", "gemm", "direct", "winograd", "fft", "im2col"}, optional
        `explain` tells what "auto" takes. "fft" is for channels one by one (``groups == C == K``) and large kernels:
        its usual error is 0.1 to 0.4 times that of the direct sum for 31x31 taps and more, up to 1.4 times for 9x9,
        but small beside the largest values around, not beside each sum (docs/accuracy.md).
    out : numpy.ndarray, optional
        Takes the result: of its shape and dtype, writable. It may have any strides and overlap an input.

    Returns
    -------
    numpy.ndarray, (OH, OW, K) or (N, OH, OW, K), without K for one kernel
        ``OH = (H + top + bottom - dilation * (KH - 1) - 1) // stride + 1``; `out` if given, else a new array. Its dtype
        is the common one of the array arguments; float16 is computed in float32 and rounded once.

    Raises
    ------
    TypeError, ValueError
        An argument of a wrong type, shape or value; the message names it.
    MemoryError
        The result, or what the algorithm needs besides, does not fit into memory.

    See Also
    --------
    conv_backward, conv_transpose, explain

    Examples
    --------
    >>> x = np.ones((4, 4, 3), np.float32)
    >>> kernel = np.ones((3, 3, 3, 2), np.float32)
    >>> y = conv(x, kernel, bias=np.array([0, -30], np.float32), activation="relu")
    >>> y.shape
    (2, 2, 2)
    >>> y[0, 0]
    array([27.,  0.], dtype=float32)
    """
    given = geometry.options(stride, padding, dilation, groups, padding_mode, algorithm)
    return _conv(_FORWARD, given, x, kernel, bias, activation, out)


def _conv(by, given, x, kernel, bias, activation, out=None):
    key = given, strict(), _as_key(activation)
    y = by.calls.again(key, x, kernel, bias, out)
    if y is not None:
        return y
    dtype, x, kernel, bias = _x_kernel_bias(x, kernel, bias)
    problem = geometry.problem(IMAGES, dtype, x.shape, kernel.shape, given, strict())
    return _biased(by, key, problem, problem.y_shape, dtype, x, kernel, bias, activation, out)


def kept_conv(kept, x, kernel, bias, activation, *, stride, padding, dilation, groups, padding_mode):
    """`conv` with a kernel that a layer keeps, a `KeptKernel("forward")`."""
    given = geometry.options(stride, padding, dilation, groups, padding_mode, "auto")
    return _conv(kept, given, x, kernel, bias, activation)


def conv_backward(
    grad_output,
    x,
    kernel,
    stride=1,
    *,
    padding=0,
    dilation=1,
    groups=1,
    padding_mode="zeros",
    algorithm="auto",
    wrt=("x", "kernel", "bias"),
):
    """Gradients of `conv`, without its activation.

    With an activation, `grad_output` is what the activation's backward gives.

    Parameters
    ----------
    grad_output : array_like, (OH, OW, K) or (N, OH, OW, K), without K for one kernel
        Gradient of a scalar, the loss, with respect to the result of `conv`.
    x, kernel, stride, padding, dilation, groups, padding_mode, algorithm
        As given to `conv`.
    wrt : str or iterable of str, optional
        What gradients are wanted of: any of "x", "kernel" and "bias".

    Returns
    -------
    ConvGradients
        Each of the shape of what it is the gradient of, (K,) for the bias or () for one kernel; summed over the batch
        but for x. What `wrt` does not name is None.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `conv`.

    Examples
    --------
    >>> x, kernel = np.ones((4, 4, 3)), np.ones((3, 3, 3, 2))
    >>> gradients = conv_backward(np.ones((2, 2, 2)), x, kernel, wrt=("kernel", "bias"))
    >>> gradients.kernel.shape, gradients.bias, gradients.x
    ((3, 3, 3, 2), array([4., 4.]), None)
    """
    wanted = geometry.wanted(wrt, ("x", "kernel", "bias"))
    given = geometry.options(stride, padding, dilation, groups, padding_mode, algorithm)
    dtype, (grad_output, x, kernel) = common(_GRAD_X_KERNEL, (grad_output, x, kernel))
    problem = geometry.problem(IMAGES, dtype, x.shape, kernel.shape, given, strict())
    problem.check_grad_output(grad_output.shape)
    return _gradients(wanted, given, dtype, problem, grad_output, x, kernel)


def conv_grad_x(
    grad_output,
    kernel,
    x_shape,
    stride=1,
    *,
    padding=0,
    dilation=1,
    groups=1,
    padding_mode="zeros",
    algorithm="auto",
    out=None,
):
    """Gradient of `conv` with respect to x.

    ``grad_x[i, j, c]`` is the sum of ``grad_output[oh, ow, k] * kernel[r, s, c, k]`` over the taps that see x[i, j, c].

    Parameters
    ----------
    grad_output : array_like, (OH, OW, K) or (N, OH, OW, K), without K for one kernel
        Gradient of the loss with respect to the result of `conv`.
    kernel : array_like, (KH, KW, C // groups, K) or (KH, KW, C)
    x_shape : tuple of int, (H, W, C) or (N, H, W, C)
        The shape of x: a stride makes several sizes of x have results of one size.
    stride, padding, dilation, groups, padding_mode, algorithm
        As given to `conv`.
    out : numpy.ndarray, optional
        Takes the result.

    Returns
    -------
    numpy.ndarray of shape `x_shape`

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `conv`.

    Examples
    --------
    >>> conv_grad_x(np.ones((1, 1, 2)), np.ones((2, 2, 3, 2)), (2, 2, 3))[0, 0]
    array([2., 2., 2.])
    """
    given = geometry.options(stride, padding, dilation, groups, padding_mode, algorithm)
    x_shape = geometry.shape("x_shape", x_shape)
    key = given, strict(), x_shape
    grad_x = _GRAD_X.calls.again(key, grad_output, kernel, None, out)
    if grad_x is not None:
        return grad_x
    dtype, (grad_output, kernel) = common(("grad_output", "kernel"), (grad_output, kernel))
    names = {"x": ("x_shape", x_shape)}
    problem = _named(names, geometry.problem, IMAGES, dtype, x_shape, kernel.shape, given, strict())
    problem.check_grad_output(grad_output.shape)
    return _run(_GRAD_X, key, dtype, problem.convolution, x_shape, (grad_output, kernel), out)


def conv_grad_kernel(
    grad_output,
    x,
    kernel_shape,
    stride=1,
    *,
    padding=0,
    dilation=1,
    groups=1,
    padding_mode="zeros",
    algorithm="auto",
    per_sample=False,
    out=None,
):
    """Gradient of `conv` with respect to the kernel.

    ``grad_kernel[r, s, c, k]`` is the sum over images, oh and ow of ``grad_output[oh, ow, k]`` times the value of x
    that the tap (r, s, c) sees there.

    Parameters
    ----------
    grad_output : array_like, (OH, OW, K) or (N, OH, OW, K), without K for one kernel
        Gradient of the loss with respect to the result of `conv`.
    x : array_like, (H, W, C) or (N, H, W, C)
    kernel_shape : tuple of int, (KH, KW, C // groups, K) or (KH, KW, C)
    stride, padding, dilation, groups, padding_mode, algorithm
        As given to `conv`.
    per_sample : bool, optional
        One gradient for each image instead of their sum.
    out : numpy.ndarray, optional
        Takes the result.

    Returns
    -------
    numpy.ndarray of shape `kernel_shape`, with N in front if `per_sample` is true and x is a batch

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `conv`.

    Examples
    --------
    >>> x, grad_output = np.ones((5, 4, 4, 1)), np.ones((5, 2, 2, 1))
    >>> conv_grad_kernel(grad_output, x, (3, 3, 1, 1))[0, 0]
    array([[20.]])
    >>> conv_grad_kernel(grad_output, x, (3, 3, 1, 1), per_sample=True).shape
    (5, 3, 3, 1, 1)
    """
    given = geometry.options(stride, padding, dilation, groups, padding_mode, algorithm)
    kernel_shape = geometry.shape("kernel_shape", kernel_shape)
    key = given, strict(), kernel_shape
    grad_kernel = None if per_sample else _GRAD_KERNEL.calls.again(key, grad_output, x, None, out)
    if grad_kernel is not None:
        return grad_kernel
    dtype, (grad_output, x) = common(("grad_output", "x"), (grad_output, x))
    names = {"kernel": ("kernel_shape", kernel_shape)}
    problem = _named(names, geometry.problem, IMAGES, dtype, x.shape, kernel_shape, given, strict())
    problem.check_grad_output(grad_output.shape)
    if not per_sample:
        return _run(_GRAD_KERNEL, key, dtype, problem.convolution, kernel_shape, (grad_output, x), out)
    function, shape = _GRAD_KERNEL_PER_SAMPLE[COMPUTED_IN[dtype]], (*x.shape[:-3], *kernel_shape)
    return deliver(function, problem.convolution, shape, dtype, (grad_output, x), out)


# ---- The transpose --------------------------------------------------------------------------------------------------


def conv_transpose(
    x, kernel, stride=1, *, padding=0, output_padding=0, dilation=1, groups=1, bias=None, activation=None, out=None
):
    """Transposed convolution: the gradient of `conv` with respect to its x, used forwards.

    Every pixel of x adds ``x[i, j, c] * kernel[..., c]`` to the result from row ``i * stride - top`` and column
    ``j * stride - left`` on; then come bias and activation.

    Parameters
    ----------
    x : array_like, (H, W, C) or (N, H, W, C)
    kernel : array_like, (KH, KW, K // groups, C)
        The kernel of the convolution that this one transposes, from K channels to C.
    stride, padding, dilation, groups
        Those of that convolution, as in `conv`.
    output_padding : int or (int, int), optional
        Rows and columns to add at the bottom and right: which of the sizes that the convolution maps to the size of x
        is meant. Less than the larger of stride and dilation.
    bias : array_like, (K,), optional
    activation : str or Activation, optional
    out : numpy.ndarray, optional
        Takes the result.

    Returns
    -------
    numpy.ndarray, (OH, OW, K) or (N, OH, OW, K)
        ``OH = (H - 1) * stride - top - bottom + dilation * (KH - 1) + output_padding + 1``, or ``H * stride`` if the
        padding is "same".

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `conv`.

    Examples
    --------
    >>> x = np.array([[[1.0], [2.0]]])
    >>> conv_transpose(x, np.ones((1, 2, 1, 1)), stride=(1, 2))[..., 0]
    array([[1., 1., 2., 2.]])
    """
    given, extra = geometry.options(stride, padding, dilation, groups), geometry.pair("output_padding", output_padding)
    return _conv_transpose(_TRANSPOSE, given, extra, x, kernel, bias, activation, out)


def _conv_transpose(by, given, extra, x, kernel, bias, activation, out=None):
    key = given, strict(), extra, _as_key(activation)
    y = by.calls.again(key, x, kernel, bias, out)
    if y is not None:
        return y
    dtype, x, kernel, bias = _x_kernel_bias(x, kernel, bias)
    problem = geometry.transposed_problem(dtype, x.shape, kernel.shape, extra, given, strict())
    return _biased(by, key, problem, problem.x_shape, dtype, x, kernel, bias, activation, out)


def kept_conv_transpose(kept, x, kernel, bias, activation, *, stride, padding, output_padding, dilation, groups):
    """`conv_transpose` with a kernel that a layer keeps, a `KeptKernel("grad_x")`."""
    given, extra = geometry.options(stride, padding, dilation, groups), geometry.pair("output_padding", output_padding)
    return _conv_transpose(kept, given, extra, x, kernel, bias, activation)


def conv_transpose_backward(
    grad_output,
    x,
    kernel,
    stride=1,
    *,
    padding=0,
    output_padding=0,
    dilation=1,
    groups=1,
    wrt=("x", "kernel", "bias"),
):
    """Gradients of `conv_transpose`, without its activation.

    That of x is the convolution of `grad_output` with the kernel; that of the kernel is `conv_grad_kernel` with x and
    `grad_output` in exchanged roles.

    Parameters
    ----------
    grad_output : array_like, (OH, OW, K) or (N, OH, OW, K)
        Gradient of the loss with respect to the result of `conv_transpose`.
    x, kernel, stride, padding, output_padding, dilation, groups
        As given to `conv_transpose`.
    wrt : str or iterable of str, optional
        What gradients are wanted of: any of "x", "kernel" and "bias".

    Returns
    -------
    ConvGradients

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `conv`.

    Examples
    --------
    >>> x = np.array([[[1.0], [2.0]]])
    >>> gradients = conv_transpose_backward(np.ones((1, 4, 1)), x, np.ones((1, 2, 1, 1)), stride=(1, 2))
    >>> gradients.x[..., 0], gradients.bias
    (array([[2., 2.]]), array([4.]))
    """
    wanted = geometry.wanted(wrt, ("x", "kernel", "bias"))
    given = geometry.options(stride, padding, dilation, groups)
    extra = geometry.pair("output_padding", output_padding)
    dtype, (grad_output, x, kernel) = common(_GRAD_X_KERNEL, (grad_output, x, kernel))
    problem = geometry.transposed_problem(dtype, x.shape, kernel.shape, extra, given, strict())
    if grad_output.shape != problem.x_shape:
        raise ValueError(f"grad_output: expected shape {problem.x_shape}, got {grad_output.shape}")
    return _transposed_gradients(wanted, dtype, problem, grad_output, x, kernel)


def _transposed_gradients(wanted, dtype, problem, grad_output, x, kernel):
    convolution, computed = problem.convolution, COMPUTED_IN[dtype]
    found = {}
    if "x" in wanted:
        found["x"] = deliver(_FORWARD[computed], convolution, x.shape, dtype, (grad_output, kernel, None))
    if "kernel" in wanted:
        found["kernel"] = deliver(_GRAD_KERNEL[computed], convolution, kernel.shape, dtype, (x, grad_output))
    if "bias" in wanted:
        total = geometry.sum_problem(dtype, convolution.x_shape, *problem.bias_shape)
        found["bias"] = deliver(_GRAD_BIAS[computed], total, problem.bias_shape, dtype, (grad_output,))
    return ConvGradients(**found)


# ---- im2col ---------------------------------------------------------------------------------------------------------


def im2col(x, kernel_size, stride=1, *, padding=0, dilation=1, padding_mode="zeros", out=None):
    """The values that every output of a convolution sees, a row each.

    ``im2col(x, (KH, KW)) @ kernel.reshape(-1, K)`` is the convolution, with its rows and columns in one axis.

    Parameters
    ----------
    x : array_like, (H, W), (H, W, C) or (N, H, W, C)
    kernel_size : int or (int, int)
    stride, padding, dilation, padding_mode
        As in `conv`.
    out : numpy.ndarray, optional
        Takes the result.

    Returns
    -------
    numpy.ndarray, (OH * OW, KH * KW * C) or (N, OH * OW, KH * KW * C)
        Columns in the order (KH, KW, C); for a plane (H, W) without C.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `conv`.

    Examples
    --------
    >>> im2col(np.arange(9.0).reshape(3, 3), 2)
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]])
    """
    taps = geometry.pair("kernel_size", kernel_size)
    given = geometry.options(stride, padding, dilation, 1, padding_mode)
    dtype, (x,) = common(("x",), (x,))
    names = {"kernel": ("kernel_size", taps)}
    problem = _named(names, geometry.columns_problem, dtype, x.shape, taps, given)
    return deliver(_IM2COL[COMPUTED_IN[dtype]], problem.convolution, problem.y_shape, dtype, (x,), out)


def col2im(columns, x_shape, kernel_size, stride=1, *, padding=0, dilation=1, padding_mode="zeros", out=None):
    """The adjoint of `im2col`: every value is added to the cell of x that im2col copies it from.

    Parameters
    ----------
    columns : array_like, (OH * OW, KH * KW * C) or (N, OH * OW, KH * KW * C)
    x_shape : tuple of int, (H, W), (H, W, C) or (N, H, W, C)
    kernel_size, stride, padding, dilation, padding_mode
        As in `im2col`.
    out : numpy.ndarray, optional
        Takes the result.

    Returns
    -------
    numpy.ndarray of shape `x_shape`

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `conv`.

    Examples
    --------
    How many windows see each cell:

    >>> col2im(np.ones((4, 4)), (3, 3), 2)
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    taps = geometry.pair("kernel_size", kernel_size)
    given = geometry.options(stride, padding, dilation, 1, padding_mode)
    x_shape = geometry.shape("x_shape", x_shape)
    dtype, (columns,) = common(("columns",), (columns,))
    names = {"x": ("x_shape", x_shape), "kernel": ("kernel_size", taps)}
    problem = _named(names, geometry.columns_problem, dtype, x_shape, taps, given)
    if columns.shape != problem.y_shape:
        raise ValueError(f"columns: expected shape {problem.y_shape} for x_shape {x_shape}, got {columns.shape}")
    return deliver(_COL2IM[COMPUTED_IN[dtype]], problem.convolution, x_shape, dtype, (columns,), out)


# ---- Questions ------------------------------------------------------------------------------------------------------


def _problem_of_shapes(dtype, x_shape, kernel_shape, given):
    """The problem of `conv`, or with a kernel (KH, KW) of `plane_conv`, for shapes given as arguments."""
    x_shape = geometry.shape("x_shape", x_shape)
    kernel_shape = geometry.shape("kernel_shape", kernel_shape)
    names = {"x": ("x_shape", x_shape), "kernel": ("kernel_shape", kernel_shape)}
    form = PLANES if len(kernel_shape) == 2 else IMAGES
    return _named(names, geometry.problem, form, dtype, x_shape, kernel_shape, given, strict())


def conv_output_shape(x_shape, kernel_shape, stride=1, *, padding=0, dilation=1, groups=1):
    """The shape of the result of `conv`, or with a kernel (KH, KW) of `plane_conv`.

    Parameters
    ----------
    x_shape, kernel_shape : tuple of int
    stride, padding, dilation, groups
        As in `conv`.

    Returns
    -------
    tuple of int

    Raises
    ------
    TypeError, ValueError
        As `conv` does for arrays of these shapes.

    Examples
    --------
    >>> conv_output_shape((32, 224, 224, 3), (7, 7, 3, 64), stride=2, padding=3)
    (32, 112, 112, 64)
    """
    given = geometry.options(stride, padding, dilation, groups)
    return _problem_of_shapes(FLOAT32, x_shape, kernel_shape, given).y_shape


def explain(
    x_shape,
    kernel_shape,
    stride=1,
    *,
    padding=0,
    dilation=1,
    groups=1,
    padding_mode="zeros",
    algorithm="auto",
    dtype="float32",
    what="forward",
):
    """How a pass of `conv`, or with a kernel (KH, KW) of `plane_conv`, would be computed.

    Parameters
    ----------
    x_shape, kernel_shape : tuple of int
    stride, padding, dilation, groups, padding_mode, algorithm
        As in `conv`.
    dtype : dtype_like, optional
    what : {"forward", "grad_x", "grad_kernel"}, optional

    Returns
    -------
    Explanation
        Its attributes are `algorithm`, `declined` (why not the others, by name), `isa`, `tile`, `threads`, `flops`,
        `bytes`, `workspace_bytes`, `bound_cycles` (that the machine needs at least for the direct sum) and `bound`
        (what limits it), and the question: `what`, `dtype`, `x_shape`, `kernel_shape`, `y_shape`.

    Raises
    ------
    TypeError, ValueError
        As `conv` does for arrays of these shapes.

    Examples
    --------
    >>> explain((56, 56, 64), (3, 3, 64, 64), padding=1, algorithm="gemm").algorithm
    'gemm'
    """
    given = geometry.options(stride, padding, dilation, groups, padding_mode, algorithm)
    what = geometry.name_of("what", what, _chanconv.PASSES)
    dtype = np.dtype(dtype).newbyteorder("=")
    if dtype not in COMPUTED_IN:
        raise TypeError(f"dtype: expected float32, float64 or float16, got {dtype}")
    problem = _problem_of_shapes(dtype, x_shape, kernel_shape, given)
    return Explanation(
        what=what,
        dtype=str(dtype),
        x_shape=problem.x_shape,
        kernel_shape=problem.kernel_shape,
        y_shape=problem.y_shape,
        isa=_chanconv.isa(),
        **problem.convolution.plan(what),
    )
