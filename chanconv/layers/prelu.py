# SPDX-License-Identifier: BSD-3-Clause
"""The activation that learns its slope."""

import numpy as np

from chanconv import activations
from chanconv.layers.arguments import float_dtype, positive
from chanconv.layers.base import Layer


class PReLU(Layer):
    """``x if x > 0 else slope * x``, with one learned slope per channel that begins at 0.25.

    Parameters
    ----------
    channels : int
        Size of the input's last axis.
    dtype : dtype
        float32 or float64.
    """

    def __init__(self, channels, *, dtype="float32"):
        self.channels = positive("channels", channels)
        self.dtype = float_dtype("dtype", dtype)
        super().__init__(slope=np.full(self.channels, 0.25, self.dtype))

    def __call__(self, x):
        return activations.prelu(x, self.parameters["slope"])

    def _forward(self, x):
        return self(x), (x,)

    def _backward(self, saved, grad_output):
        gradients = activations.prelu_backward(grad_output, *saved, self.parameters["slope"])
        return gradients.x, {"slope": gradients.slope}
