# SPDX-License-Identifier: BSD-3-Clause
"""What every layer can do: keep parameters and gradients, remember a forward pass, describe, save and load itself."""

import inspect
import zipfile
import zlib

import numpy as np

from chanconv.layers.arguments import image_shape, short


class ArrayDict(dict):
    """Arrays by name, of a layer that owns them.

    The names are fixed, and so are the arrays: ``arrays[name] = value`` copies `value` into the array. An optimiser
    may therefore hold on to the arrays and update them in place.
    """

    def __setitem__(self, name, value):
        if name not in self:
            raise KeyError(f"{name!r}: expected one of {list(self)}")
        array = self[name]
        if value is not array:
            array[...] = value

    def update(self, *others, **named):
        for name, value in dict(*others, **named).items():
            self[name] = value

    def _fixed(self, *_args, **_kwargs):
        raise TypeError("the arrays of a layer have fixed names: none can be added or removed")

    __delitem__ = __ior__ = clear = pop = popitem = setdefault = _fixed

    def __reduce__(self):
        return ArrayDict, (dict(self),)


class Layer:
    """Base of all layers.

    A layer defines ``__call__(x)``, ``_forward(x)``, which returns the output and a tuple of what the backward pass
    needs, and ``_backward(saved, grad_output)``, which returns the gradient of `x` and a dict of the gradients of its
    parameters. Everything else is here.

    Parameters
    ----------
    **parameters : ndarray
        The arrays that training changes, by name.
    """

    def __init__(self, **parameters):
        self._parameters = ArrayDict(parameters)
        self._gradients = ArrayDict({name: np.zeros_like(array) for name, array in parameters.items()})
        self._saved = None

    @property
    def parameters(self):
        """The parameters by name. The arrays are live: update them in place."""
        return self._parameters

    @property
    def gradients(self):
        """The gradients by name, with the keys of `parameters`: zeros until the first backward pass."""
        return self._gradients

    @property
    def parameter_count(self):
        """The number of values in all parameters."""
        return sum(array.size for array in self.parameters.values())

    def __call__(self, x):
        """Inference: the layer's output. Keeps no state, so several threads may call it at once."""
        raise NotImplementedError

    def _forward(self, x):
        raise NotImplementedError

    def _backward(self, saved, grad_output):
        raise NotImplementedError

    def forward(self, x):
        """The layer's output; keeps what `backward` needs until the next forward pass.

        What is kept are references: do not change `x` or the output in place between the two passes.
        """
        self._saved = None
        y, self._saved = self._forward(x)
        return y

    def backward(self, grad_output, accumulate=False):
        """The gradient of the last forward pass.

        Parameters
        ----------
        grad_output : array_like
            Gradient of the loss with respect to the output of `forward`.
        accumulate : bool
            Add to `gradients` instead of overwriting them.

        Returns
        -------
        ndarray
            Gradient of the loss with respect to the input of `forward`. Those with respect to the parameters are
            written to `gradients`.
        """
        if self._saved is None:
            raise RuntimeError(
                f"backward: no forward pass to differentiate; call forward of {type(self).__name__} first"
            )
        grad_x, computed = self._backward(self._saved, grad_output)
        for name, gradient in self.gradients.items():
            if accumulate:
                gradient += computed[name]
            else:
                gradient[...] = computed[name]
        return grad_x

    def output_shape(self, input_shape):
        """The shape of the output for an input of shape ``(H, W, C)`` or ``(N, H, W, C)``."""
        *batch, height, width, channels = image_shape("input_shape", input_shape)
        return (*batch, *self(np.empty((0, height, width, channels), np.float32)).shape[1:])

    def summary(self, input_shape):
        """A table, as a string, of layers, output shapes and parameter counts for an input of shape `input_shape`."""
        rows = [
            ("layer", "output shape", "parameters"),
            *self._summary_rows(input_shape, ""),
            ("total", "", f"{self.parameter_count:,}"),
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    def _summary_rows(self, input_shape, index):
        """One row per layer; `index` tells where a row's layer stands in the whole."""
        shape = str(self.output_shape(input_shape))
        return [(f"{index} {self!r}".strip(), shape, f"{self.parameter_count:,}")]

    def save(self, path):
        """Write the parameters to the file `path` in NumPy's ``.npz`` format."""
        with open(path, "wb") as file:
            np.savez(file, **self.parameters)

    def load(self, path):
        """Read parameters that `save` wrote; if names, shapes or dtypes differ, a ValueError and no change."""
        stored = _read_npz(path, self.parameters)
        for name, array in self.parameters.items():
            array[...] = stored[name]

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(self._arguments())})"

    def _arguments(self):
        """The constructor's arguments, each from the attribute of its name; those at their default are left out."""
        for name, argument in inspect.signature(type(self)).parameters.items():
            value = short(getattr(self, name, argument.default))
            value = value.name if isinstance(value, np.dtype) else value
            if argument.default is argument.empty:
                yield repr(value)
            elif value != argument.default:
                yield f"{name}={value!r}"

    def __getstate__(self):
        return {**self.__dict__, "_saved": None}


def _read_npz(path, expected):
    """The arrays of an ``.npz`` file, checked for the names, shapes and dtypes of `expected`."""
    with open(path, "rb") as file:
        try:
            stored = _arrays_of_npz(file, sorted(expected))
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"path: {str(path)!r} does not fit this layer: {error}") from error
    for name, array in expected.items():
        _check_same_kind(f"path: {name!r} of {str(path)!r}", stored[name], array)
    return stored


def _arrays_of_npz(file, names):
    if not zipfile.is_zipfile(file):
        raise ValueError("expected an .npz file")
    file.seek(0)
    with np.load(file, allow_pickle=False) as npz:
        if sorted(npz.files) != names:
            raise ValueError(f"expected the arrays {names}, got {sorted(npz.files)}")
        return {name: npz[name] for name in names}


def _check_same_kind(what, array, expected):
    if array.shape != expected.shape:
        raise ValueError(f"{what}: expected shape {expected.shape}, got {array.shape}")
    if array.dtype.newbyteorder("=") != expected.dtype:
        raise ValueError(f"{what}: expected dtype {expected.dtype}, got {array.dtype}")
