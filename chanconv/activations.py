# SPDX-License-Identifier: BSD-3-Clause
"""Activations and their gradients.

For every activation there is a function ``name(x)`` and its gradient ``name_backward(grad_output, x)``: the gradient of
a loss with respect to x, the activation's input, from the gradient with respect to its output. `get` makes an
`Activation` of a name and parameters, which `chanconv.conv` applies to its result in the same pass.

Formulas, names and defaults are PyTorch's. Values are within 4 units in the last place of the exact ones, for very
negative arguments too, where ``0.5 * x * (1 + erf(x / sqrt(2)))`` and its like have no digit left. NaN gives NaN, in
the gradients too. Where a function is cut off or saturates the gradient is 0, at the very kink too; `leaky_relu`,
`prelu`, `elu`, `selu` and `celu` have at 0 the gradient of their negative side, `hard_silu` at 3 that of its right side.

Parameters are numbers of the dtype that is computed in: what it cannot hold is a ValueError, and so is NaN. Limits,
thresholds and replacements may be infinite; factors (``negative_slope``, ``alpha``, ``beta``) may not.

>>> import numpy as np
>>> from chanconv import activations
>>> activations.relu(np.array([-1.0, 0.5]))
array([0. , 0.5])
>>> activations.get("leaky_relu", negative_slope=0.1).backward(np.ones(2), np.array([-1.0, 0.5]))
array([0.1, 1. ])
"""

import inspect
from functools import cache
from math import isfinite, prod
from numbers import Real
from operator import index
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from chanconv import _chanconv, trace
from chanconv.arrays import COMPUTED_IN, by_dtype, check_out, common, empty, flat, place

_FORWARD = by_dtype(_chanconv.activation_forward)
_BACKWARD = by_dtype(_chanconv.activation_backward)
_PRELU_FORWARD = by_dtype(_chanconv.prelu_forward)
_PRELU_BACKWARD = by_dtype(_chanconv.prelu_backward)
_AXIS_FORWARD = by_dtype(_chanconv.axis_forward)
_AXIS_BACKWARD = by_dtype(_chanconv.axis_backward)

_X = ("x",)
_X_SLOPE = ("x", "slope")
_GRAD_X = ("grad_output", "x")
_GRAD_Y = ("grad_output", "y")
_GRAD_X_SLOPE = ("grad_output", "x", "slope")


class PReLUGradients(NamedTuple):
    """Gradients of `prelu`.

    Attributes
    ----------
    x, slope : numpy.ndarray
        Each of the shape of what it is the gradient of.
    """

    x: np.ndarray
    slope: np.ndarray


# ---- Arguments -------------------------------------------------------------------------------------------------------


def _number(name, value):
    if type(value) is float:  # at once: asking for a Real takes longer than relu of 1000 elements
        return value
    if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "iuf":
        value = value[()]
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}: expected a number that a float can hold, got {value}") from None


def _integer(name, value):
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected an int, got {type(value).__name__}")
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an int, got {type(value).__name__}") from None


def _approximation(name, value):
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected 'none' or 'tanh', got {type(value).__name__}")
    if value not in ("none", "tanh"):
        raise ValueError(f"{name}: expected 'none' or 'tanh', got {value!r}")
    return str(value)


_CHECKS = {"axis": _integer, "approximate": _approximation}  # the other parameters are numbers


def _checked(parameters):
    return {name: _CHECKS.get(name, _number)(name, value) for name, value in parameters.items()}


def _check_grad(grad_output, shape):
    if grad_output.shape != shape:
        raise ValueError(f"grad_output: expected shape {shape}, got {grad_output.shape}")


# ---- Results ---------------------------------------------------------------------------------------------------------


def _is_same(out, array):
    """Whether two arrays are the same elements in the same places."""
    return (
        out.__array_interface__["data"][0] == array.__array_interface__["data"][0]
        and (out.shape, out.strides, out.dtype) == (array.shape, array.strides, array.dtype)
    )


def _share_memory(out, array):
    if not np.may_share_memory(out, array):
        return False
    try:
        return np.shares_memory(out, array, max_work=10**6)
    except np.exceptions.TooHardError:
        return True


