# SPDX-License-Identifier: BSD-3-Clause
"""``CHANCONV_VERBOSE=1``: a line per call to stderr.

It gives the operation, shapes, algorithm, instruction set, threads, microseconds and GFLOP/s. The variable is read at
import; without it the passes are not wrapped, so that tracing costs nothing.
"""

import os
import sys
import time

from chanconv import _chanconv

ENABLED = os.environ.get("CHANCONV_VERBOSE", "0") not in ("", "0")

# Which plan tells how an operation was computed.
_PASSES = {
    "conv_forward": "forward",
    "conv_forward_packed": "forward",
    "conv_transpose": "grad_x",
    "conv_transpose_packed": "grad_x",
    "conv_grad_x": "grad_x",
    "conv_grad_kernel": "grad_kernel",
    "conv_grad_kernel_per_sample": "grad_kernel",
}


def _planned(operation, convolution, seconds):
    plan = convolution.plan(_PASSES[operation])
    return (
        f"x {convolution.x_shape} kernel {convolution.kernel_shape} y {convolution.y_shape}, {plan['algorithm']},"
        f" {_chanconv.isa()}, threads {plan['threads']}, {seconds * 1e6:.1f} us,"
        f" {plan['flops'] / seconds * 1e-9:.2f} GFLOP/s"
    )


def _sized(arrays, seconds):
    sizes = ", ".join(str(array.size) for array in arrays if hasattr(array, "size"))
    return f"elements {sizes}, {_chanconv.isa()}, {seconds * 1e6:.1f} us"


def _report(operation, what, arrays, seconds):
    text = _planned(operation, what, seconds) if operation in _PASSES else _sized(arrays, seconds)
    dtype = next(array.dtype for array in arrays if hasattr(array, "dtype"))
    print(f"chanconv: {operation} {dtype} {text}", file=sys.stderr)


def traced(operation, function):
    """The function, or if tracing is on one that does the same and reports it."""
    if not ENABLED:
        return function

    def run(what, *arrays):
        start = time.perf_counter_ns()
        function(what, *arrays)
        _report(operation, what, arrays, max(time.perf_counter_ns() - start, 1) * 1e-9)

    return run
