# SPDX-License-Identifier: BSD-3-Clause
"""Checks of the arguments that layers take beside those of the functions they call."""

import numpy as np

from chanconv import activations, geometry


def positive(name, value):
    """`value` as an int of at least 1."""
    number = geometry.index(name, value)
    if number < 1:
        raise ValueError(f"{name}: expected an int of at least 1, got {number}")
    return number


def positive_pair(name, value):
    """(vertical, horizontal) of an int or a pair, each at least 1."""
    numbers = geometry.pair(name, value)
    if min(numbers) < 1:
        raise ValueError(f"{name}: expected ints of at least 1, got {value!r}")
    return numbers


def short(value):
    """The short form of pairs: one of two equal values."""
    if not isinstance(value, tuple):
        return value
    parts = tuple(map(short, value))
    if any(isinstance(part, tuple) for part in parts):
        return value
    return parts[0] if len(set(parts)) == 1 else parts


def image_shape(name, value):
    """The shape ``(H, W, C)`` or ``(N, H, W, C)``."""
    sizes = geometry.shape(name, value)
    if len(sizes) not in (3, 4):
        raise ValueError(f"{name}: expected (H, W, C) or (N, H, W, C), got {value!r}")
    return sizes


def flag(name, value):
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, got {type(value).__name__}")
    return bool(value)


def float_dtype(name, value):
    """The dtype float32 or float64."""
    try:
        dtype = np.dtype(value)
    except TypeError:
        dtype = None
    if value is None or dtype not in (np.float32, np.float64):
        raise TypeError(f"{name}: expected float32 or float64, got {value!r}")
    return dtype


def generator(name, value):
    """A `numpy.random.Generator` from a seed, a Generator or None."""
    try:
        return np.random.default_rng(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: expected a seed or a numpy.random.Generator, got {value!r}") from error


def activation_object(name, value):
    """An `Activation` object from its name or itself; None for None and for the identity."""
    if isinstance(value, str):
        value = activations.get(value)
    if value is not None and not isinstance(value, activations.Activation):
        raise TypeError(f"{name}: expected a name, an activations.Activation or None, got {type(value).__name__}")
    return None if value is None or value.name == "identity" else value