def _check_overlap(out, inputs, replaceable):
    """`out` may be one of the first `replaceable` inputs itself; apart from that it has memory of its own."""
    for i, array in enumerate(inputs):
        if out is array and i < replaceable:
            continue
        if _share_memory(out, array) and not (i < replaceable and _is_same(out, array)):
            raise ValueError("out: expected an input itself or memory of its own, got an array that overlaps an input")


def _run(passes, what, dtype, inputs, shape, out=None, replaceable=None):
    """The result of a pass, ``function(what, *flat inputs, flat result)``, in an array of `shape` and `dtype`."""
    computed = COMPUTED_IN[dtype]
    if out is not None:
        check_out(out, shape, dtype)
        _check_overlap(out, inputs, len(inputs) if replaceable is None else replaceable)
    direct = out is not None and out.dtype is computed and out.flags.carray and type(out) is np.ndarray
    result = out if direct else empty(shape, computed)
    passes[computed](what, *[flat(array, computed) for array in inputs], result.ravel())
    if direct:
        return out
    if out is not None:
        return place(result, out)
    return result if dtype == computed else result.astype(dtype)


# ---- Documentation ---------------------------------------------------------------------------------------------------

_PARAMETERS = {
    "x": "x : array_like\n    The activation's input: any shape; float32, float64, or float16 (computed in float32).",
    "grad_output": "grad_output : array_like\n    Gradient with respect to the activation's output, of its shape.",
    "out": "out : numpy.ndarray, optional\n    Where to put the result: `x` itself, or memory of its own.",
    "backward out": "out : numpy.ndarray, optional\n"
    "    Where to put the result: `grad_output` or `x` itself, or memory of its own.",
    "slope": "slope : array_like\n    Factor below 0: a scalar, or one value per channel (the last axis of `x`).",
    "negative_slope": "negative_slope : float, optional\n    Factor below 0.",
    "alpha": "alpha : float, optional\n    The limit at minus infinity is ``-alpha``.",
    "celu alpha": "alpha : float, optional\n    Not 0. The limit at minus infinity is ``-alpha``.",
    "approximate": 'approximate : {"none", "tanh"}, optional\n    The exact function, or the one with tanh.',
    "low": "low, high : float, optional\n    The limits, ``low <= high``.",
    "beta": "beta : float, optional\n    Not 0. The larger, the sharper the bend.",
    "softplus threshold": "threshold : float, optional\n    Where ``beta * x`` is above it, the result is `x`.",
    "threshold": "threshold : float, optional\n    What is at most that far from 0 becomes 0.",
    "threshold threshold": "threshold : float\n    What is not above it is replaced.",
    "value": "value : float\n    The replacement.",
    "axis": "axis : int, optional\n    The axis along which it is taken; negative ones count from the last.",
}


def _parameter_text(name, backward, parameter):
    if parameter == "out" and backward and name != "glu":
        return _PARAMETERS["backward out"]
    return _PARAMETERS.get(f"{name} {parameter}") or _PARAMETERS.get(parameter)


def _documented(function):
    """Adds the sections of numpydoc to a docstring of what is particular: summary, formula, references."""
    if not function.__doc__:  # python -OO
        return function
    name, backward = function.__name__.removesuffix("_backward"), function.__name__.endswith("_backward")
    body, *references = inspect.getdoc(function).split("\n\nSource: ")
    texts = [_parameter_text(name, backward, p) for p in inspect.signature(function).parameters]
    sections = [body, "Parameters\n----------\n" + "\n".join(filter(None, texts))]
    result = "PReLUGradients" if name == "prelu" and backward else "numpy.ndarray"
    about = "Of the shape of `x`" if name != "glu" or backward else "Half as long as `x` along the axis"
    sections.append(f"Returns\n-------\n{result}\n    {about}, and of the inputs' common dtype.")
    sections += [f"References\n----------\n{text}" for text in references]
    function.__doc__ = "\n\n".join(sections)
    return function


# ---- Elementwise -----------------------------------------------------------------------------------------------------


def _fused(kind, values):
    """What a pass can apply to its own result."""
    return _chanconv.Elementwise(kind.name, *map(_number, kind.parameters, values))


