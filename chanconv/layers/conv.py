# SPDX-License-Identifier: BSD-3-Clause
"""Convolutions as layers."""

import numpy as np

from chanconv import geometry, ops
from chanconv.kept import KeptKernel
from chanconv.layers import initializers
from chanconv.layers.activation import backward_from_kept, kept_for_backward
from chanconv.layers.arguments import (
    activation_object,
    flag,
    float_dtype,
    generator,
    positive,
    positive_pair,
    short,
)
from chanconv.layers.base import Layer


class _Convolution(Layer):
    """What the convolutions share: parameters and the two passes.

    A subclass gives the functions `_convolve`, `_convolve_kept` and `_convolve_backward`, the pass whose kernel inference
    keeps, the kernel's shape and its fans: how many values an output is the sum of, and how many outputs a value goes
    to. `_geometry` names the attributes that are keyword arguments of these functions.
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, stride, padding, *, dilation, groups, bias, activation, dtype, rng
    ):
        self.in_channels = positive("in_channels", in_channels)
        self.out_channels = positive("out_channels", out_channels)
        self.kernel_size = positive_pair("kernel_size", kernel_size)
        self.stride = positive_pair("stride", stride)
        self.padding = geometry.pads(padding)
        self.dilation = positive_pair("dilation", dilation)
        self.groups = self._checked_groups(groups)
        self.bias = flag("bias", bias)
        self.activation = activation
        self.dtype = float_dtype("dtype", dtype)
        self._activation = activation_object("activation", activation)
        self._keywords = {name: short(getattr(self, name)) for name in self._geometry}
        self._kept = KeptKernel(self._kept_pass)
        super().__init__(**self._initial_parameters(generator("rng", rng)))
        self._check_geometry()

    def _checked_groups(self, groups):
        groups = positive("groups", groups)
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) % groups:
                raise ValueError(f"groups: expected a divisor of {name}={getattr(self, name)}, got {groups}")
        return groups

    def _check_geometry(self):
        """Show the geometry to the library's validator now: an empty batch of images, large enough for any kernel."""
        sizes = [extent * (size - 1) + 2**16 for extent, size in zip(self.dilation, self.kernel_size, strict=True)]
        self(np.empty((0, *sizes, self.in_channels), self.dtype))

    def _initial_parameters(self, rng):
        initialize = initializers.for_activation(self._activation)
        parameters = {"kernel": initialize(rng, self._kernel_shape(), *self._fans()).astype(self.dtype)}
        if self.bias:
            parameters["bias"] = np.zeros(self.out_channels, self.dtype)
        return parameters

    def __call__(self, x):
        kernel, bias = self.parameters["kernel"], self.parameters.get("bias")
        return self._convolve_kept(self._kept, x, kernel, bias, self._activation, **self._keywords)

    def _forward(self, x):
        activation, kernel, bias = self._activation, self.parameters["kernel"], self.parameters.get("bias")
        if activation is not None and activation.from_output:  # computed in the same pass, and z is needed no more
            y = self._convolve(x, kernel, bias=bias, activation=activation, **self._keywords)
            return y, (x, kept_for_backward(activation, None, y))
        z = self._convolve(x, kernel, bias=bias, **self._keywords)
        if activation is None:
            return z, (x, None)
        y = activation.forward(z)
        return y, (x, kept_for_backward(activation, z, y))

    def _backward(self, saved, grad_output):
        x, kept = saved
        if kept:
            grad_output = backward_from_kept(self._activation, grad_output, kept)
        kernel, wrt = self.parameters["kernel"], ("x", *self.parameters)
        gradients = self._convolve_backward(grad_output, x, kernel, wrt=wrt, **self._keywords)
        return gradients.x, {name: getattr(gradients, name) for name in self.parameters}


