# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: embedsignature=True, freethreading_compatible=True
"""Binding of the C library: flat arrays to pointers, the call without the GIL, a status to an exception.

Every pass is written once, for the fused type ``real``; ``function["float"]`` and ``function["double"]`` are its two
versions, from which `chanconv.arrays` makes a table by dtype. Arrays are flat, C-contiguous, aligned and native: the
callers bring them into that form. The shapes are those of chanconv.h, which is the manual of what is called here.
"""
from libc.stdint cimport int32_t, int64_t

cdef extern from "chanconv.h" nogil:
    ctypedef enum chanconv_status:
        CHANCONV_OK
        CHANCONV_NO_MEMORY

    const char *chanconv_status_string(chanconv_status status)

    ctypedef struct chanconv_error:
        const char *argument
        char text[240]

    ctypedef struct chanconv_context:
        pass

    const char *chanconv_version()

    ctypedef enum chanconv_dtype:
        CHANCONV_F32
        CHANCONV_F64

    ctypedef enum chanconv_activation_kind:
        CHANCONV_IDENTITY
        CHANCONV_RELU
        CHANCONV_RELU6
        CHANCONV_LEAKY_RELU
        CHANCONV_ELU
        CHANCONV_SELU
        CHANCONV_CELU
        CHANCONV_GELU
        CHANCONV_GELU_TANH
        CHANCONV_SILU
        CHANCONV_MISH
        CHANCONV_SIGMOID
        CHANCONV_LOG_SIGMOID
        CHANCONV_HARD_SIGMOID
        CHANCONV_HARD_SILU
        CHANCONV_TANH
        CHANCONV_HARD_TANH
        CHANCONV_SOFTPLUS
        CHANCONV_SOFTSIGN
        CHANCONV_SOFTSHRINK
        CHANCONV_HARDSHRINK
        CHANCONV_TANHSHRINK
        CHANCONV_THRESHOLD

    ctypedef struct chanconv_activation:
        int32_t kind
        double p[2]

    chanconv_status chanconv_activation_forward(
        chanconv_context *context, chanconv_dtype dtype, const chanconv_activation *activation, int64_t count,
        const void *x, void *y, chanconv_error *error)
    chanconv_status chanconv_activation_backward(
        chanconv_context *context, chanconv_dtype dtype, const chanconv_activation *activation, int64_t count,
        const void *grad_y, const void *x, void *grad_x, chanconv_error *error)

ctypedef fused real:
    float
    double


# ---- Status and errors ----------------------------------------------------------------------------------------------

cdef dict EXCEPTIONS = {CHANCONV_NO_MEMORY: MemoryError}  # every other failure is a ValueError


cdef int check(chanconv_status status, chanconv_error *error) except -1:
    """Raises what a failed call stands for; the text is the library's own and begins with the argument's name."""
    if status == CHANCONV_OK:
        return 0
    text = error.text if error.text[0] else chanconv_status_string(status)
    raise EXCEPTIONS.get(<int>status, ValueError)(text.decode())


cdef int check_count(str argument, int64_t got, int64_t expected) except -1:
    """A second guard behind the callers' checks of shapes: no pass may run past the end of an array."""
    if got != expected:
        raise ValueError(f"{argument}: expected {expected} elements, got {got}")
    return 0


# ---- Activations ----------------------------------------------------------------------------------------------------

ELEMENTWISE = {
    "identity": CHANCONV_IDENTITY, "relu": CHANCONV_RELU, "relu6": CHANCONV_RELU6, "leaky_relu": CHANCONV_LEAKY_RELU,
    "elu": CHANCONV_ELU, "selu": CHANCONV_SELU, "celu": CHANCONV_CELU, "gelu": CHANCONV_GELU,
    "gelu_tanh": CHANCONV_GELU_TANH, "silu": CHANCONV_SILU, "mish": CHANCONV_MISH, "sigmoid": CHANCONV_SIGMOID,
    "log_sigmoid": CHANCONV_LOG_SIGMOID, "hard_sigmoid": CHANCONV_HARD_SIGMOID, "hard_silu": CHANCONV_HARD_SILU,
    "tanh": CHANCONV_TANH, "hard_tanh": CHANCONV_HARD_TANH, "softplus": CHANCONV_SOFTPLUS,
    "softsign": CHANCONV_SOFTSIGN, "softshrink": CHANCONV_SOFTSHRINK, "hardshrink": CHANCONV_HARDSHRINK,
    "tanhshrink": CHANCONV_TANHSHRINK, "threshold": CHANCONV_THRESHOLD,
}


cdef class Elementwise:
    """An elementwise activation with its parameters, checked: what a pass can apply to its own result.

    ``Elementwise(kind, p0=0.0, p1=0.0)``: a name of `ELEMENTWISE` and the parameters chanconv.h gives for it.
    """
    cdef chanconv_activation activation

    def __init__(self, str kind not None, double p0=0.0, double p1=0.0):
        cdef chanconv_error error
        error.text[0] = 0
        self.activation.kind = ELEMENTWISE[kind]
        self.activation.p[0] = p0
        self.activation.p[1] = p1
        check(chanconv_activation_forward(NULL, CHANCONV_F32, &self.activation, 0, NULL, NULL, &error), &error)


def activation_forward(Elementwise activation not None, const real[::1] x not None, real[::1] y not None):
    """y = activation(x); y may be x."""
    cdef chanconv_error error
    cdef chanconv_status status
    error.text[0] = 0
    check_count("out", y.shape[0], x.shape[0])
    with nogil:
        status = chanconv_activation_forward(NULL, CHANCONV_F32 if real is float else CHANCONV_F64,
                                             &activation.activation, x.shape[0], &x[0], &y[0], &error)
    check(status, &error)


# ---- The library ----------------------------------------------------------------------------------------------------

def version():
    """The version of the C library."""
    return chanconv_version().decode()