def _forward(kind, x, out, *values):
    activation = _fused(kind, values)
    dtype, (x,) = common(_X, (x,))
    return _run(_FORWARD, activation, dtype, (x,), x.shape, out)


def _backward(kind, grad_output, x, out, *values):
    activation = _fused(kind, values)
    dtype, (grad_output, x) = common(_GRAD_X, (grad_output, x))
    _check_grad(grad_output, x.shape)
    return _run(_BACKWARD, activation, dtype, (grad_output, x), x.shape, out)


_SHORT = not trace.ENABLED  # whether ordinary arrays take the short way to the C library
_KINDS: dict = {}  # by name


def _kind(name, *parameters):
    """An activation that takes the short way for arrays that need nothing done, and the two functions above for others."""
    _KINDS[name] = _chanconv.Kind(name, parameters, _forward, _backward, _SHORT)
    return _KINDS[name]


_IDENTITY = _kind("identity")
_RELU = _kind("relu")
_RELU6 = _kind("relu6")
_LEAKY_RELU = _kind("leaky_relu", "negative_slope")
_ELU = _kind("elu", "alpha")
_SELU = _kind("selu")
_CELU = _kind("celu", "alpha")
_GELU = _kind("gelu")
_GELU_TANH = _kind("gelu_tanh")
_SILU = _kind("silu")
_MISH = _kind("mish")
_SIGMOID = _kind("sigmoid")
_LOG_SIGMOID = _kind("log_sigmoid")
_HARD_SIGMOID = _kind("hard_sigmoid")
_HARD_SILU = _kind("hard_silu")
_TANH = _kind("tanh")
_HARD_TANH = _kind("hard_tanh", "low", "high")
_SOFTPLUS = _kind("softplus", "beta", "threshold")
_SOFTSIGN = _kind("softsign")
_SOFTSHRINK = _kind("softshrink", "threshold")
_HARDSHRINK = _kind("hardshrink", "threshold")
_TANHSHRINK = _kind("tanhshrink")
_THRESHOLD = _kind("threshold", "threshold", "value")


def _gelu(approximate):
    return _GELU if _approximation("approximate", approximate) == "none" else _GELU_TANH


@_documented
def identity(x, *, out=None):
    """x itself."""
    return _IDENTITY.forward(x, out)


@_documented
def identity_backward(grad_output, x, *, out=None):
    """Gradient of `identity`: ``grad_output`` itself."""
    return _IDENTITY.backward(grad_output, x, out)


@_documented
def relu(x, *, out=None):
    """Rectified linear unit: ``max(x, 0)``.

    Source: Nair and Hinton, Rectified linear units improve restricted Boltzmann machines, 2010.
    """
    return _RELU.forward(x, out)


@_documented
def relu_backward(grad_output, x, *, out=None):
    """Gradient of `relu`: ``grad_output`` where ``x > 0``, else 0."""
    return _RELU.backward(grad_output, x, out)


@_documented
def relu6(x, *, out=None):
    """Rectified linear unit with a lid: ``min(max(x, 0), 6)``.

    Source: Howard et al., MobileNets, 2017, arXiv:1704.04861.
    """
    return _RELU6.forward(x, out)


@_documented
def relu6_backward(grad_output, x, *, out=None):
    """Gradient of `relu6`: ``grad_output`` where ``0 < x < 6``, else 0."""
    return _RELU6.backward(grad_output, x, out)


@_documented
def leaky_relu(x, negative_slope=0.01, *, out=None):
    """``x`` where ``x > 0``, else ``negative_slope * x``.

    Source: Maas et al., Rectifier nonlinearities improve neural network acoustic models, 2013.
    """
    return _LEAKY_RELU.forward(x, out, negative_slope)


@_documented
def leaky_relu_backward(grad_output, x, negative_slope=0.01, *, out=None):
    """Gradient of `leaky_relu`: ``grad_output`` where ``x > 0``, else ``grad_output * negative_slope``."""
    return _LEAKY_RELU.backward(grad_output, x, out, negative_slope)


@_documented
def elu(x, alpha=1.0, *, out=None):
    """Exponential linear unit: ``x`` where ``x > 0``, else ``alpha * (exp(x) - 1)``.

    Source: Clevert et al., 2016, arXiv:1511.07289.
    """
    return _ELU.forward(x, out, alpha)


