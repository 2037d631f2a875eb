# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

from numpy.typing import ArrayLike, DTypeLike, NDArray

from chanconv import activations, layers, reference
from chanconv.explanation import Explanation

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

_Array: TypeAlias = NDArray[Any]
_Pair: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
_Shape: TypeAlias = Sequence[SupportsIndex]
_Padding: TypeAlias = _Pair | Sequence[_Pair] | Literal["valid", "same", "same_lower"]
_PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular", "symmetric"]
_Algorithm: TypeAlias = Literal["auto", "gemm", "direct", "winograd", "fft", "im2col"]
_Activation: TypeAlias = str | activations.Activation | None
_Precision: TypeAlias = Literal["fast", "strict"]

__version__: str

class ConvGradients(NamedTuple):
    x: _Array | None = ...
    kernel: _Array | None = ...
    bias: _Array | None = ...

def plane_conv(
    x: ArrayLike,
    kernel: ArrayLike,
    stride: _Pair = 1,
    *,
    padding: _Padding = 0,
    dilation: _Pair = 1,
    padding_mode: _PaddingMode = "zeros",
    algorithm: _Algorithm = "auto",
    out: _Array | None = None,
) -> _Array: ...
def plane_conv_backward(
    grad_output: ArrayLike,
    x: ArrayLike,
    kernel: ArrayLike,
    stride: _Pair = 1,
    *,
    padding: _Padding = 0,
    dilation: _Pair = 1,
    padding_mode: _PaddingMode = "zeros",
    algorithm: _Algorithm = "auto",
    wrt: Iterable[str] = ("x", "kernel"),
) -> ConvGradients: ...
def conv(
    x: ArrayLike,
    kernel: ArrayLike,
    stride: _Pair = 1,
    *,
    padding: _Padding = 0,
    dilation: _Pair = 1,
    groups: SupportsIndex = 1,
    bias: ArrayLike | None = None,
    activation: _Activation = None,
    padding_mode: _PaddingMode = "zeros",
    algorithm: _Algorithm = "auto",
    out: _Array | None = None,
) -> _Array: ...
def conv_backward(
    grad_output: ArrayLike,
    x: ArrayLike,
    kernel: ArrayLike,
    stride: _Pair = 1,
    *,
    padding: _Padding = 0,
    dilation: _Pair = 1,
    groups: SupportsIndex = 1,
    padding_mode: _PaddingMode = "zeros",
    algorithm: _Algorithm = "auto",
    wrt: Iterable[str] = ("x", "kernel", "bias"),
) -> ConvGradients: ...
def conv_grad_x(
    grad_output: ArrayLike,
    kernel: ArrayLike,
    x_shape: _Shape,
    stride: _Pair = 1,
    *,
    padding: _Padding = 0,
    dilation: _Pair = 1,
    groups: SupportsIndex = 1,
    padding_mode: _PaddingMode = "zeros",
    algorithm: _Algorithm = "auto",
    out: _Array | None = None,
) -> _Array: ...
def conv_grad_kernel(
    grad_output: ArrayLike,
    x: ArrayLike,
    kernel_shape: _Shape,
    stride: _Pair = 1,
    *,
    padding: _Padding = 0,
    dilation: _Pair = 1,
    groups: SupportsIndex = 1,
    padding_mode: _PaddingMode = "zeros",
    algorithm: _Algorithm = "auto",
    per_sample: bool = False,
    out: _Array | None = None,
) -> _Array: ...
def conv_transpose(
    x: ArrayLike,
    kernel: ArrayLike,
    stride: _Pair = 1,
    *,
    padding: _Padding = 0,
    output_padding: _Pair = 0,
    dilation: _Pair = 1,
    groups: SupportsIndex = 1,
    bias: ArrayLike | None = None,
    activation: _Activation = None,
    out: _Array | None = None,
) -> _Array: ...
def conv_transpose_backward(
    grad_output: ArrayLike,
    x: ArrayLike,
    kernel: ArrayLike,
    stride: _Pair = 1,
    *,
    padding: _Padding = 0,
    output_padding: _Pair = 0,
    dilation: _Pair = 1,
    groups: SupportsIndex = 1,
    wrt: Iterable[str] = ("x", "kernel", "bias"),
) -> ConvGradients: ...
def im2col(
    x: ArrayLike,
    kernel_size: _Pair,
    stride: _Pair = 1,
    *,
    padding: _Padding = 0,
    dilation: _Pair = 1,
    padding_mode: _PaddingMode = "zeros",
    out: _Array | None = None,
) -> _Array: ...
def col2im(
    columns: ArrayLike,
    x_shape: _Shape,
    kernel_size: _Pair,
    stride: _Pair = 1,
    *,
    padding: _Padding = 0,
    dilation: _Pair = 1,
    padding_mode: _PaddingMode = "zeros",
    out: _Array | None = None,
) -> _Array: ...
def conv_output_shape(
    x_shape: _Shape,
    kernel_shape: _Shape,
    stride: _Pair = 1,
    *,
    padding: _Padding = 0,
    dilation: _Pair = 1,
    groups: SupportsIndex = 1,
) -> tuple[int, ...]: ...
def explain(
    x_shape: _Shape,
    kernel_shape: _Shape,
    stride: _Pair = 1,
    *,
    padding: _Padding = 0,
    dilation: _Pair = 1,
    groups: SupportsIndex = 1,
    padding_mode: _PaddingMode = "zeros",
    algorithm: _Algorithm = "auto",
    dtype: DTypeLike = "float32",
    what: Literal["forward", "grad_x", "grad_kernel"] = "forward",
) -> Explanation: ...
def get_num_threads() -> int: ...
def set_num_threads(n: SupportsIndex) -> None: ...
def num_threads(n: SupportsIndex) -> AbstractContextManager[None]: ...
def get_precision() -> _Precision: ...
def set_precision(precision: _Precision) -> None: ...
def precision(precision: _Precision) -> AbstractContextManager[None]: ...
def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None: ...
def c_api_address() -> int: ...
def c_functions() -> dict[str, int]: ...
def get_cmake_dir() -> str: ...
def get_include() -> str: ...
def get_library() -> str: ...
def get_library_dir() -> str: ...
def get_pkgconfig_dir() -> str: ...
def register_threadpoolctl() -> None: ...
