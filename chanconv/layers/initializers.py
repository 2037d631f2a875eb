# SPDX-License-Identifier: BSD-3-Clause
"""Initial kernels: random numbers whose variance keeps the scale of activations and gradients through a network."""

import math

# Activations that are near the identity around 0 and level off on both sides.
_SATURATING = {"sigmoid", "hard_sigmoid", "tanh", "hard_tanh", "softsign", "softmax", "log_softmax"}


def he_normal(rng, shape, fan_in, fan_out):
    """Normal numbers of variance ``2 / fan_in`` (He et al. 2015): for relu and its like, which halve the variance."""
    return rng.standard_normal(shape) * math.sqrt(2 / fan_in)


def glorot_uniform(rng, shape, fan_in, fan_out):
    """Uniform numbers of variance ``2 / (fan_in + fan_out)`` (Glorot and Bengio 2010): for sigmoid and tanh."""
    limit = math.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, shape)


def for_activation(activation):
    """The initializer that suits an `Activation` object, or None for none."""
    return glorot_uniform if activation is not None and activation.name in _SATURATING else he_normal
