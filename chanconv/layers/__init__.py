# SPDX-License-Identifier: BSD-3-Clause
"""Layers: convolutions and activations with parameters, gradients and a memory of their forward pass.

``layer.forward(x)`` keeps what ``layer.backward(grad_output)`` needs; ``layer(x)`` is inference and keeps nothing.
"""

from chanconv.layers.activation import Activation
from chanconv.layers.base import ArrayDict, Layer
from chanconv.layers.conv import Conv2D, ConvTranspose2D, DepthwiseConv2D
from chanconv.layers.prelu import PReLU
from chanconv.layers.sequential import Sequential

__all__ = ["Activation", "ArrayDict", "Conv2D", "ConvTranspose2D", "DepthwiseConv2D", "Layer", "PReLU", "Sequential"]
