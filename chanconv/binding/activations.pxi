# SPDX-License-Identifier: BSD-3-Clause
# Activations.

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

    It is what ``Activation.fused`` of `chanconv.activations` holds; None there means that no pass can apply it.
    ``Elementwise(kind, p0=0.0, p1=0.0)``: a name of `ELEMENTWISE` and the parameters chanconv.h gives for it. What a dtype
    cannot hold of them is refused by the passes.
    """
    cdef chanconv_activation activation

    def __init__(self, str kind not None, double p0=0.0, double p1=0.0):
        cdef chanconv_error error
        error.text[0] = 0
        self.activation.kind = ELEMENTWISE[kind]
        self.activation.p[0] = p0
        self.activation.p[1] = p1
        check(chanconv_activation_forward(NULL, CHANCONV_F64, &self.activation, 0, NULL, NULL, &error), &error)


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


def activation_backward(Elementwise activation not None, const real[::1] grad_y not None,
                        const real[::1] x not None, real[::1] grad_x not None):
    """grad_x = grad_y * activation'(x); grad_x may be grad_y or x."""
    cdef chanconv_error error
    cdef chanconv_status status
    error.text[0] = 0
    check_count("grad_output", grad_y.shape[0], x.shape[0])
    check_count("out", grad_x.shape[0], x.shape[0])
    with nogil:
        status = chanconv_activation_backward(NULL, CHANCONV_F32 if real is float else CHANCONV_F64,
                                              &activation.activation, x.shape[0], &grad_y[0], &x[0], &grad_x[0],
                                              &error)
    check(status, &error)


def prelu_forward(int64_t channels, const real[::1] x not None, const real[::1] slope not None,
                  real[::1] y not None):
    """y = x > 0 ? x : slope * x on x (pixels, channels); slope has one value or one per channel; y may be x."""
    cdef chanconv_error error
    cdef chanconv_status status
    cdef int64_t pixels = x.shape[0] // channels if channels else 0
    error.text[0] = 0
    check_count("x", x.shape[0], pixels * channels)
    check_count("out", y.shape[0], x.shape[0])
    with nogil:
        status = chanconv_prelu_forward(NULL, CHANCONV_F32 if real is float else CHANCONV_F64, pixels, channels,
                                        slope.shape[0], &x[0], &slope[0], &y[0], &error)
    check(status, &error)


def prelu_backward(int64_t channels, const real[::1] grad_y not None, const real[::1] x not None,
                   const real[::1] slope not None, real[::1] grad_x not None, real[::1] grad_slope not None):
    """The gradients of prelu_forward; grad_x may be grad_y or x."""
    cdef chanconv_error error
    cdef chanconv_status status
    cdef int64_t pixels = x.shape[0] // channels if channels else 0
    error.text[0] = 0
    check_count("x", x.shape[0], pixels * channels)
    check_count("grad_output", grad_y.shape[0], x.shape[0])
    check_count("out", grad_x.shape[0], x.shape[0])
    check_count("slope", grad_slope.shape[0], slope.shape[0])
    with nogil:
        status = chanconv_prelu_backward(NULL, CHANCONV_F32 if real is float else CHANCONV_F64, pixels, channels,
                                         slope.shape[0], &grad_y[0], &x[0], &slope[0], &grad_x[0], &grad_slope[0],
                                         &error)
    check(status, &error)


# Activations along the middle axis of x (outer, length, inner).
AXIS = {"softmax": CHANCONV_SOFTMAX, "log_softmax": CHANCONV_LOG_SOFTMAX, "glu": CHANCONV_GLU}


ctypedef chanconv_status (*axis_gradient)(chanconv_context *, chanconv_dtype, chanconv_axis_activation, int64_t, int64_t,
                                          int64_t, const void *, const void *, void *, chanconv_error *) noexcept nogil


cdef axis_gradient axis_gradient_from(bint output) noexcept:
    return chanconv_axis_backward_from_output if output else chanconv_axis_backward


cdef class AlongAxis:
    """An activation along an axis: a name of `AXIS` and the shape (outer, length, inner) that x is seen in; and whether
    gradients are computed from its output.
    """
    cdef chanconv_axis_activation kind
    cdef axis_gradient gradient
    cdef int64_t outer, length, inner, x_count, y_count

    def __init__(self, str kind not None, int64_t outer, int64_t length, int64_t inner, bint from_output=False):
        self.kind, self.gradient = AXIS[kind], axis_gradient_from(from_output)
        self.outer, self.length, self.inner = outer, length, inner
        self.x_count = outer * length * inner
        self.y_count = self.x_count // 2 if self.kind == CHANCONV_GLU else self.x_count


def axis_forward(AlongAxis axis not None, const real[::1] x not None, real[::1] y not None):
    """y may be x, but not for glu."""
    cdef chanconv_error error
    cdef chanconv_status status
    error.text[0] = 0
    check_count("x", x.shape[0], axis.x_count)
    check_count("out", y.shape[0], axis.y_count)
    with nogil:
        status = chanconv_axis_forward(NULL, CHANCONV_F32 if real is float else CHANCONV_F64, axis.kind, axis.outer,
                                       axis.length, axis.inner, &x[0], &y[0], &error)
    check(status, &error)


def axis_backward(AlongAxis axis not None, const real[::1] grad_y not None, const real[::1] x not None,
                  real[::1] grad_x not None):
    """The vector-Jacobian product; grad_x may be x (or, with from_output, y), and but for glu grad_y."""
    cdef chanconv_error error
    cdef chanconv_status status
    error.text[0] = 0
    check_count("x", x.shape[0], axis.x_count)
    check_count("grad_output", grad_y.shape[0], axis.y_count)
    check_count("out", grad_x.shape[0], axis.x_count)
    with nogil:
        status = axis.gradient(NULL, CHANCONV_F32 if real is float else CHANCONV_F64, axis.kind, axis.outer, axis.length,
                               axis.inner, &grad_y[0], &x[0], &grad_x[0], &error)
    check(status, &error)
