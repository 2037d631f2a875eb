# SPDX-License-Identifier: BSD-3-Clause
"""An activation as a layer of its own."""

import numpy as np

from chanconv import activations
from chanconv.layers.base import Layer


def kept_for_backward(activation, x, y):
    """What the backward pass needs of an activation's input and output: the input, or the output and None for it."""
    return (None, y) if activation.from_output and y.dtype != np.float16 else (x, None)


def backward_from_kept(activation, grad_output, kept):
    """The gradient of the input, from that."""
    x, y = kept
    if y is None:
        return activation.backward(grad_output, x)
    return activation.backward_from_output(grad_output, y)


class Activation(Layer):
    """Applies an activation to its input.

    Parameters
    ----------
    name_or_object : str or activations.Activation
        Name of an activation, as for `chanconv.activations.get`, or the object itself.
    **parameters
        The activation's parameters; only with a name.
    """

    def __init__(self, name_or_object, **parameters):
        super().__init__()
        self._described = [repr(name_or_object), *(f"{name}={value!r}" for name, value in parameters.items())]
        if isinstance(name_or_object, str):
            self.activation = activations.get(name_or_object, **parameters)
        elif isinstance(name_or_object, activations.Activation) and not parameters:
            self.activation = name_or_object
        else:
            expected = "a name, or an activations.Activation without parameters"
            raise TypeError(f"name_or_object: expected {expected}, got {', '.join(self._described)}")

    def __call__(self, x):
        return self.activation.forward(x)

    def _forward(self, x):
        y = self.activation.forward(x)
        return y, kept_for_backward(self.activation, x, y)

    def _backward(self, saved, grad_output):
        return backward_from_kept(self.activation, grad_output, saved), {}

    def _arguments(self):
        return self._described
