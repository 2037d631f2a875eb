# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3
"""Sharpens images that live in an array type of its own. No NumPy here, neither to compile nor to run."""
from libc.stdlib cimport calloc, free

from chanconv cimport (
    CHANCONV_OK, CHANCONV_REPLICATE, chanconv_conv, chanconv_conv_forward, chanconv_conv_init, chanconv_error,
    chanconv_status, import_chanconv)

import_chanconv()


cdef class Image:
    """Pixels [height][width][channels] of type float; a memoryview of it, or np.asarray, shows them."""
    cdef float *pixels
    cdef Py_ssize_t shape[3]
    cdef Py_ssize_t strides[3]

    def __cinit__(self, Py_ssize_t height, Py_ssize_t width, Py_ssize_t channels):
        self.shape[:] = [height, width, channels]
        self.strides[:] = [width * channels * sizeof(float), channels * sizeof(float), sizeof(float)]
        self.pixels = <float *>calloc(height * width * channels, sizeof(float))
        if not self.pixels:
            raise MemoryError

    def __dealloc__(self):
        free(self.pixels)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        buffer.buf = self.pixels
        buffer.obj = self
        buffer.len = self.shape[0] * self.strides[0]
        buffer.itemsize = sizeof(float)
        buffer.format = "f"
        buffer.ndim = 3
        buffer.shape = self.shape
        buffer.strides = self.strides
        buffer.suboffsets = NULL
        buffer.readonly = 0
        buffer.internal = NULL

    def sharpened(self, float amount=1):
        """The image plus `amount` times what a blur takes away: one 3x3 kernel, for every channel by itself."""
        cdef Image result = Image(self.shape[0], self.shape[1], self.shape[2])
        cdef Py_ssize_t tap, c, channels = self.shape[2]
        cdef float[3] blur = [0.25, 0.5, 0.25]
        cdef float *kernel = <float *>calloc(9 * channels, sizeof(float))
        cdef chanconv_conv conv
        cdef chanconv_error error
        cdef chanconv_status status
        if not kernel:
            raise MemoryError
        for tap in range(9):
            for c in range(channels):
                kernel[tap * channels + c] = (1 + amount if tap == 4 else 0) - amount * blur[tap // 3] * blur[tap % 3]
        chanconv_conv_init(&conv)
        conv.h, conv.w, conv.c = self.shape[0], self.shape[1], channels
        conv.kh = conv.kw = 3
        conv.k = conv.groups = channels
        conv.padding[0][0] = conv.padding[0][1] = conv.padding[1][0] = conv.padding[1][1] = 1
        conv.padding_mode = CHANCONV_REPLICATE
        with nogil:
            status = chanconv_conv_forward(NULL, &conv, self.pixels, kernel, NULL, result.pixels, &error)
        free(kernel)
        if status != CHANCONV_OK:
            raise ValueError(error.text.decode())
        return result
