# SPDX-License-Identifier: BSD-3-Clause
"""A dense block: every layer reads all channels so far and adds its own. They grow in one buffer, in place.

x[..., :c] goes in and x[..., c:c + GROWTH] comes out, by the pixel pitch of the C library: nothing is copied and nothing
is concatenated. The functions are called by their addresses, as cffi and Numba would.
"""
import ctypes
from ctypes import POINTER, Structure, byref, c_double, c_int, c_int32, c_int64, c_size_t, c_void_p

import chanconv
import numpy as np


class Conv(Structure):
    """``chanconv_conv`` of chanconv.h."""

    _fields_ = [
        ("struct_size", c_size_t),
        *((name, c_int32) for name in "dtype padding_mode padding_rule algorithm precision reserved".split()),
        *((name, c_int64) for name in "n h w c kh kw kernel_c k".split()),
        ("stride", c_int64 * 2), ("dilation", c_int64 * 2), ("padding", c_int64 * 4), ("groups", c_int64),
        ("out", c_int64 * 2),
        *((name, c_int64) for name in "x_pixel x_row x_image y_pixel y_row y_image".split()),
        ("activation", c_int32), ("parameters", c_double * 2),
    ]


class Error(Structure):
    """``chanconv_error``."""

    _fields_ = [("argument", ctypes.c_char_p), ("text", ctypes.c_char * 240)]


functions = chanconv.c_functions()
conv_init = ctypes.CFUNCTYPE(None, POINTER(Conv))(functions["conv_init"])
conv_forward = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(Conv), c_void_p, c_void_p, c_void_p, c_void_p, POINTER(Error))(
    functions["conv_forward"]
)

SAME, RELU = 1, 1
CHANNELS, GROWTH, LAYERS, SIZE = 8, 4, 3, 16


def layer(buffer, channels, kernel):
    """buffer[..., channels:channels + GROWTH] = relu(conv(buffer[..., :channels], kernel)), in place."""
    conv, error = Conv(), Error()
    conv_init(byref(conv))
    conv.h, conv.w, conv.c = SIZE, SIZE, channels
    conv.kh, conv.kw, conv.k = 3, 3, GROWTH
    conv.padding_rule, conv.activation = SAME, RELU
    conv.x_pixel = conv.y_pixel = buffer.shape[-1]
    x, y = buffer.ctypes.data, buffer[..., channels:].ctypes.data
    if conv_forward(None, byref(conv), x, kernel.ctypes.data, None, y, byref(error)):
        raise ValueError(error.text.decode())


rng = np.random.default_rng(0)
buffer = np.full((SIZE, SIZE, CHANNELS + LAYERS * GROWTH), np.nan, np.float32)
buffer[..., :CHANNELS] = rng.standard_normal((SIZE, SIZE, CHANNELS))
expected = buffer[..., :CHANNELS].copy()
for i in range(LAYERS):
    channels = CHANNELS + i * GROWTH
    kernel = rng.standard_normal((3, 3, channels, GROWTH), np.float32) / 8
    layer(buffer, channels, kernel)
    new = chanconv.conv(expected, kernel, padding="same", activation="relu")
    expected = np.concatenate([expected, new], axis=-1)
    print(f"layer {i}: {channels} channels in, {GROWTH} added, mean {new.mean():.3f}")
assert np.array_equal(buffer, expected)
