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

from chanconv import threadpools
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
from chanconv.embedding import (
    c_api_address,
    c_functions,
    get_cmake_dir,
    get_include,
    get_library,
    get_library_dir,
    get_pkgconfig_dir,
)
from chanconv.threadpools import register_threadpoolctl

__version__ = _version()

# What needs NumPy is imported when it is first used: build systems ask for paths where NumPy is not installed.
_MODULES = ("activations", "layers", "reference")
_FUNCTIONS = {
    "chanconv.explanation": ("Explanation",),
    "chanconv.ops": (
        "ConvGradients",
        "col2im",
        "conv",
        "conv_backward",
        "conv_grad_kernel",
        "conv_grad_x",
        "conv_output_shape",
        "conv_transpose",
        "conv_transpose_backward",
        "explain",
        "im2col",
        "plane_conv",
        "plane_conv_backward",
    ),
}
_HOME = {name: module for module, names in _FUNCTIONS.items() for name in names}

__all__ = [
    "ConvGradients",
    "Explanation",
    "activations",
    "c_api_address",
    "c_functions",
    "col2im",
    "conv",
    "conv_backward",
    "conv_grad_kernel",
    "conv_grad_x",
    "conv_output_shape",
    "conv_transpose",
    "conv_transpose_backward",
    "explain",
    "get_cmake_dir",
    "get_include",
    "get_library",
    "get_library_dir",
    "get_num_threads",
    "get_pkgconfig_dir",
    "get_precision",
    "im2col",
    "layers",
    "num_threads",
    "plane_conv",
    "plane_conv_backward",
    "precision",
    "reference",
    "register_threadpoolctl",
    "set_num_threads",
    "set_precision",
    "show_config",
]


def __getattr__(name):
    if name in _MODULES:
        return import_module(f"chanconv.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'chanconv' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__():
    return sorted({*globals(), *_MODULES, *_HOME})


threadpools.register_if_imported()
