# SPDX-License-Identifier: BSD-3-Clause
"""Arrays between NumPy's many forms and the one that the C library takes: flat, contiguous, aligned, native.

A function of the public API goes through these steps:

1. `common` turns its arguments into arrays of numbers and finds their common type;
2. `flat` gives the form that a pass reads, a copy only where needed; images that are slices of larger ones, of their
   channels or of their rows and columns, are read and written where they lie;
3. `deliver` runs a pass into a new array or into ``out``.

Errors name the argument. float16 is computed in float32 and rounded once, when the result is delivered.
"""

import math
import os
import sys
from importlib import import_module

import numpy as np
from numpy.lib.stride_tricks import as_strided

from chanconv import _chanconv, trace
from chanconv._chanconv import new_array, reach


# Where NumPy has the table of its C API; before NumPy 2, and since.
_numpy = import_module(("numpy._core" if hasattr(np, "_core") else "numpy.core") + "._multiarray_umath")
_chanconv.use_numpy(np, _numpy._ARRAY_API)

FLOAT16, FLOAT32, FLOAT64 = map(np.dtype, ("float16", "float32", "float64"))
COMPUTED_IN = {FLOAT16: FLOAT32, FLOAT32: FLOAT32, FLOAT64: FLOAT64}

# numpy's flags C_CONTIGUOUS and ALIGNED, which the C library asks for, and with WRITEABLE.
READY = 0x0101
_TARGET = 0x0501

_NUMBERS = (bool, int, float)  # these have no type of their own beside arrays
_KINDS = {FLOAT32: "float", FLOAT64: "double"}


# Which arrays of a pass, inputs and then the result, the C library takes as slices: x or y of its convolution.
_SLICES = {
    "conv_forward": ("x", None, None, "y"),
    "conv_transpose": ("y", None, None, "x"),
    "conv_grad_x": ("y", None, "x"),
    "conv_grad_kernel": ("y", "x", None),
    "conv_grad_kernel_per_sample": ("y", "x", None),
    "conv_grad_bias": ("y", None),
    "im2col": ("x", None),
    "col2im": (None, "x"),
}
# These add up pixels, in an order that depends on whether rows follow each other without a gap: so they have to, that the
# result is that of a copy. Slices of channels do.
_SUMS = ("conv_grad_kernel", "conv_grad_kernel_per_sample", "conv_grad_bias")
_slices_of: dict = {}


def versions(function):
    """The versions of a function of `chanconv._chanconv` that is written for the fused type ``real``, by dtype."""
    return {dtype: function[kind] for dtype, kind in _KINDS.items()}


def by_dtype(function):
    """The same for a pass over arrays, which may be traced."""
    passes = {dtype: trace.traced(function.__name__, version) for dtype, version in versions(function).items()}
    for version in passes.values():
        _slices_of[version] = _SLICES.get(function.__name__), function.__name__ in _SUMS
    return passes


# ---- Into arrays ----------------------------------------------------------------------------------------------------


def _from_sequence(name, value):
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _check_reach(name, array):
    """An object's ``__array_interface__`` may describe more memory than its buffer has; numpy takes it at its word."""
    buffer = np.frombuffer(array.base, np.uint8)
    start, end = array.__array_interface__["data"][0] - buffer.__array_interface__["data"][0], array.itemsize
    for size, stride in zip(array.shape, array.strides, strict=True):
        start, end = start + min(0, (size - 1) * stride), end + abs(stride) * (size - 1)
    if array.size and not 0 <= start <= start + end <= buffer.nbytes:
        raise TypeError(f"{name}: its array interface describes more memory than the {buffer.nbytes} bytes it has")


def _from_dlpack(name, value):
    """What an array of another library shares in memory, without a copy."""
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(f"{name}: {type(value).__name__} does not share its memory with NumPy: {error}") from error


