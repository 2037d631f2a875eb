# SPDX-License-Identifier: BSD-3-Clause
"""From a call's arguments to a checked convolution.

Here forms are sorted out: what an int, a pair or a name stands for, and which axes an array has. What the values may be
is checked in C, by the one validator, when a `Convolution` is made; its messages name the argument.

A problem, the checked convolution together with the shapes that the caller sees, is kept for the next call with the
same shapes and arguments. The scalars in its key are exact ints and strings, made so by `options`: for a dict, True and
1.0 would be the same as 1.
"""

import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from chanconv._chanconv import ALGORITHMS, PADDING_MODES, PADDING_RULES, Convolution
from chanconv.arrays import COMPUTED_IN

PADDING_NAMES = ("valid", *PADDING_RULES)

# ---- Scalars --------------------------------------------------------------------------------------------------------


def index(name, value):
    """`value`, anything with ``__index__`` but a bool, as an int of 64 bits."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected an int, got a bool")
    try:
        number = operator.index(value)
    except TypeError as error:
        raise TypeError(f"{name}: expected an int, got {type(value).__name__}") from error
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{name}: expected an int of 64 bits, got one of {number.bit_length()}")
    return number


def _items(value):
    """The items of a sequence of any kind but text, as a tuple; None for anything else."""
    if isinstance(value, np.ndarray):
        return tuple(value) if value.ndim else None
    text = isinstance(value, (str, bytes, bytearray, memoryview))
    return tuple(value) if isinstance(value, Sequence) and not text else None


def pair(name, value):
    """(vertical, horizontal) of an int or a pair."""
    items = _items(value)
    if items is None:
        number = index(name, value)
        return number, number
    if len(items) != 2:
        raise ValueError(f"{name}: expected an int or a pair (vertical, horizontal), got {len(items)} values")
    return index(name, items[0]), index(name, items[1])


def pads(value):
    """((top, bottom), (left, right)) of any form of padding, or a name of `PADDING_RULES`."""
    if isinstance(value, str):
        if value not in PADDING_NAMES:
            raise ValueError(f"padding: expected a number or one of {', '.join(PADDING_NAMES)}, got {value!r}")
        return ((0, 0), (0, 0)) if value == "valid" else str(value)
    items = _items(value)
    if items is None:
        items = (value, value)
    if len(items) != 2:
        raise ValueError(
            "padding: expected an int, (vertical, horizontal) or ((top, bottom), (left, right)),"
            f" got {len(items)} values"
        )
    return pair("padding", items[0]), pair("padding", items[1])


def name_of(argument, value, table):
    """`value` if it is one of the names in `table`."""
    if not isinstance(value, str):
        raise TypeError(f"{argument}: expected a str, got {type(value).__name__}")
    if value not in table:
        raise ValueError(f"{argument}: expected one of {', '.join(table)}, got {value!r}")
    return str(value)


def shape(name, value):
    """A shape given as an argument."""
    if type(value) is tuple:
        for size in value:
            if type(size) is not int or not 0 <= size < 2**63:
                break
        else:
            return value
    items = _items(value)
    if items is None:
        raise TypeError(f"{name}: expected a tuple of ints, got {type(value).__name__}")
    sizes = tuple(index(name, item) for item in items)
    if any(size < 0 for size in sizes):
        raise ValueError(f"{name}: expected sizes of 0 or more, got {sizes}")
    return sizes


def _is_plain(value):
    """Whether it is an int or a pair of ints, exactly these, which may be a part of a key as it is."""
    if type(value) is tuple:
        return len(value) == 2 and type(value[0]) is type(value[1]) is int
    return type(value) is int


def _are_plain_pads(value):
    return _is_plain(value) or (type(value) is tuple and len(value) == 2 and all(map(_is_plain, value)))


def options(stride, padding, dilation, groups=1, padding_mode="zeros", algorithm="auto"):
    """The scalar arguments in a form that may be a key. What is plain already stays as it is: that costs less."""
    return (
        stride if type(stride) is int or _is_plain(stride) else pair("stride", stride),
        padding if type(padding) is int or _are_plain_pads(padding) else pads(padding),
        dilation if type(dilation) is int or _is_plain(dilation) else pair("dilation", dilation),
        groups if type(groups) is int else index("groups", groups),
        padding_mode if type(padding_mode) is str else name_of("padding_mode", padding_mode, PADDING_MODES),
        algorithm if type(algorithm) is str else name_of("algorithm", algorithm, ALGORITHMS),
    )


def wanted(wrt, names):
    """The gradients asked for by `wrt`, one of `names` or several."""
    try:
        chosen = (wrt,) if isinstance(wrt, str) else tuple(wrt)
    except TypeError as error:
        raise TypeError(f"wrt: expected names, got {type(wrt).__name__}") from error
    for name in chosen:
        name_of("wrt", name, names)
    if not chosen:
        raise ValueError(f"wrt: expected one or more of {', '.join(names)}, got none")
    return chosen


# ---- Forms of arrays ------------------------------------------------------------------------------------------------


class Form(NamedTuple):
    """What the arrays of a family of functions look like; `channels`: axes of x after (H, W)."""

    channels: int
    x: str
    kernel: str
    kernel_axes: tuple[int, ...]

    def split(self, x_shape):
        """(batch axes, (H, W), channel axis) of a shape of x."""
        batch = len(x_shape) - 2 - self.channels
        if batch not in (0, 1):
            raise ValueError(f"x: expected {self.x}, got shape {x_shape}")
        return x_shape[:batch], x_shape[batch : batch + 2], x_shape[batch + 2 :]

    def check_kernel(self, kernel_shape):
        if len(kernel_shape) not in self.kernel_axes:
            raise ValueError(f"kernel: expected {self.kernel}, got shape {kernel_shape}")


PLANES = Form(0, "(H, W) or (N, H, W)", "(KH, KW)", (2,))
IMAGES = Form(1, "(H, W, C) or (N, H, W, C)", "(KH, KW, C // groups, K) or (KH, KW, C)", (3, 4))
TRANSPOSED = Form(1, IMAGES.x, "(KH, KW, K // groups, C)", (4,))
COLUMNS = Form(1, "(H, W), (H, W, C) or (N, H, W, C)", "", ())


def four(batch, sizes, channels):
    """(N, H, W, C) of an array with or without a batch axis and a channel axis."""
    return *(batch or (1,)), *sizes, *(channels or (1,))


# ---- Problems -------------------------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """A checked convolution and the shapes of its arrays as the caller sees them."""

    convolution: Convolution
    x_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    bias_shape: tuple[int, ...]

    def check_bias(self, bias_shape):
        """Raises unless a bias is (K,), or a scalar or (1,) for one kernel."""
        if bias_shape != self.bias_shape and (self.bias_shape or bias_shape != (1,)):
            expected = f"shape {self.bias_shape}" if self.bias_shape else "a scalar"
            raise ValueError(f"bias: expected {expected}, got shape {bias_shape}")

    def check_grad_output(self, grad_shape):
        if grad_shape != self.y_shape:
            raise ValueError(
                f"grad_output: expected shape {self.y_shape} for x_shape {self.x_shape} and"
                f" kernel_shape {self.kernel_shape}, got {grad_shape}"
            )


def _convolution(dtype, x_shape, kernel_shape, given, strict, output_padding=None):
    stride, padding, dilation, groups, padding_mode, algorithm = given
    return Convolution(
        COMPUTED_IN[dtype].itemsize,
        x_shape,
        kernel_shape,
        pair("stride", stride),
        pair("dilation", dilation),
        pads(padding),
        index("groups", groups),
        PADDING_MODES[name_of("padding_mode", padding_mode, PADDING_MODES)],
        ALGORITHMS[name_of("algorithm", algorithm, ALGORITHMS)],
        strict,
        output_padding,
    )


@lru_cache(maxsize=1024)
def problem(form, dtype, x_shape, kernel_shape, given, strict):
    """The convolution of x and kernel(s) of these shapes; `given`: what `options` returned."""
    batch, sizes, channels = form.split(x_shape)
    form.check_kernel(kernel_shape)
    kernel = (*kernel_shape, 1, 1)[:4]
    convolution = _convolution(dtype, four(batch, sizes, channels), kernel, given, strict)
    y_shape = (*batch, *convolution.y_shape[1:3], *kernel_shape[3:])
    return Problem(convolution, x_shape, kernel_shape, y_shape, kernel_shape[3:])


@lru_cache(maxsize=1024)
def transposed_problem(dtype, x_shape, kernel_shape, output_padding, given, strict):
    """The convolution whose gradient a transposed one is: its y is x, its x is the result."""
    batch, sizes, (channels,) = TRANSPOSED.split(x_shape)
    TRANSPOSED.check_kernel(kernel_shape)
    if kernel_shape[3] != channels:
        raise ValueError(f"kernel: expected {TRANSPOSED.kernel} with C = {channels}, got shape {kernel_shape}")
    results = index("groups", kernel_shape[2] * max(given[3], 1))
    image = four(batch, sizes, (results,))
    convolution = _convolution(dtype, image, kernel_shape, given, strict, pair("output_padding", output_padding))
    result_shape = (*batch, *convolution.x_shape[1:])
    return Problem(convolution, result_shape, kernel_shape, x_shape, (results,))


@lru_cache(maxsize=1024)
def columns_problem(dtype, x_shape, kernel_size, given):
    """The convolution whose columns im2col writes, and their shape as that of y; planes and images by the axes of x."""
    batch, sizes, channels = (PLANES if len(x_shape) == 2 else COLUMNS).split(x_shape)
    taps = pair("kernel_size", kernel_size)
    convolution = _convolution(dtype, four(batch, sizes, channels), (*taps, -1, 1), given, 0)
    return Problem(convolution, x_shape, taps, (*batch, *convolution.columns_shape[1:]), ())


@lru_cache(maxsize=256)
def sum_problem(dtype, shape, kernels):
    """A convolution without channels whose gradient of the bias is the sum over all but the last axis of `shape`."""
    given = options(1, 0, 1)
    return _convolution(dtype, (*shape[:-1], 0), (1, 1, 0, kernels), given, 0)