@_documented
def elu_backward(grad_output, x, alpha=1.0, *, out=None):
    """Gradient of `elu`: ``grad_output`` where ``x > 0``, else ``grad_output * alpha * exp(x)``."""
    return _ELU.backward(grad_output, x, out, alpha)


@_documented
def selu(x, *, out=None):
    """Self-normalizing `elu`: ``scale * elu(x, alpha)``, scale 1.0507009873554805, alpha 1.6732632423543772.

    Source: Klambauer et al., 2017, arXiv:1706.02515.
    """
    return _SELU.forward(x, out)


@_documented
def selu_backward(grad_output, x, *, out=None):
    """Gradient of `selu`: ``grad_output * scale`` where ``x > 0``, else ``grad_output * scale * alpha * exp(x)``."""
    return _SELU.backward(grad_output, x, out)


@_documented
def celu(x, alpha=1.0, *, out=None):
    """Continuously differentiable `elu`: ``x`` where ``x > 0``, else ``alpha * (exp(x / alpha) - 1)``.

    Source: Barron, 2017, arXiv:1704.07483.
    """
    return _CELU.forward(x, out, alpha)


@_documented
def celu_backward(grad_output, x, alpha=1.0, *, out=None):
    """Gradient of `celu`: ``grad_output`` where ``x > 0``, else ``grad_output * exp(x / alpha)``."""
    return _CELU.backward(grad_output, x, out, alpha)


@_documented
def gelu(x, approximate="none", *, out=None):
    """Gaussian error linear unit: ``x * Phi(x)``, Phi the standard normal distribution function.

    With ``approximate="tanh"`` it is ``0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))``.

    Source: Hendrycks and Gimpel, 2016, arXiv:1606.08415.
    """
    return _gelu(approximate).forward(x, out)


@_documented
def gelu_backward(grad_output, x, approximate="none", *, out=None):
    """Gradient of `gelu`: ``grad_output * (Phi(x) + x * phi(x))``, phi the normal density.

    With ``approximate="tanh"`` the derivative of that formula.
    """
    return _gelu(approximate).backward(grad_output, x, out)


@_documented
def silu(x, *, out=None):
    """Sigmoid linear unit, swish: ``x * sigmoid(x)``.

    Source: Elfwing et al., 2018, arXiv:1702.03118.
    """
    return _SILU.forward(x, out)


@_documented
def silu_backward(grad_output, x, *, out=None):
    """Gradient of `silu`: ``grad_output * sigmoid(x) * (1 + x * sigmoid(-x))``."""
    return _SILU.backward(grad_output, x, out)


@_documented
def mish(x, *, out=None):
    """``x * tanh(softplus(x))``.

    Source: Misra, 2020, arXiv:1908.08681.
    """
    return _MISH.forward(x, out)


@_documented
def mish_backward(grad_output, x, *, out=None):
    """Gradient of `mish`: ``grad_output * (t + x * sigmoid(x) * (1 - t**2))``, ``t = tanh(softplus(x))``."""
    return _MISH.backward(grad_output, x, out)


@_documented
def sigmoid(x, *, out=None):
    """Logistic function: ``1 / (1 + exp(-x))``."""
    return _SIGMOID.forward(x, out)


@_documented
def sigmoid_backward(grad_output, x, *, out=None):
    """Gradient of `sigmoid`: ``grad_output * sigmoid(x) * sigmoid(-x)``."""
    return _SIGMOID.backward(grad_output, x, out)


@_documented
def log_sigmoid(x, *, out=None):
    """``log(sigmoid(x))``."""
    return _LOG_SIGMOID.forward(x, out)


@_documented
def log_sigmoid_backward(grad_output, x, *, out=None):
    """Gradient of `log_sigmoid`: ``grad_output * sigmoid(-x)``."""
    return _LOG_SIGMOID.backward(grad_output, x, out)


@_documented
def hard_sigmoid(x, *, out=None):
    """Piecewise linear sigmoid: ``min(max(x + 3, 0), 6) / 6``.

    Source: Howard et al., Searching for MobileNetV3, 2019, arXiv:1905.02244.
    """
    return _HARD_SIGMOID.forward(x, out)