def _from_object(name, value):
    """An array from anything that has an array interface, a buffer, ``__array__`` or DLPack, or is a number."""
    array = np.asarray(value)
    if array.dtype.kind == "O" and hasattr(value, "__dlpack__"):
        array = _from_dlpack(name, value)
    described = not isinstance(value, np.ndarray) and hasattr(value, "__array_interface__")
    if described and array.base is not None and array.base is not value:
        _check_reach(name, array)
    return array


def as_array(name, value):
    """`value` as an array of numbers; a TypeError that names the argument if it is none."""
    masked = sys.modules.get("numpy.ma")
    if masked and isinstance(value, masked.MaskedArray):
        raise TypeError(f"{name}: the mask of a masked array would be lost; pass {name}.filled(...) or {name}.data")
    array = _from_sequence(name, value) if isinstance(value, (list, tuple)) else _from_object(name, value)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        got = f"dtype {array.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"{name}: expected an array of float32, float64 or float16, or of integers, got {got}")
    return array


def _common(names, values):
    arrays = [as_array(name, value) for name, value in zip(names, values, strict=True)]
    typed = (value if type(value) in _NUMBERS else array.dtype for value, array in zip(values, arrays, strict=True))
    dtype = np.result_type(*typed).newbyteorder("=")
    if dtype not in COMPUTED_IN:
        types = ", ".join(f"{name} {array.dtype}" for name, array in zip(names, arrays, strict=True))
        raise TypeError(
            f"{names[0]}: the common type ({types}) is {dtype}, expected float32, float64 or float16;"
            f" convert, as in {names[0]}.astype(np.float32)"
        )
    return dtype, arrays


def common(names, values):
    """The common dtype of the arguments, native and one of `COMPUTED_IN`, and the arguments as arrays.

    The arrays may still have any layout and dtype: `flat` converts them.
    """
    dtype = getattr(values[0], "dtype", None)
    for value in values:
        if type(value) is not np.ndarray or value.dtype is not dtype:
            return _common(names, values)
    return (dtype, values) if dtype in COMPUTED_IN else _common(names, values)


def flat(array, dtype):
    """The elements in C order as a flat, aligned, native array of `dtype`; a view where that is possible."""
    if array.dtype is not dtype or array.flags.num & READY != READY:
        check_memory(array.shape, dtype)
        array = np.require(array, dtype, "CA")
    return array.ravel()


# ---- Slices ---------------------------------------------------------------------------------------------------------


def _pitches(function, index, what, array, dtype):
    """(role, distances in elements of pixels, rows and images) of array `index` of a pass; None if it is no slice."""
    roles, adjacent = _slices_of.get(function, (None, False))
    role = roles and roles[index]
    if not role:
        return None
    shape = what.x_shape if role == "x" else what.y_shape
    if array.dtype is not dtype or not array.flags.aligned or not array.size or type(array) is not np.ndarray:
        return None
    (n, h, w, c), (image, row, pixel, channel) = shape, array.reshape(shape).strides
    item = dtype.itemsize
    if (c > 1 and channel != item) or pixel % item or row % item or image % item:
        return None
    pixel = pixel // item if w > 1 else c
    row = row // item if h > 1 else w * pixel
    image = image // item if n > 1 else h * row
    if pixel < c or row < w * pixel or image < h * row or (adjacent and (row > w * pixel or image > h * row)):
        return None
    return role, (pixel, row, image)


def _operands(function, what, dtype, arrays):
    """What a pass is given for its arrays, the result with them: (`what` or the same for slices, flat arrays)."""
    flats, pitches = [], {}
    for index, array in enumerate(arrays):
        if array is None or (array.dtype is dtype and array.flags.num & READY == READY):
            flats.append(array if array is None else array.ravel())
            continue
        found = _pitches(function, index, what, array, dtype)
        if found:
            role, distances = found
            pitches[role] = distances
            size = reach(what.x_shape if role == "x" else what.y_shape, distances)
            flats.append(as_strided(array, (size,), (dtype.itemsize,), writeable=array.flags.writeable))
        else:
            flats.append(flat(array, dtype))
    return (what.sliced(**pitches) if pitches else what), flats