class Conv2D(_Convolution):
    """A convolution: ``activation(conv(x, kernel) + bias)``.

    The parameters are ``"kernel"``, of shape ``(KH, KW, in_channels // groups, out_channels)``, and ``"bias"``, of
    shape ``(out_channels,)``.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the input and of the output.
    kernel_size : int or (int, int)
        Height and width of the kernels.
    stride, padding, dilation, groups, padding_mode
        As for `chanconv.conv`.
    bias : bool
        Whether there is a bias.
    activation : str, activations.Activation or None
        Applied to the result.
    dtype : dtype
        Of the parameters: float32 or float64.
    rng : int, numpy.random.Generator or None
        Where the initial kernels come from. They are normal with variance ``2 / fan_in`` (He), or, before activations
        that level off on both sides, such as tanh, uniform with variance ``2 / (fan_in + fan_out)`` (Glorot).
    """

    _convolve = staticmethod(ops.conv)
    _convolve_kept = staticmethod(ops.kept_conv)
    _kept_pass = "forward"
    _convolve_backward = staticmethod(ops.conv_backward)
    _geometry = ("stride", "padding", "dilation", "groups", "padding_mode")

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        *,
        dilation=1,
        groups=1,
        bias=True,
        activation=None,
        padding_mode="zeros",
        dtype="float32",
        rng=None,
    ):
        self.padding_mode = padding_mode
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation=dilation,
            groups=groups,
            bias=bias,
            activation=activation,
            dtype=dtype,
            rng=rng,
        )

    def _kernel_shape(self):
        return (*self.kernel_size, self.in_channels // self.groups, self.out_channels)

    def _fans(self):
        taps = self.kernel_size[0] * self.kernel_size[1]
        return taps * self.in_channels // self.groups, taps * self.out_channels // self.groups


class DepthwiseConv2D(Conv2D):
    """A convolution of every channel with `multiplier` kernels of its own: a `Conv2D` with ``groups=channels``.

    The kernels have the shape ``(KH, KW, 1, channels * multiplier)``; output channels ``i * multiplier`` and following
    come from input channel ``i``.

    Parameters
    ----------
    channels : int
        Channels of the input.
    multiplier : int
        Output channels per input channel.
    kernel_size, stride, padding, dilation, bias, activation, padding_mode, dtype, rng
        As for `Conv2D`.
    """

    def __init__(
        self,
        channels,
        kernel_size,
        stride=1,
        padding=0,
        *,
        multiplier=1,
        dilation=1,
        bias=True,
        activation=None,
        padding_mode="zeros",
        dtype="float32",
        rng=None,
    ):
        self.channels = positive("channels", channels)
        self.multiplier = positive("multiplier", multiplier)
        super().__init__(
            channels,
            self.channels * self.multiplier,
            kernel_size,
            stride,
            padding,
            dilation=dilation,
            groups=channels,
            bias=bias,
            activation=activation,
            padding_mode=padding_mode,
            dtype=dtype,
            rng=rng,
        )


class ConvTranspose2D(_Convolution):
    """A transposed convolution: ``activation(conv_transpose(x, kernel) + bias)``, which enlarges by its stride.

    The parameters are ``"kernel"``, of shape ``(KH, KW, out_channels // groups, in_channels)``, and ``"bias"``, of
    shape ``(out_channels,)``.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the input and of the output.
    kernel_size : int or (int, int)
        Height and width of the kernels.
    stride, padding, output_padding, dilation, groups
        As for `chanconv.conv_transpose`.
    padding_mode : str
        ``"zeros"``; there is no other.
    bias, activation, dtype, rng
        As for `Conv2D`. An output is the sum over ``KH * KW / stride**2`` taps on average, and so is fan_in.
    """

    _convolve = staticmethod(ops.conv_transpose)
    _convolve_kept = staticmethod(ops.kept_conv_transpose)
    _kept_pass = "grad_x"
    _convolve_backward = staticmethod(ops.conv_transpose_backward)
    _geometry = ("stride", "padding", "output_padding", "dilation", "groups")

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        *,
        output_padding=0,
        dilation=1,
        groups=1,
        bias=True,
        activation=None,
        padding_mode="zeros",
        dtype="float32",
        rng=None,
    ):
        if padding_mode != "zeros":
            raise ValueError(f"padding_mode: a transposed convolution has no other than 'zeros', got {padding_mode!r}")
        self.padding_mode = padding_mode
        self.output_padding = geometry.pair("output_padding", output_padding)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation=dilation,
            groups=groups,
            bias=bias,
            activation=activation,
            dtype=dtype,
            rng=rng,
        )

    def _kernel_shape(self):
        return (*self.kernel_size, self.out_channels // self.groups, self.in_channels)

    def _fans(self):
        height, width = self.kernel_size
        taps = max(1, height / self.stride[0]) * max(1, width / self.stride[1])
        return taps * self.in_channels // self.groups, height * width * self.out_channels // self.groups
