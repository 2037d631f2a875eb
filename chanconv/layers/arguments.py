# SPDX-License-Identifier: BSD-3-Clause
"""Checks of the arguments that layers take beside those of the functions they call."""

import operator

import numpy as np

from chanconv import activations


def positive(name, value):
    """`value` as an int of at least 1."""
    number = _integer(name, value)
    if number < 1:
        raise ValueError(f"{name}: expected an integer of at least 1, got {number}")
    return number


def positive_pair(name, value):
    """An integer or a (vertical, horizontal) pair of integers, each at least 1, as a pair."""
    if isinstance(value, (tuple, list, np.ndarray)) and np.ndim(value):
        if len(value) != 2:
            raise ValueError(f"{name}: expected an integer or (vertical, horizontal), got {value!r}")
        return positive(name, value[0]), positive(name, value[1])
    return (positive(name, value),) * 2


def paddings(name, value):
    """A padding as it is kept: a word, an integer or nested tuples of integers."""
    if isinstance(value, str):
        return value
    if isinstance(value, (tuple, list, np.ndarray)) and np.ndim(value):
        return tuple(paddings(name, part) for part in value)
    return _integer(name, value)


def image_shape(name, shape):
    """``(H, W, C)`` or ``(N, H, W, C)`` as a tuple of ints."""
    try:
        sizes = tuple(_integer(name, size) for size in shape)
    except TypeError:
        raise TypeError(f"{name}: expected (H, W, C) or (N, H, W, C), got {shape!r}") from None
    if len(sizes) not in (3, 4) or min(sizes) < 0:
        raise ValueError(f"{name}: expected (H, W, C) or (N, H, W, C), got {shape!r}")
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


def _integer(name, value):
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}") from None