@_documented
def hard_sigmoid_backward(grad_output, x, *, out=None):
    """Gradient of `hard_sigmoid`: ``grad_output / 6`` where ``-3 < x < 3``, else 0."""
    return _HARD_SIGMOID.backward(grad_output, x, out)


@_documented
def hard_silu(x, *, out=None):
    """Piecewise quadratic `silu`, hard swish: ``x * min(max(x + 3, 0), 6) / 6``.

    Source: Howard et al., Searching for MobileNetV3, 2019, arXiv:1905.02244.
    """
    return _HARD_SILU.forward(x, out)


@_documented
def hard_silu_backward(grad_output, x, *, out=None):
    """Gradient of `hard_silu`: ``grad_output * (x / 3 + 0.5)`` where ``-3 < x < 3``.

    It is 0 where ``x <= -3``, and ``grad_output`` where ``x >= 3``.
    """
    return _HARD_SILU.backward(grad_output, x, out)


@_documented
def tanh(x, *, out=None):
    """Hyperbolic tangent."""
    return _TANH.forward(x, out)


@_documented
def tanh_backward(grad_output, x, *, out=None):
    """Gradient of `tanh`: ``grad_output * (1 - tanh(x)**2)``."""
    return _TANH.backward(grad_output, x, out)


@_documented
def hard_tanh(x, low=-1.0, high=1.0, *, out=None):
    """``min(max(x, low), high)``."""
    return _HARD_TANH.forward(x, out, low, high)


@_documented
def hard_tanh_backward(grad_output, x, low=-1.0, high=1.0, *, out=None):
    """Gradient of `hard_tanh`: ``grad_output`` where ``low < x < high``, else 0."""
    return _HARD_TANH.backward(grad_output, x, out, low, high)


@_documented
def softplus(x, beta=1.0, threshold=20.0, *, out=None):
    """Smooth `relu`: ``log(1 + exp(beta * x)) / beta``, and ``x`` where ``beta * x > threshold``.

    Source: Dugas et al., Incorporating second-order functional knowledge for better option pricing, 2001.
    """
    return _SOFTPLUS.forward(x, out, beta, threshold)


@_documented
def softplus_backward(grad_output, x, beta=1.0, threshold=20.0, *, out=None):
    """Gradient of `softplus`: ``grad_output * sigmoid(beta * x)``.

    It is ``grad_output`` where ``beta * x > threshold``.
    """
    return _SOFTPLUS.backward(grad_output, x, out, beta, threshold)


@_documented
def softsign(x, *, out=None):
    """``x / (1 + abs(x))``."""
    return _SOFTSIGN.forward(x, out)


@_documented
def softsign_backward(grad_output, x, *, out=None):
    """Gradient of `softsign`: ``grad_output / (1 + abs(x))**2``."""
    return _SOFTSIGN.backward(grad_output, x, out)


@_documented
def softshrink(x, threshold=0.5, *, out=None):
    """``x`` moved towards 0 by the threshold, at least 0, and 0 where it would cross 0."""
    return _SOFTSHRINK.forward(x, out, threshold)


@_documented
def softshrink_backward(grad_output, x, threshold=0.5, *, out=None):
    """Gradient of `softshrink`: ``grad_output`` where ``abs(x) > threshold``, else 0."""
    return _SOFTSHRINK.backward(grad_output, x, out, threshold)


@_documented
def hardshrink(x, threshold=0.5, *, out=None):
    """``x`` where ``abs(x) > threshold``, else 0."""
    return _HARDSHRINK.forward(x, out, threshold)


@_documented
def hardshrink_backward(grad_output, x, threshold=0.5, *, out=None):
    """Gradient of `hardshrink`: ``grad_output`` where ``abs(x) > threshold``, else 0."""
    return _HARDSHRINK.backward(grad_output, x, out, threshold)


@_documented
def tanhshrink(x, *, out=None):
    """``x - tanh(x)``."""
    return _TANHSHRINK.forward(x, out)


@_documented
def tanhshrink_backward(grad_output, x, *, out=None):
    """Gradient of `tanhshrink`: ``grad_output * tanh(x)**2``."""
    return _TANHSHRINK.backward(grad_output, x, out)


