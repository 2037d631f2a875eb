# SPDX-License-Identifier: BSD-3-Clause
"""The convolution of deep learning for NumPy programs: forward and all gradients, in C.

Images are channels-last, (H, W, C) or (N, H, W, C); kernels (KH, KW, C, K). `conv` is the sum over channels of
`plane_conv`; `chanconv.reference` says the same in plain NumPy.

>>> import numpy as np
>>> import chanconv
>>> x = np.ones((8, 8, 3), np.float32)
>>> kernel = np.ones((3, 3, 3, 16), np.float32)
>>> chanconv.conv(x, kernel, padding="same", activation="relu").shape
(8, 8, 16)
"""

from importlib import import_module

from chanconv import activations
from chanconv._chanconv import version as _version
from chanconv.config import (
    get_num_threads,
    get_precision,
    num_threads,
    precision,
    set_num_threads,
    set_precision,
    show_config,
)
from chanconv.explanation import Explanation
from chanconv.ops import (
    ConvGradients,
    col2im,
    conv,
    conv_backward,
    conv_grad_kernel,
    conv_grad_x,
    conv_output_shape,
    conv_transpose,
    conv_transpose_backward,
    explain,
    im2col,
    plane_conv,
    plane_conv_backward,
)

__version__ = _version()

# Modules that are imported when they are first used.
_LAZY = ("layers", "reference")

__all__ = [
    "ConvGradients",
    "Explanation",
    "activations",
    "col2im",
    "conv",
    "conv_backward",
    "conv_grad_kernel",
    "conv_grad_x",
    "conv_output_shape",
    "conv_transpose",
    "conv_transpose_backward",
    "explain",
    "get_num_threads",
    "get_precision",
    "im2col",
    "layers",
    "num_threads",
    "plane_conv",
    "plane_conv_backward",
    "precision",
    "reference",
    "set_num_threads",
    "set_precision",
    "show_config",
]


def __getattr__(name):
    if name in _LAZY:
        return import_module(f"chanconv.{name}")
    raise AttributeError(f"module 'chanconv' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_LAZY})
