# SPDX-License-Identifier: BSD-3-Clause
"""The three passes in float64, as sums of matrix products, tap by tap, or for planes with large kernels by the Fourier
transform of all of a plane; and how far a result is from them."""
from dataclasses import dataclass

import numpy as np


class WrongResult(Exception):
    """A result is further from the float64 one than rounding explains."""


def _taps(layer):
    """Per tap of the kernel its row and column, and the slices of padded x that it sees over all outputs."""
    _, oh, ow, _ = layer.y_shape
    for r in range(layer.taps[0]):
        for s in range(layer.taps[1]):
            top, left = r * layer.dilation, s * layer.dilation
            yield r, s, (slice(None), slice(top, top + (oh - 1) * layer.stride + 1, layer.stride),
                         slice(left, left + (ow - 1) * layer.stride + 1, layer.stride))


def _by_group(pixels, groups):
    """(..., channels) as (groups, pixels, channels // groups)."""
    return pixels.reshape(-1, groups, pixels.shape[-1] // groups).swapaxes(0, 1)


def _kernel_by_group(tap, groups):
    """(C // groups, K) as (groups, C // groups, K // groups)."""
    return tap.reshape(len(tap), groups, -1).swapaxes(0, 1)


def _padded(layer, x):
    top, left = layer.edges
    return np.pad(x.astype(np.float64), ((0, 0), (top, top), (left, left), (0, 0)))


def _forward(problem):
    layer = problem.layer
    x, kernel, y = _padded(layer, problem.x), problem.kernel.astype(np.float64), 0
    for r, s, window in _taps(layer):
        y = y + _by_group(x[window], layer.groups) @ _kernel_by_group(kernel[r, s], layer.groups)
    return y.swapaxes(0, 1).reshape(layer.y_shape)


def _grad_x(problem):
    layer, (top, left) = problem.layer, problem.layer.edges
    grad_y = _by_group(problem.grad_y.astype(np.float64), layer.groups)
    kernel = problem.kernel.astype(np.float64)
    grad_x = np.zeros_like(_padded(layer, problem.x))
    for r, s, window in _taps(layer):
        part = grad_y @ _kernel_by_group(kernel[r, s], layer.groups).swapaxes(1, 2)
        grad_x[window] += part.swapaxes(0, 1).reshape(grad_x[window].shape)
    return grad_x[:, top:top + layer.h, left:left + layer.w]


def _grad_kernel(problem):
    layer = problem.layer
    x, grad_y = _padded(layer, problem.x), _by_group(problem.grad_y.astype(np.float64), layer.groups)
    grad_kernel = np.empty(layer.kernel_shape)
    for r, s, window in _taps(layer):
        tap = _by_group(x[window], layer.groups).swapaxes(1, 2) @ grad_y
        grad_kernel[r, s] = tap.swapaxes(0, 1).reshape(layer.kernel_shape[2:])
    return grad_kernel


def _correlation(plane, kernel):
    """Where all of the kernel lies within the plane, by transforms in the longest type that NumPy transforms in."""
    plane, kernel = plane.astype(np.longdouble), kernel.astype(np.longdouble)
    product = np.fft.rfft2(plane) * np.conj(np.fft.rfft2(kernel, plane.shape))
    rows, cols = (size - taps + 1 for size, taps in zip(plane.shape, kernel.shape, strict=True))
    return np.fft.irfft2(product, plane.shape)[:rows, :cols].astype(np.float64)


def _of_plane(problem):
    layer = problem.layer
    kernel, grad_y = problem.kernel[:, :, 0, 0], problem.grad_y[0, :, :, 0]
    if problem.what == "grad_x":
        rows, cols = (taps - 1 - edge for taps, edge in zip(layer.taps, layer.edges, strict=True))
        result = _correlation(np.pad(grad_y, ((rows, rows), (cols, cols))), kernel[::-1, ::-1])
    else:
        x = _padded(layer, problem.x)[0, :, :, 0]
        result = _correlation(x, kernel if problem.what == "forward" else grad_y)
    return result.reshape(problem.result_shape)


def expected(problem):
    """The result of `problem` in float64."""
    layer = problem.layer
    if layer.n == 1 and layer.is_plane and max(layer.taps) > 31 and layer.stride == layer.dilation == 1:
        return _of_plane(problem)
    return {"forward": _forward, "grad_x": _grad_x, "grad_kernel": _grad_kernel}[problem.what](problem)


@dataclass(frozen=True)
class Error:
    """Distance from the float64 result in units of eps * rms(result): root mean square and largest."""

    rms: float
    largest: float


def compare(result, right, problem):
    """The error of `result`; WrongResult if its shape or its dtype is wrong or its error not a matter of rounding.

    The largest error may be 64 + 4 sqrt(terms) units: more than any sound algorithm needs, Winograd's F(4x4, 3x3)
    included, and less than the 1 / (eps sqrt(terms)) that one product of standard normal numbers left out costs, in
    float32 up to two million terms.
    """
    if result.shape != right.shape or result.dtype != problem.dtype:
        raise WrongResult(f"is {result.dtype}{result.shape}, expected {problem.dtype}{right.shape}")
    unit = np.finfo(problem.dtype).eps * np.sqrt(np.mean(np.square(right)))
    distance = np.abs(result - right) / unit
    error = Error(float(np.sqrt(np.mean(np.square(distance)))), float(np.max(distance)))
    limit = 64 + 4 * problem.layer.terms(problem.what) ** 0.5
    if not error.largest <= limit:
        raise WrongResult(f"is off by {error.largest:.3g} units of eps * rms, more than {limit:.3g}")
    return error
