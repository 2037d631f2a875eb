# SPDX-License-Identifier: BSD-3-Clause
"""An activation as a layer of its own."""

from chanconv import activations
from chanconv.layers.base import Layer


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
        return self.activation.forward(x), (x,)

    def _backward(self, saved, grad_output):
        return self.activation.backward(grad_output, *saved), {}

    def _arguments(self):
        return self._described
