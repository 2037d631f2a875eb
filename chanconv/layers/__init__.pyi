# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any, Literal, SupportsIndex, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from chanconv import activations

__all__ = ["Activation", "ArrayDict", "Conv2D", "ConvTranspose2D", "DepthwiseConv2D", "Layer", "PReLU", "Sequential"]

_Array: TypeAlias = NDArray[Any]
_Pair: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
_Padding: TypeAlias = _Pair | Sequence[_Pair] | Literal["valid", "same", "same_lower"]
_PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular", "symmetric"]
_Activation: TypeAlias = str | activations.Activation | None
_Rng: TypeAlias = int | np.random.Generator | None
_Path: TypeAlias = str | PathLike[str]

class ArrayDict(dict[str, _Array]):
    def __setitem__(self, name: str, value: ArrayLike) -> None: ...

class Layer:
    def __init__(self, **parameters: _Array) -> None: ...
    @property
    def parameters(self) -> ArrayDict: ...
    @property
    def gradients(self) -> ArrayDict: ...
    @property
    def parameter_count(self) -> int: ...
    def __call__(self, x: ArrayLike) -> _Array: ...
    def forward(self, x: ArrayLike) -> _Array: ...
    def backward(self, grad_output: ArrayLike, accumulate: bool = False) -> _Array: ...
    def output_shape(self, input_shape: Sequence[SupportsIndex]) -> tuple[int, ...]: ...
    def summary(self, input_shape: Sequence[SupportsIndex]) -> str: ...
    def save(self, path: _Path) -> None: ...
    def load(self, path: _Path) -> None: ...
    def _forward(self, x: Any) -> tuple[_Array, Any]: ...
    def _backward(self, saved: Any, grad_output: Any) -> tuple[_Array, dict[str, _Array]]: ...

class _Convolution(Layer):
    in_channels: int
    out_channels: int
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: str | tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]
    groups: int
    bias: bool
    activation: _Activation
    padding_mode: _PaddingMode
    dtype: np.dtype[Any]

class Conv2D(_Convolution):
    def __init__(
        self,
        in_channels: SupportsIndex,
        out_channels: SupportsIndex,
        kernel_size: _Pair,
        stride: _Pair = 1,
        padding: _Padding = 0,
        *,
        dilation: _Pair = 1,
        groups: SupportsIndex = 1,
        bias: bool = True,
        activation: _Activation = None,
        padding_mode: _PaddingMode = "zeros",
        dtype: DTypeLike = "float32",
        rng: _Rng = None,
    ) -> None: ...

class DepthwiseConv2D(Conv2D):
    channels: int
    multiplier: int
    def __init__(
        self,
        channels: SupportsIndex,
        kernel_size: _Pair,
        stride: _Pair = 1,
        padding: _Padding = 0,
        *,
        multiplier: SupportsIndex = 1,
        dilation: _Pair = 1,
        bias: bool = True,
        activation: _Activation = None,
        padding_mode: _PaddingMode = "zeros",
        dtype: DTypeLike = "float32",
        rng: _Rng = None,
    ) -> None: ...

class ConvTranspose2D(_Convolution):
    output_padding: tuple[int, int]
    def __init__(
        self,
        in_channels: SupportsIndex,
        out_channels: SupportsIndex,
        kernel_size: _Pair,
        stride: _Pair = 1,
        padding: _Padding = 0,
        *,
        output_padding: _Pair = 0,
        dilation: _Pair = 1,
        groups: SupportsIndex = 1,
        bias: bool = True,
        activation: _Activation = None,
        padding_mode: Literal["zeros"] = "zeros",
        dtype: DTypeLike = "float32",
        rng: _Rng = None,
    ) -> None: ...

class Activation(Layer):
    activation: activations.Activation
    def __init__(self, name_or_object: str | activations.Activation, **parameters: Any) -> None: ...

class PReLU(Layer):
    channels: int
    dtype: np.dtype[Any]
    def __init__(self, channels: SupportsIndex, *, dtype: DTypeLike = "float32") -> None: ...

class Sequential(Layer):
    def __init__(self, *layers: Layer) -> None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Layer]: ...
    @overload
    def __getitem__(self, index: SupportsIndex) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