@_documented
def threshold(x, threshold, value, *, out=None):
    """``x`` where ``x > threshold``, else ``value``."""
    return _THRESHOLD.forward(x, out, threshold, value)


@_documented
def threshold_backward(grad_output, x, threshold, value, *, out=None):
    """Gradient of `threshold`: ``grad_output`` where ``x > threshold``, else 0."""
    return _THRESHOLD.backward(grad_output, x, out, threshold, value)


# ---- prelu -----------------------------------------------------------------------------------------------------------


def _channels(x, slope):
    """The number of channels, x's last axis, that `slope` must fit."""
    channels = x.shape[-1] if x.ndim else 1
    if slope.shape not in ((), (1,), (channels,)):
        raise ValueError(f"slope: expected a scalar or shape ({channels},), one value per channel, got {slope.shape}")
    return channels


def _scalar_as_array(x, slope):
    """A number as an array of the dtype that it has beside x: what `common` would make of it, but at once."""
    if type(slope) is float and type(x) is np.ndarray and x.dtype in COMPUTED_IN:
        return np.array(slope, x.dtype)
    return np.asarray(slope) if isinstance(slope, np.generic) else slope


@_documented
def prelu(x, slope, *, out=None):
    """`leaky_relu` with a slope that is learned: ``x`` where ``x > 0``, else ``slope * x``.

    Source: He et al., Delving deep into rectifiers, 2015, arXiv:1502.01852.
    """
    if _SHORT:
        if type(slope) is float and isfinite(slope):
            return _LEAKY_RELU.forward(x, out, slope)
        y = _chanconv.short_prelu(x, _scalar_as_array(x, slope), out)
        if y is not None:
            return y
    dtype, (x, slope) = common(_X_SLOPE, (x, slope))
    return _run(_PRELU_FORWARD, _channels(x, slope), dtype, (x, slope), x.shape, out, replaceable=1)


@_documented
def prelu_backward(grad_output, x, slope):
    """Gradients of `prelu`: of x as of `leaky_relu`; of the slope the sum of ``grad_output * x`` where ``x <= 0``.

    The sum is taken over all pixels, for each value of `slope`, in an order that depends on the shape alone.
    """
    slope = _scalar_as_array(x, slope)
    gradients = _chanconv.short_prelu_backward(grad_output, x, slope) if _SHORT else None
    if gradients is not None:
        return PReLUGradients(*gradients)
    dtype, arrays = common(_GRAD_X_SLOPE, (grad_output, x, slope))
    grad_output, x, slope = arrays
    _check_grad(grad_output, x.shape)
    channels, computed = _channels(x, slope), COMPUTED_IN[dtype]
    grad_x, grad_slope = empty(x.shape, computed), empty(slope.shape, computed)
    inputs = [flat(array, computed) for array in arrays]
    _PRELU_BACKWARD[computed](channels, *inputs, grad_x.ravel(), grad_slope.ravel())
    return PReLUGradients(grad_x.astype(dtype, copy=False), grad_slope.astype(dtype, copy=False))


# ---- Along an axis ---------------------------------------------------------------------------------------------------


def _along(kind, shape, axis, from_output=False):
    """The axis, counted from the front, and what the passes need to know."""
    number, axes = _integer("axis", axis), len(shape)
    if not -axes <= number < axes:
        raise ValueError(f"axis: expected one of the {axes} axes of x, got {number}")
    number %= axes
    if 0 in shape:
        return number, _chanconv.AlongAxis(kind, 0, 0, 0, from_output)
    outer, inner = prod(shape[:number]), prod(shape[number + 1 :])
    return number, _chanconv.AlongAxis(kind, outer, shape[number], inner, from_output)


