# SPDX-License-Identifier: BSD-3-Clause
"""Layers one after another."""

from contextlib import contextmanager

from chanconv.layers.base import ArrayDict, Layer


class Sequential(Layer):
    """A network whose layers are applied one after another.

    Parameters and gradients are those of the layers, with the layer's index in front: ``"0.kernel"``. Indexing gives a
    layer, slicing a Sequential of the same layers.

    Parameters
    ----------
    *layers : Layer
        Each a different object.
    """

    def __init__(self, *layers):
        super().__init__()
        for index, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"layers[{index}]: expected a Layer, got {type(layer).__name__}")
        self._layers = layers
        leaves = [id(leaf) for leaf in self._leaves()]
        if len(set(leaves)) < len(leaves):
            raise ValueError("layers: expected different objects, got the same layer more than once")

    @property
    def parameters(self):
        """The layers' parameters by ``"index.name"``. The arrays are live: update them in place."""
        return self._gather("parameters")

    @property
    def gradients(self):
        """The layers' gradients by ``"index.name"``."""
        return self._gather("gradients")

    def __len__(self):
        return len(self._layers)

    def __iter__(self):
        return iter(self._layers)

    def __getitem__(self, index):
        return Sequential(*self._layers[index]) if isinstance(index, slice) else self._layers[index]

    def __call__(self, x):
        for index, layer in enumerate(self):
            with _naming(index, layer):
                x = layer(x)
        return x

    def _forward(self, x):
        saved = []
        for index, layer in enumerate(self):
            with _naming(index, layer):
                x, kept = layer._forward(x)
                saved.append(kept)
        return x, saved

    def _backward(self, saved, grad_output):
        gradients = {}
        for index, layer in reversed(list(enumerate(self))):
            with _naming(index, layer):
                grad_output, computed = layer._backward(saved[index], grad_output)
            gradients.update((f"{index}.{name}", gradient) for name, gradient in computed.items())
        return grad_output, gradients

    def _gather(self, attribute):
        return ArrayDict(
            {
                f"{index}.{name}": array
                for index, layer in enumerate(self)
                for name, array in getattr(layer, attribute).items()
            }
        )

    def _leaves(self):
        """The layers, those of a Sequential in their place."""
        for layer in self:
            yield from layer._leaves() if isinstance(layer, Sequential) else (layer,)

    def _summary_rows(self, input_shape, index):
        rows = []
        for position, layer in enumerate(self):
            with _naming(position, layer):
                rows += layer._summary_rows(input_shape, f"{index}.{position}".lstrip("."))
                input_shape = layer.output_shape(input_shape)
        return rows

    def _arguments(self):
        return (repr(layer) for layer in self)


@contextmanager
def _naming(index, layer):
    """Adds to an error the layer that it comes from."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in layer {index}: {layer!r}")
        raise
