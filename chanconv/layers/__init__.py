# SPDX-License-Identifier: BSD-3-Clause
"""Layers: convolutions and activations with parameters, gradients and a memory of their forward pass.

``layer.forward(x)`` keeps what ``layer.backward(grad_output)`` needs; ``layer(x)`` is inference and keeps nothing.

>>> from chanconv.layers import Conv2D, Sequential
>>> network = Sequential(Conv2D(3, 16, 3, padding="same", activation="relu", rng=0), Conv2D(16, 1, 1, rng=1))
>>> print(network.summary((32, 32, 3)))
layer                                                  output shape  parameters
-------------------------------------------------------------------------------
0 Conv2D(3, 16, 3, padding='same', activation='relu')  (32, 32, 16)         448
1 Conv2D(16, 1, 1)                                     (32, 32, 1)           17
-------------------------------------------------------------------------------
total                                                                       465

One step of training makes the output more like what is wanted:

>>> x = np.random.default_rng(2).standard_normal((8, 32, 32, 3)).astype(np.float32)
>>> wanted = x[..., :1] ** 2
>>> error = network.forward(x) - wanted
>>> grad_x = network.backward(2 * error / error.size)
>>> for name, parameter in network.parameters.items():
...     parameter -= 0.01 * network.gradients[name]
>>> bool(np.mean((network(x) - wanted) ** 2) < np.mean(error**2))
True
"""

from chanconv.layers.activation import Activation
from chanconv.layers.base import ArrayDict, Layer
from chanconv.layers.conv import Conv2D, ConvTranspose2D, DepthwiseConv2D
from chanconv.layers.prelu import PReLU
from chanconv.layers.sequential import Sequential

__all__ = ["Activation", "ArrayDict", "Conv2D", "ConvTranspose2D", "DepthwiseConv2D", "Layer", "PReLU", "Sequential"]