def _half(shape, axis):
    """The shape of a result of `glu`."""
    if shape[axis] % 2:
        raise ValueError(f"axis: expected an axis of even size, got axis {axis} of shape {shape}")
    return (*shape[:axis], shape[axis] // 2, *shape[axis + 1 :])


def _axis_forward(kind, x, axis, out):
    dtype, (x,) = common(_X, (x,))
    number, along = _along(kind, x.shape, axis)
    if kind == "glu":
        return _run(_AXIS_FORWARD, along, dtype, (x,), _half(x.shape, number), out, replaceable=0)
    return _run(_AXIS_FORWARD, along, dtype, (x,), x.shape, out)


def _axis_backward(kind, grad_output, x, axis, out, from_output=False):
    dtype, (grad_output, x) = common(_GRAD_Y if from_output else _GRAD_X, (grad_output, x))
    number, along = _along(kind, x.shape, axis, from_output)
    _check_grad(grad_output, _half(x.shape, number) if kind == "glu" else x.shape)
    return _run(_AXIS_BACKWARD, along, dtype, (grad_output, x), x.shape, out)


def _axis_backward_from_output(kind, grad_output, y, axis, out):
    return _axis_backward(kind, grad_output, y, axis, out, True)


_SOFTMAX, _LOG_SOFTMAX, _GLU = (
    _chanconv.AxisKind(name, _axis_forward, _axis_backward, _SHORT) for name in ("softmax", "log_softmax", "glu")
)
_AXIS_FROM_OUTPUT = {
    name: _chanconv.AxisKind(name, None, _axis_backward_from_output, _SHORT, True) for name in ("softmax", "log_softmax")
}


@_documented
def softmax(x, axis=-1, *, out=None):
    """``exp(x) / sum(exp(x))``, the sum along an axis; computed as ``exp(x - max(x))``, so that nothing overflows.

    Where the axis has a NaN, a plus infinity, or minus infinity alone, the result is NaN.
    """
    return _SOFTMAX.forward(x, axis, out)


@_documented
def softmax_backward(grad_output, x, axis=-1, *, out=None):
    """Gradient of `softmax`: ``y * (grad_output - sum(grad_output * y))``, y the softmax of x."""
    return _SOFTMAX.backward(grad_output, x, axis, out)


@_documented
def log_softmax(x, axis=-1, *, out=None):
    """``log(softmax(x))``, computed as ``x - max(x) - log(sum(exp(x - max(x))))``."""
    return _LOG_SOFTMAX.forward(x, axis, out)


@_documented
def log_softmax_backward(grad_output, x, axis=-1, *, out=None):
    """Gradient of `log_softmax`: ``grad_output - softmax(x) * sum(grad_output)``."""
    return _LOG_SOFTMAX.backward(grad_output, x, axis, out)


@_documented
def glu(x, axis=-1, *, out=None):
    """Gated linear unit: ``a * sigmoid(b)``, a and b the first and second half of x along an axis.

    Source: Dauphin et al., 2017, arXiv:1612.08083.
    """
    return _GLU.forward(x, axis, out)


@_documented
def glu_backward(grad_output, x, axis=-1, *, out=None):
    """Gradient of `glu`: of a ``grad_output * sigmoid(b)``, of b ``grad_output * a * sigmoid(b) * sigmoid(-b)``."""
    return _GLU.backward(grad_output, x, axis, out)


# ---- By name ---------------------------------------------------------------------------------------------------------

# What `get` knows: all but prelu, whose slope is an array with a gradient of its own.
_NAMES = sorted({*_chanconv.ELEMENTWISE, *_chanconv.AXIS} - {"gelu_tanh"})


@cache
def _defaults(name):
    """The parameters of an activation with their defaults, `inspect.Parameter.empty` for none."""
    parameters = inspect.signature(globals()[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in ("x", "out")}


def _complete(name, parameters):
    """All parameters of an activation, checked."""
    defaults = _defaults(name)
    unknown = ", ".join(parameter for parameter in parameters if parameter not in defaults)
    if unknown:
        raise TypeError(f"{unknown}: {name} has no such parameter, it has {', '.join(defaults) or 'none'}")
    complete = defaults | parameters
    for missing, value in complete.items():
        if value is inspect.Parameter.empty:
            raise TypeError(f"{missing}: {name} needs this parameter")
    return _checked(complete)


def _fused_by_name(name, parameters):
    if name in _chanconv.AXIS:
        return None
    return _fused(_gelu(**parameters), ()) if name == "gelu" else _fused(_KINDS[name], parameters.values())


# Whose gradients can be computed from the output, with these parameters, as exactly as from x. That of straight pieces does
# so by itself: it asks on which side of a bend x is, and the output is on the same.
_FROM_OUTPUT = {
    **dict.fromkeys(("identity", "relu", "relu6", "hard_tanh", "hardshrink", *_AXIS_FROM_OUTPUT), lambda p: True),
    "leaky_relu": lambda p: p["negative_slope"] >= 2**-126,  # not 0, in float32 either
    "threshold": lambda p: p["value"] <= p["threshold"],
}


class Activation:
    """An activation with its parameters.

    Parameters
    ----------
    name : str
        The name of a function of this module; `prelu`, which has a gradient for its parameter, is none of them.
    **parameters
        As of that function.

    Attributes
    ----------
    name : str
    parameters : mapping
        All of them, those at their default too.
    from_output : bool
        Whether there is `backward_from_output`.
    fused : chanconv._chanconv.Elementwise or None
        What makes a convolution apply it to its result in the same pass; None if that cannot be.

    Notes
    -----
    Two are equal if they have the same name and parameters. They can be hashed and pickled.

    Examples
    --------
    >>> import numpy as np
    >>> from chanconv.activations import Activation
    >>> elu = Activation("elu", alpha=0.5)
    >>> elu
    Activation('elu', alpha=0.5)
    >>> elu.forward(np.array([-50.0, 1.0]))
    array([-0.5,  1. ])
    """

    __slots__ = ("from_output", "fused", "name", "parameters")

    def __init__(self, name, /, **parameters):
        if not isinstance(name, str):
            raise TypeError(f"activation: expected a name, got {type(name).__name__}")
        if name not in _NAMES:
            raise ValueError(f"activation: expected one of {', '.join(_NAMES)}, got {str(name)!r}")
        self.name = str(name)
        self.parameters = MappingProxyType(_complete(name, parameters))
        self.fused = _fused_by_name(name, self.parameters)
        self.from_output = name in _FROM_OUTPUT and _FROM_OUTPUT[name](self.parameters)

    def forward(self, x, *, out=None):
        """The activation of x."""
        return globals()[self.name](x, **self.parameters, out=out)

    def backward(self, grad_output, x, *, out=None):
        """The gradient of x from the gradient of the activation's output."""
        return globals()[f"{self.name}_backward"](grad_output, x, **self.parameters, out=out)

    def backward_from_output(self, grad_output, y, *, out=None):
        """`backward` from the output of `forward`, for who has kept that alone; for `softmax` and its logarithm much faster.

        As exact as `backward` for float32 and float64; a float16 output has lost digits. Where the output does not tell
        enough, as that of a sigmoid that has come close to 1, there is none: a ValueError.
        """
        if not self.from_output:
            raise ValueError(f"y: the gradient of {self!r} cannot be computed from its output, use backward")
        kind = _AXIS_FROM_OUTPUT.get(self.name)
        if kind is None:
            return self.backward(grad_output, y, out=out)
        return kind.backward(grad_output, y, self.parameters["axis"], out)

    def __repr__(self):
        defaults = _defaults(self.name)
        given = [f", {name}={value!r}" for name, value in self.parameters.items() if value != defaults[name]]
        return f"Activation({self.name!r}{''.join(given)})"

    def _key(self):
        return self.name, tuple(self.parameters.values())

    def __eq__(self, other):
        return self._key() == other._key() if isinstance(other, Activation) else NotImplemented

    def __hash__(self):
        return hash(self._key())

    def __reduce__(self):
        return _restored, (self.name, dict(self.parameters))


def _restored(name, parameters):
    return Activation(name, **parameters)


def get(name, /, **parameters):
    """The activation of a name and parameters, as an `Activation`.

    Parameters
    ----------
    name : str
        The name of a function of this module, but for `prelu`.
    **parameters
        As of that function.

    Returns
    -------
    Activation

    Raises
    ------
    ValueError
        If there is no activation of this name, or a parameter cannot have this value.
    TypeError
        If the name is not a string, or the activation has no such parameter.

    Examples
    --------
    >>> from chanconv import activations
    >>> activations.get("gelu", approximate="tanh")
    Activation('gelu', approximate='tanh')
    """
    return Activation(name, **parameters)


__all__ = ["Activation", "PReLUGradients", "get", "prelu", "prelu_backward"]
__all__ += [name + suffix for name in _NAMES for suffix in ("", "_backward")]
__all__.sort()