# ---- Results --------------------------------------------------------------------------------------------------------


def _physical_memory():
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return sys.maxsize


PHYSICAL_MEMORY = _physical_memory()


def check_memory(shape, dtype):
    """MemoryError for an array that the machine cannot hold: a system that overcommits would only fail at its use."""
    needed = math.prod(shape) * dtype.itemsize
    if needed > PHYSICAL_MEMORY:
        raise MemoryError(f"an array of shape {shape} and dtype {dtype} needs {needed} bytes, more than there are")


def empty(shape, dtype):
    """A new array for a result."""
    try:
        result = new_array(shape, dtype)
    except ValueError as error:  # numpy's limits of what a shape can be; it counts a size of 0 as 1
        raise ValueError(f"the result, of shape {shape}, is larger than an array can be: {error}") from error
    if result.nbytes > PHYSICAL_MEMORY:
        check_memory(shape, dtype)
    return result


def overlaps_itself(array):
    """Whether two elements of an array share memory."""
    if array.size <= 1 or array.flags.c_contiguous:
        return False
    axes = sorted((abs(stride), size) for stride, size in zip(array.strides, array.shape, strict=True) if size > 1)
    reach = array.itemsize
    for stride, size in axes:
        if stride < reach:
            return _elements_collide(array, axes)
        reach += stride * (size - 1)
    return False


def _elements_collide(array, axes):
    """The exact answer for axes that interleave: the distance from one element's address to the next."""
    if axes[0][0] == 0:
        return True
    addresses = np.zeros(1, np.int64)
    for stride, size in axes:
        addresses = np.add.outer(addresses, stride * np.arange(size)).ravel()
    addresses.sort()
    return bool((np.diff(addresses) < array.itemsize).any())


def check_out(out, shape, dtype, name="out"):
    """Raises unless `out` can take a result."""
    if type(out) is np.ndarray and out.shape == shape and out.dtype is dtype and out.flags.num & _TARGET == _TARGET:
        return
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name}: expected a numpy.ndarray, got {type(out).__name__}")
    as_array(name, out)
    if out.dtype != dtype:
        raise TypeError(f"{name}: expected dtype {dtype}, in native byte order, got {out.dtype.str}")
    if out.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{name}: expected a writable array, got a read-only one")
    if overlaps_itself(out):
        raise ValueError(f"{name}: expected elements that have their own memory, got ones that overlap")


def _overlap(a, b):
    """Whether two arrays share an element: slices of the channels of one buffer do not. In doubt it says yes."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=1000)
    except np.exceptions.TooHardError:
        return True


def _is_target(function, what, out, dtype, inputs):
    """Whether a pass can write its result right into `out`."""
    if out.dtype != dtype or not out.flags.aligned or type(out) is not np.ndarray:
        return False
    if not out.flags.c_contiguous and not _pitches(function, -1, what, out, dtype):
        return False
    return not any(array is not None and _overlap(out, array) for array in inputs)


def place(result, out):
    """Copies a result into `out`, which `check_out` has seen; returns `out`."""
    np.copyto(out, result, casting="same_kind")
    return out


def deliver(function, what, shape, dtype, inputs, out=None, *options):
    """Runs a pass, ``function(what, *flat inputs, flat result, *options)``, and returns the result.

    The inputs are arrays of any layout, or None; the result has `shape` and `dtype`. An `out` that overlaps an input,
    or has a form that `function` does not write, gets the result when the whole of it is there.
    """
    computed = COMPUTED_IN[dtype]
    if out is not None:
        check_out(out, shape, dtype)
    in_place = out is not None and _is_target(function, what, out, computed, inputs)
    result = out if in_place else empty(shape, computed)
    what, operands = _operands(function, what, computed, (*inputs, result))
    function(what, *operands, *options)
    if in_place:
        return out
    if out is not None:
        return place(result, out)
    return result if dtype == computed else result.astype(dtype)
