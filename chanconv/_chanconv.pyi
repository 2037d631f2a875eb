# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Callable
from typing import Protocol, TypeAlias

import numpy as np

class _OfReal(Protocol):
    """A function for the fused type ``real``: its versions are ["float"] and ["double"]."""

    __name__: str
    def __getitem__(self, kind: str, /) -> Callable[..., None]: ...

_Four: TypeAlias = tuple[int, int, int, int]
_Two: TypeAlias = tuple[int, int]

ELEMENTWISE: dict[str, int]
AXIS: dict[str, int]
PADDING_MODES: dict[str, int]
PADDING_RULES: dict[str, int]
ALGORITHMS: dict[str, int]
PASSES: dict[str, int]
PRECISIONS: tuple[str, str]
ALIGNED_FROM: int

class Elementwise:
    def __init__(self, kind: str, p0: float = 0.0, p1: float = 0.0) -> None: ...

class Kind:
    name: str
    parameters: tuple[str, ...]
    def __init__(
        self,
        name: str,
        parameters: tuple[str, ...],
        forward: Callable[..., np.ndarray],
        backward: Callable[..., np.ndarray],
        short: bool,
    ) -> None: ...
    def forward(self, x: object, out: object = None, *values: object) -> np.ndarray: ...
    def backward(self, grad_output: object, x: object, out: object = None, *values: object) -> np.ndarray: ...

class AxisKind:
    name: str
    def __init__(
        self,
        name: str,
        forward: Callable[..., np.ndarray] | None,
        backward: Callable[..., np.ndarray],
        short: bool,
        from_output: bool = False,
    ) -> None: ...
    def forward(self, x: object, axis: object, out: object = None) -> np.ndarray: ...
    def backward(self, grad_output: object, x: object, axis: object, out: object = None) -> np.ndarray: ...

class AlongAxis:
    def __init__(self, kind: str, outer: int, length: int, inner: int, from_output: bool = False) -> None: ...

def reach(shape: tuple[int, int, int, int], pitches: tuple[int, int, int]) -> int: ...

class Convolution:
    item: int
    x_shape: _Four
    kernel_shape: _Four
    y_shape: _Four
    columns_shape: tuple[int, int, int]
    def __init__(
        self,
        item: int,
        x_shape: _Four,
        kernel_shape: _Four,
        stride: _Two,
        dilation: _Two,
        padding: tuple[_Two, _Two] | str,
        groups: int,
        padding_mode: int,
        algorithm: int,
        strict: int,
        output_padding: _Two | None = None,
    ) -> None: ...
    def sliced(
        self, x: tuple[int, int, int] | None = None, y: tuple[int, int, int] | None = None
    ) -> Convolution: ...
    def plan(self, what: str) -> dict[str, object]: ...

class KeptCall: ...

class Calls:
    def __init__(self, what: str, unpacked: bool = False) -> None: ...
    def again(
        self, options: tuple[object, ...], a: object, b: object, bias: object = None, out: object = None
    ) -> np.ndarray | None: ...
    def keep(
        self,
        options: tuple[object, ...],
        conv: Convolution,
        shape: tuple[int, ...],
        arrays: tuple[object, ...],
        activation: Elementwise | None = None,
    ) -> None: ...
    def clear(self) -> None: ...

class PackedKernel: ...

def packing_gains(conv: Convolution, what: str) -> bool: ...
def use_numpy(numpy: object, c_api: object) -> None: ...
def new_array(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray: ...
def short_prelu(x: object, slope: object, out: object) -> np.ndarray | None: ...
def short_prelu_backward(grad_output: object, x: object, slope: object) -> tuple[np.ndarray, np.ndarray] | None: ...

activation_forward: _OfReal
activation_backward: _OfReal
prelu_forward: _OfReal
prelu_backward: _OfReal
axis_forward: _OfReal
axis_backward: _OfReal
conv_forward: _OfReal
conv_transpose: _OfReal
pack_kernel: _OfReal
is_packed: _OfReal
conv_forward_packed: _OfReal
conv_transpose_packed: _OfReal
conv_grad_x: _OfReal
conv_grad_kernel: _OfReal
conv_grad_kernel_per_sample: _OfReal
conv_grad_bias: _OfReal
im2col: _OfReal
col2im: _OfReal

_C_API: object

def c_api_address() -> int: ...
def c_functions() -> dict[str, int]: ...
def abi_version() -> tuple[int, int]: ...
def version() -> str: ...
def compiler() -> str: ...
def get_num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
def num_threads_source() -> str: ...
def isa() -> str: ...
def isa_available() -> tuple[str, ...]: ...
def isa_compiled() -> tuple[str, ...]: ...
def set_isa(name: str) -> None: ...
def environment_warnings() -> tuple[str, ...]: ...
def cpu_info() -> dict[str, int]: ...
