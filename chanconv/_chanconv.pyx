# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: embedsignature=True, freethreading_compatible=True
# cython: binding=False, auto_pickle=False
"""Binding of the C library: flat arrays to pointers, the call without the GIL, a status to an exception.

Every pass is written once, for the fused type ``real``; `chanconv.arrays.by_dtype` makes a table of its two versions.
Arrays are flat, C-contiguous, aligned and native: the callers bring them into that form. Shapes, formulas and what the
arguments mean stand in chanconv.h.
"""
from math import prod

from cpython.buffer cimport PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.long cimport PyLong_AsDouble
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from libc.stdint cimport SIZE_MAX, int64_t, uint8_t, uintptr_t
from libc.string cimport memmove, memset, strcpy

from chanconv cimport *

# The passes by the number of arrays they read.
ctypedef chanconv_status (*unary_pass)(chanconv_context *, const chanconv_conv *, const void *, void *,
                                       chanconv_error *) noexcept nogil
ctypedef chanconv_status (*binary_pass)(chanconv_context *, const chanconv_conv *, const void *, const void *, void *,
                                        chanconv_error *) noexcept nogil
ctypedef chanconv_status (*biased_pass)(chanconv_context *, const chanconv_conv *, const void *, const void *,
                                        const void *, void *, chanconv_error *) noexcept nogil
ctypedef chanconv_status (*packed_pass)(chanconv_context *, const chanconv_conv *, const void *,
                                        const chanconv_packed *, const void *, void *, chanconv_error *) noexcept nogil

ctypedef fused real:
    float
    double

include "binding/status.pxi"
include "binding/results.pxi"
include "binding/activations.pxi"
include "binding/short_activations.pxi"
include "binding/convolution.pxi"
include "binding/passes.pxi"
include "binding/calls.pxi"
include "binding/packed_kernels.pxi"
include "binding/im2col.pxi"
include "binding/embedding.pxi"
include "binding/library.pxi"
