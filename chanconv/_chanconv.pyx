# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: embedsignature=True, freethreading_compatible=True
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


# ---- Status and errors ----------------------------------------------------------------------------------------------

cdef dict EXCEPTIONS = {CHANCONV_NO_MEMORY: MemoryError}  # every other failure is a ValueError


cdef int check(chanconv_status status, chanconv_error *error) except -1:
    """Raises what a failed call stands for; the text is the library's own and begins with the argument's name."""
    cdef const char *text
    if status == CHANCONV_OK:
        return 0
    text = &error.text[0]
    if text[0] == 0:
        text = chanconv_status_string(status)
    raise EXCEPTIONS.get(<int>status, ValueError)(text.decode())


cdef int check_count(str argument, int64_t got, int64_t expected) except -1:
    """A second guard behind the callers' checks of shapes: no pass may run past the end of an array."""
    if got != expected:
        raise ValueError(f"{argument}: expected {expected} elements, got {got}")
    return 0


# ---- Results --------------------------------------------------------------------------------------------------------
# Memory of NumPy's own begins 16 bytes behind a cache line if it is much: every vector of 64 bytes that is stored there
# meets two lines, and large layers take up to a sixth more time. NumPy asks a handler for the memory of an array (its NEP 49),
# so large results are made while one is set that begins at a line. They own their memory like any other array.
#
# The handler keeps the last block of some megabytes that it was given back for the next result of about that size. The system
# zeroes new memory page by page: 1.7 ms for the 16 MiB of 256 x 256 x 64, a fourth of what their convolution takes; and C's
# allocator returns blocks to the system whenever the heap ends in many that are free.

# Names of NumPy, which this module does not import: builds that only ask for paths may not have it.
cdef object NDARRAY = None, EMPTY = None, FLOAT32 = None, FLOAT64 = None

cdef struct Allocator:  # PyDataMemAllocator of NumPy's C API
    void *ctx
    void *(*malloc)(void *ctx, size_t size) noexcept
    void *(*calloc)(void *ctx, size_t count, size_t size) noexcept
    void *(*realloc)(void *ctx, void *memory, size_t size) noexcept
    void (*free)(void *ctx, void *memory, size_t size) noexcept

cdef struct Handler:  # PyDataMem_Handler
    char name[127]
    uint8_t version
    Allocator allocator

cdef enum:  # what lies where in the table of NumPy's C API; places never change
    SET_HANDLER = 304
    GET_HANDLER = 305
    DEFAULT_HANDLER = 306

cdef enum:
    LINE = 64
    ROOM = LINE + 16           # for what stands before the line
    KEPT_BYTES_MIN = 1 << 20   # of a block that is kept
    KEPT_BYTES_MAX = 32 << 20

ALIGNED_FROM = 1 << 15  # elements from which on it saves more than the 0.3 us that the handler takes
cdef double aligned_from = ALIGNED_FROM

cdef object (*get_handler)()
cdef object (*set_handler)(object)
cdef object NUMPYS = None, OURS = None  # handlers, each in its capsule
cdef Allocator numpys
cdef Handler ours


cdef extern from *:
    """
    static void *exchange(void **place, void *value) { return __atomic_exchange_n(place, value, __ATOMIC_ACQ_REL); }
    """
    void *exchange(void **place, void *value) noexcept

cdef void *kept = NULL  # memory of a block, or NULL

cdef struct Block:  # what stands before its first line
    void *base      # as NumPy's allocator gave it
    size_t size     # bytes from the line on


cdef Block *block_of(void *memory) noexcept:
    return <Block *>memory - 1


cdef void *first_line(void *base) noexcept:
    return <void *>((<uintptr_t>base + sizeof(Block) + LINE - 1) & ~<uintptr_t>(LINE - 1))


cdef void *begin_block(void *base, size_t size) noexcept:
    """The memory of a block that NumPy's allocator gave with ROOM for its beginning; NULL stays NULL."""
    cdef void *memory = first_line(base)
    if base == NULL:
        return NULL
    block_of(memory)[0] = Block(base, size)
    return memory


cdef void end_block(void *memory) noexcept:
    if memory != NULL:
        numpys.free(numpys.ctx, block_of(memory).base, block_of(memory).size + ROOM)


cdef void *take_kept(size_t size) noexcept:
    """The kept block if it suits so many bytes, without more than a fifth going to waste, else NULL."""
    cdef void *memory = exchange(&kept, NULL) if KEPT_BYTES_MIN <= size <= KEPT_BYTES_MAX else NULL
    if memory != NULL and not size <= block_of(memory).size <= size + size // 4:
        end_block(exchange(&kept, memory))
        memory = NULL
    return memory


cdef void *take(void *ctx, size_t size) noexcept:
    cdef void *memory = take_kept(size)
    if memory != NULL or size > SIZE_MAX - ROOM:
        return memory
    memory = begin_block(numpys.malloc(numpys.ctx, size + ROOM), size)
    if memory == NULL:  # what is kept may be what is missing
        end_block(exchange(&kept, NULL))
        memory = begin_block(numpys.malloc(numpys.ctx, size + ROOM), size)
    return memory


cdef void *take_zeros(void *ctx, size_t count, size_t size) noexcept:
    if size and count > (SIZE_MAX - ROOM) // size:
        return NULL
    return begin_block(numpys.calloc(numpys.ctx, 1, count * size + ROOM), count * size)


cdef void *resize(void *ctx, void *memory, size_t size) noexcept:
    cdef char *base
    cdef size_t before, used
    if memory == NULL:
        return take(ctx, size)
    if size > SIZE_MAX - ROOM:
        return NULL
    base = <char *>block_of(memory).base
    before = <char *>memory - base
    used = min(size, block_of(memory).size)
    base = <char *>numpys.realloc(numpys.ctx, base, size + ROOM)
    if base != NULL:
        memmove(first_line(base), base + before, used)
    return begin_block(base, size)


cdef void give_back(void *ctx, void *memory, size_t size) noexcept:
    if memory != NULL and KEPT_BYTES_MIN <= block_of(memory).size <= KEPT_BYTES_MAX:
        memory = exchange(&kept, memory)
    end_block(memory)


def use_numpy(numpy, c_api):
    """Hands this section the module and the capsule of its C API; called by `chanconv.arrays`, before anything here can be."""
    global NDARRAY, EMPTY, FLOAT32, FLOAT64, NUMPYS, OURS, get_handler, set_handler, numpys
    cdef void **table = <void **>PyCapsule_GetPointer(c_api, NULL)
    NDARRAY, EMPTY = numpy.ndarray, numpy.empty
    FLOAT32, FLOAT64 = numpy.dtype("float32"), numpy.dtype("float64")
    get_handler = <object (*)()>table[GET_HANDLER]
    set_handler = <object (*)(object)>table[SET_HANDLER]
    NUMPYS = <object>(<PyObject **>table[DEFAULT_HANDLER])[0]
    numpys = (<Handler *>PyCapsule_GetPointer(NUMPYS, "mem_handler")).allocator
    strcpy(ours.name, "chanconv")
    ours.version = 1
    ours.allocator = Allocator(NULL, take, take_zeros, resize, give_back)
    OURS = PyCapsule_New(&ours, "mem_handler", NULL)


cdef bint is_large(tuple shape) except -1:
    cdef double size = 1
    for i in range(len(shape)):
        size *= PyLong_AsDouble(shape[i])
    return size >= aligned_from


cdef object new_large(object shape, object dtype):
    """A program's own handler stays in charge."""
    if get_handler() is not NUMPYS:
        return EMPTY(shape, dtype)
    set_handler(OURS)
    try:
        return EMPTY(shape, dtype)
    finally:
        set_handler(NUMPYS)


def new_array(tuple shape not None, dtype):
    """An array for a result, not initialised."""
    return new_large(shape, dtype) if is_large(shape) else EMPTY(shape, dtype)


cdef object new_like(const Py_buffer *x, object shape, object dtype):
    """The same, of the size of x, or about it."""
    return new_large(shape, dtype) if x.len >= aligned_from * x.itemsize else EMPTY(shape, dtype)


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


# ---- Activations, the short way -------------------------------------------------------------------------------------
# What `chanconv.activations` does with arrays of any form takes some microseconds, longer than the arithmetic of thousands
# of elements. Most calls bring arrays that need nothing done: those, and no others, come through here.

cdef enum:
    # Bytes of x up to which the GIL is kept. Giving it away and taking it back costs 21 ns: 5 % of a call that does nothing,
    # here 1.5 % of gelu and 4 % of relu; and where another thread computes, its return may take the switch interval, 5 ms,
    # thousands of times as long as such a call.
    KEEP_GIL = 1 << 14
    KEEP_GIL_PRODUCTS = 1 << 16 # multiplications of a convolution up to which it is kept: 2 us at most, by the same reasons
    HUGE = 1 << 30      # bytes from which on a check for memory is worth its time

cdef struct Held:  # buffers to be released
    int count
    Py_buffer buffer[5]


cdef object plain_dtype(object array):
    """float32 or float64 if it is that of an ordinary array, else None."""
    if type(array) is NDARRAY:
        dtype = array.dtype
        if dtype is FLOAT32 or dtype is FLOAT64:
            return dtype
    return None


cdef Py_buffer *hold(Held *held, object array, object dtype, int flags) except? NULL:
    """The buffer of an ordinary array that is contiguous and aligned, else NULL."""
    cdef Py_buffer *buffer = &held.buffer[held.count]
    if type(array) is not NDARRAY or array.dtype is not dtype:
        return NULL
    try:
        PyObject_GetBuffer(array, buffer, PyBUF_ND | flags)
    except (BufferError, ValueError):
        return NULL
    held.count += 1
    return NULL if <uintptr_t>buffer.buf % <size_t>buffer.itemsize or buffer.len >= HUGE else buffer


cdef void release(Held *held) noexcept:
    for i in range(held.count):
        PyBuffer_Release(&held.buffer[i])


cdef bint same_shape(const Py_buffer *a, const Py_buffer *b) noexcept:
    if a.ndim != b.ndim:
        return False
    for i in range(a.ndim):
        if a.shape[i] != b.shape[i]:
            return False
    return True


cdef bint apart(const Py_buffer *out, const Py_buffer *array) noexcept:
    """Whether writing `out` leaves `array` alone."""
    cdef const char *a = <const char *>out.buf
    cdef const char *b = <const char *>array.buf
    return a + out.len <= b or b + array.len <= a


cdef bint replaces(const Py_buffer *out, const Py_buffer *array) noexcept:
    """Whether `out` can take a result in place of `array`, of the same shape, or leaves it alone."""
    return same_shape(out, array) and (out.buf == array.buf or apart(out, array))


cdef bint fill(tuple values, chanconv_activation *activation) except -1:
    """Whether the parameters are numbers that need no conversion."""
    activation.p[0] = activation.p[1] = 0
    for i in range(len(values)):
        if type(values[i]) is not float:
            return False
        activation.p[i] = values[i]
    return True


cdef class Kind:
    """An elementwise activation, for the functions of `chanconv.activations`.

    ``Kind(name, parameters, forward, backward, short)``: a name of `ELEMENTWISE`, the names of its parameters; what to call
    where the short way is none, as ``forward(kind, x, out, *values)`` and ``backward(kind, grad_output, x, out, *values)``;
    and whether there is one at all.
    """
    cdef chanconv_activation_kind kind
    cdef readonly str name
    cdef readonly tuple parameters
    cdef object long_forward, long_backward
    cdef bint short

    def __init__(self, str name not None, tuple parameters not None, forward, backward, bint short):
        self.kind = ELEMENTWISE[name]
        self.name, self.parameters = name, parameters
        self.long_forward, self.long_backward = forward, backward
        self.short = short

    def forward(self, x, out=None, *values):
        """The activation of x."""
        cdef Held held
        held.count = 0
        dtype = plain_dtype(x) if self.short else None
        if dtype is not None:
            try:
                y = self.short_forward(&held, dtype, x, out, values)
            finally:
                release(&held)
            if y is not None:
                return y
        return self.long_forward(self, x, out, *values)

    def backward(self, grad_output, x, out=None, *values):
        """The gradient of x."""
        cdef Held held
        held.count = 0
        dtype = plain_dtype(x) if self.short else None
        if dtype is not None:
            try:
                grad_x = self.short_backward(&held, dtype, grad_output, x, out, values)
            finally:
                release(&held)
            if grad_x is not None:
                return grad_x
        return self.long_backward(self, grad_output, x, out, *values)

    cdef object short_forward(self, Held *held, object dtype, object x, object out, tuple values):
        cdef chanconv_activation activation
        cdef Py_buffer *source = hold(held, x, dtype, 0)
        activation.kind = self.kind
        if source == NULL or not fill(values, &activation):
            return None
        y = new_like(source, x.shape, dtype) if out is None else out
        cdef Py_buffer *target = hold(held, y, dtype, PyBUF_WRITABLE)
        if target == NULL or not replaces(target, source):
            return None
        run_forward(&activation, dtype is FLOAT64, source, target.buf)
        return y

    cdef object short_backward(self, Held *held, object dtype, object grad_output, object x, object out, tuple values):
        cdef chanconv_activation activation
        cdef Py_buffer *source = hold(held, x, dtype, 0)
        cdef Py_buffer *grad = hold(held, grad_output, dtype, 0)
        activation.kind = self.kind
        if source == NULL or grad == NULL or not fill(values, &activation):
            return None
        grad_x = new_like(source, x.shape, dtype) if out is None else out
        cdef Py_buffer *target = hold(held, grad_x, dtype, PyBUF_WRITABLE)
        if target == NULL or not replaces(target, source) or not replaces(target, grad):
            return None
        run_backward(&activation, dtype is FLOAT64, grad, source, target.buf)
        return grad_x


cdef int run_forward(const chanconv_activation *activation, bint f64, const Py_buffer *x, void *y) except -1:
    cdef chanconv_dtype dtype = CHANCONV_F64 if f64 else CHANCONV_F32
    cdef int64_t count = x.len // x.itemsize
    cdef const void *source = x.buf
    cdef chanconv_error error
    cdef chanconv_status status
    error.text[0] = 0
    if x.len <= KEEP_GIL:
        status = chanconv_activation_forward(NULL, dtype, activation, count, source, y, &error)
    else:
        with nogil:
            status = chanconv_activation_forward(NULL, dtype, activation, count, source, y, &error)
    return check(status, &error)


cdef int run_backward(const chanconv_activation *activation, bint f64, const Py_buffer *grad_y, const Py_buffer *x,
                      void *grad_x) except -1:
    cdef chanconv_dtype dtype = CHANCONV_F64 if f64 else CHANCONV_F32
    cdef int64_t count = x.len // x.itemsize
    cdef const void *grad = grad_y.buf
    cdef const void *source = x.buf
    cdef chanconv_error error
    cdef chanconv_status status
    error.text[0] = 0
    if x.len <= KEEP_GIL:
        status = chanconv_activation_backward(NULL, dtype, activation, count, grad, source, grad_x, &error)
    else:
        with nogil:
            status = chanconv_activation_backward(NULL, dtype, activation, count, grad, source, grad_x, &error)
    return check(status, &error)


cdef struct Cut:  # x as (outer, length, inner), the activation along the middle
    int64_t outer, length, inner


cdef bint cut(const Py_buffer *x, object axis, Cut *result) except -1:
    """Whether `axis` is an int that names an axis of x, and no size of x is 0."""
    if type(axis) is not int or x.len == 0 or not -x.ndim <= axis < x.ndim:
        return False
    cdef int number = axis
    number += x.ndim if number < 0 else 0
    result.outer = result.inner = 1
    for i in range(number):
        result.outer *= x.shape[i]
    for i in range(number + 1, x.ndim):
        result.inner *= x.shape[i]
    result.length = x.shape[number]
    return True


cdef class AxisKind:
    """As `Kind`, for a name of `AXIS`: ``forward(name, x, axis, out)`` and ``backward(name, grad_output, x, axis, out)``.

    With `from_output` the backward pass takes the activation's output for x.
    """
    cdef chanconv_axis_activation kind
    cdef axis_gradient gradient
    cdef readonly str name
    cdef object long_forward, long_backward
    cdef bint short

    def __init__(self, str name not None, forward, backward, bint short, bint from_output=False):
        self.kind, self.gradient = AXIS[name], axis_gradient_from(from_output)
        self.name, self.long_forward, self.long_backward, self.short = name, forward, backward, short

    def forward(self, x, axis, out=None):
        """The activation of x."""
        cdef Held held
        held.count = 0
        dtype = plain_dtype(x) if self.short else None
        if dtype is not None:
            try:
                y = self.short_forward(&held, dtype, x, axis, out)
            finally:
                release(&held)
            if y is not None:
                return y
        return self.long_forward(self.name, x, axis, out)

    def backward(self, grad_output, x, axis, out=None):
        """The gradient of x."""
        cdef Held held
        held.count = 0
        dtype = plain_dtype(x) if self.short else None
        if dtype is not None:
            try:
                grad_x = self.short_backward(&held, dtype, grad_output, x, axis, out)
            finally:
                release(&held)
            if grad_x is not None:
                return grad_x
        return self.long_backward(self.name, grad_output, x, axis, out)

    cdef object half(self, object shape, object axis):
        """The shape of y."""
        if self.kind != CHANCONV_GLU:
            return shape
        sizes = list(shape)
        sizes[axis] //= 2
        return tuple(sizes)

    cdef bint fits(self, const Py_buffer *y, const Py_buffer *x, const Cut *c, int64_t axis):
        """Whether y has the shape of a result."""
        if self.kind != CHANCONV_GLU:
            return same_shape(y, x)
        if y.ndim != x.ndim:
            return False
        axis += x.ndim if axis < 0 else 0
        for i in range(x.ndim):
            if y.shape[i] != (x.shape[i] // 2 if i == axis else x.shape[i]):
                return False
        return True

    cdef object short_forward(self, Held *held, object dtype, object x, object axis, object out):
        cdef Cut c
        cdef Py_buffer *source = hold(held, x, dtype, 0)
        if source == NULL or not cut(source, axis, &c) or (self.kind == CHANCONV_GLU and c.length % 2):
            return None
        y = new_like(source, self.half(x.shape, axis), dtype) if out is None else out
        cdef Py_buffer *target = hold(held, y, dtype, PyBUF_WRITABLE)
        if target == NULL or not self.fits(target, source, &c, axis):
            return None
        if not apart(target, source) and (self.kind == CHANCONV_GLU or target.buf != source.buf):
            return None
        cdef chanconv_error error
        cdef chanconv_status status
        cdef chanconv_dtype type_ = CHANCONV_F64 if dtype is FLOAT64 else CHANCONV_F32
        error.text[0] = 0
        with nogil:
            status = chanconv_axis_forward(NULL, type_, self.kind, c.outer, c.length, c.inner, source.buf, target.buf,
                                           &error)
        check(status, &error)
        return y

    cdef object short_backward(self, Held *held, object dtype, object grad_output, object x, object axis, object out):
        cdef Cut c
        cdef Py_buffer *source = hold(held, x, dtype, 0)
        cdef Py_buffer *grad = hold(held, grad_output, dtype, 0)
        if source == NULL or grad == NULL or not cut(source, axis, &c) or not self.fits(grad, source, &c, axis):
            return None
        if self.kind == CHANCONV_GLU and c.length % 2:
            return None
        grad_x = new_like(source, x.shape, dtype) if out is None else out
        cdef Py_buffer *target = hold(held, grad_x, dtype, PyBUF_WRITABLE)
        if target == NULL or not replaces(target, source) or not (
            apart(target, grad) or (self.kind != CHANCONV_GLU and target.buf == grad.buf)
        ):
            return None
        cdef chanconv_error error
        cdef chanconv_status status
        cdef chanconv_dtype type_ = CHANCONV_F64 if dtype is FLOAT64 else CHANCONV_F32
        error.text[0] = 0
        with nogil:
            status = self.gradient(NULL, type_, self.kind, c.outer, c.length, c.inner, grad.buf, source.buf, target.buf,
                                   &error)
        check(status, &error)
        return grad_x


cdef int64_t channels_of(const Py_buffer *x, const Py_buffer *slope) noexcept:
    """Channels of x for `prelu`, -1 if the slopes are none of them."""
    cdef int64_t channels = x.shape[x.ndim - 1] if x.ndim else 1
    fits = slope.ndim == 0 or (slope.ndim == 1 and (slope.shape[0] == 1 or slope.shape[0] == channels))
    return channels if fits and x.len > 0 else -1


def short_prelu(x, slope, out):
    """What `prelu` gives, or None where the arrays are not ordinary ones."""
    cdef Held held
    held.count = 0
    dtype = plain_dtype(x)
    try:
        return None if dtype is None else prelu_held(&held, dtype, x, slope, out)
    finally:
        release(&held)


cdef object prelu_held(Held *held, object dtype, object x, object slope, object out):
    cdef Py_buffer *source = hold(held, x, dtype, 0)
    cdef Py_buffer *slopes = hold(held, slope, dtype, 0)
    cdef int64_t channels = channels_of(source, slopes) if source != NULL and slopes != NULL else -1
    if channels < 0:
        return None
    y = new_like(source, x.shape, dtype) if out is None else out
    cdef Py_buffer *target = hold(held, y, dtype, PyBUF_WRITABLE)
    if target == NULL or not replaces(target, source) or not apart(target, slopes):
        return None
    cdef chanconv_error error
    cdef chanconv_status status
    cdef chanconv_dtype type_ = CHANCONV_F64 if dtype is FLOAT64 else CHANCONV_F32
    cdef int64_t pixels = source.len // source.itemsize // channels, count = slopes.len // slopes.itemsize
    error.text[0] = 0
    with nogil:
        status = chanconv_prelu_forward(NULL, type_, pixels, channels, count, source.buf, slopes.buf, target.buf, &error)
    check(status, &error)
    return y


def short_prelu_backward(grad_output, x, slope):
    """The gradients that `prelu_backward` gives, or None where the arrays are not ordinary ones."""
    cdef Held held
    held.count = 0
    dtype = plain_dtype(x)
    try:
        return None if dtype is None else prelu_backward_held(&held, dtype, grad_output, x, slope)
    finally:
        release(&held)


cdef object prelu_backward_held(Held *held, object dtype, object grad_output, object x, object slope):
    cdef Py_buffer *source = hold(held, x, dtype, 0)
    cdef Py_buffer *grad = hold(held, grad_output, dtype, 0)
    cdef Py_buffer *slopes = hold(held, slope, dtype, 0)
    if source == NULL or grad == NULL or slopes == NULL or not same_shape(grad, source):
        return None
    cdef int64_t channels = channels_of(source, slopes)
    if channels < 0:
        return None
    grad_x, grad_slope = new_like(source, x.shape, dtype), new_like(slopes, slope.shape, dtype)
    cdef Py_buffer *target = hold(held, grad_x, dtype, PyBUF_WRITABLE)
    cdef Py_buffer *sums = hold(held, grad_slope, dtype, PyBUF_WRITABLE)
    if target == NULL or sums == NULL:
        return None
    cdef chanconv_error error
    cdef chanconv_status status
    cdef chanconv_dtype type_ = CHANCONV_F64 if dtype is FLOAT64 else CHANCONV_F32
    cdef int64_t pixels = source.len // source.itemsize // channels, count = slopes.len // slopes.itemsize
    error.text[0] = 0
    with nogil:
        status = chanconv_prelu_backward(NULL, type_, pixels, channels, count, grad.buf, source.buf, slopes.buf,
                                         target.buf, sums.buf, &error)
    check(status, &error)
    return grad_x, grad_slope


# ---- Convolution: the descriptor ------------------------------------------------------------------------------------

PADDING_MODES = {
    "zeros": CHANCONV_ZEROS, "reflect": CHANCONV_REFLECT, "replicate": CHANCONV_REPLICATE,
    "circular": CHANCONV_CIRCULAR, "symmetric": CHANCONV_SYMMETRIC,
}
PADDING_RULES = {"same": CHANCONV_PAD_SAME, "same_lower": CHANCONV_PAD_SAME_LOWER}
ALGORITHMS = {
    "auto": CHANCONV_AUTO, "gemm": CHANCONV_GEMM, "direct": CHANCONV_DIRECT, "winograd": CHANCONV_WINOGRAD,
    "fft": CHANCONV_FFT, "im2col": CHANCONV_IM2COL,
}
PASSES = {"forward": CHANCONV_FORWARD, "grad_x": CHANCONV_GRAD_X, "grad_kernel": CHANCONV_GRAD_KERNEL}
PRECISIONS = ("fast", "strict")

cdef dict DTYPES = {sizeof(float): CHANCONV_F32, sizeof(double): CHANCONV_F64}
cdef dict ALGORITHM_NAMES = {number: name for name, number in ALGORITHMS.items()}


cdef class PackedKernel:
    """A kernel as a pass reads it, and a copy of it: see `pack_kernel`. It does not change, so threads may share it."""
    cdef chanconv_packed *packed
    cdef chanconv_pass direction
    cdef int64_t count
    cdef size_t item

    def __dealloc__(self):
        chanconv_packed_destroy(NULL, self.packed)


def reach(shape, pitches):
    """Elements from the first of an array (N, H, W, C), none of them 0, to its last, at the pitches of `sliced`."""
    n, h, w, c = shape
    pixel, row, image = pitches
    return (n - 1) * image + (h - 1) * row + (w - 1) * pixel + c


cdef class Convolution:
    """A checked descriptor of one convolution: x (N, H, W, C), kernel (KH, KW, C / groups, K), y (N, OH, OW, K).

    Parameters
    ----------
    item : int
        Bytes of an element: 4 or 8.
    x_shape, kernel_shape : tuple of 4 int
    stride, dilation : (int, int)
    padding : ((int, int), (int, int)) or a name of `PADDING_RULES`
    groups : int
    padding_mode, algorithm : int
        Values of `PADDING_MODES` and `ALGORITHMS`.
    strict : int
        Index in `PRECISIONS`.
    output_padding : (int, int), optional
        Makes it the convolution that a transposed one is the gradient of. H and W of `x_shape` are then those of y,
        the input of the transposed convolution, and those of x follow.
    """
    cdef chanconv_conv conv
    cdef chanconv_sizes sizes
    cdef readonly size_t item
    cdef bint brief            # whether a pass takes no longer than giving the GIL to another thread and taking it back
    cdef signed char gains[3]  # of packing kernels for a pass: 1, -1, or 0 for not known
    cdef readonly tuple x_shape, kernel_shape, y_shape, columns_shape

    def __init__(self, size_t item, x_shape, kernel_shape, stride, dilation, padding, groups, int padding_mode,
                 int algorithm, int strict, output_padding=None):
        cdef chanconv_conv *conv = &self.conv
        cdef chanconv_error error
        cdef int64_t grid[2]
        cdef int64_t extra[2]
        error.text[0] = 0
        chanconv_conv_init(conv)
        self.item = item
        conv.dtype = DTYPES[item]
        conv.n, conv.h, conv.w, conv.c = x_shape
        conv.kh, conv.kw, conv.kernel_c, conv.k = kernel_shape
        conv.stride[0], conv.stride[1] = stride
        conv.dilation[0], conv.dilation[1] = dilation
        if padding in PADDING_RULES:
            conv.padding_rule = PADDING_RULES[padding]
        else:
            (conv.padding[0][0], conv.padding[0][1]), (conv.padding[1][0], conv.padding[1][1]) = padding
        conv.groups = groups
        conv.padding_mode = padding_mode
        conv.algorithm = algorithm
        conv.precision = strict
        if output_padding is not None:
            extra[0], extra[1] = output_padding
            grid[0], grid[1] = conv.h, conv.w
            check(chanconv_conv_transposed(conv, grid, extra, &error), &error)
        self.sizes.struct_size = sizeof(chanconv_sizes)
        check(chanconv_conv_check(conv, &self.sizes, &error), &error)
        self.brief = <double>self.sizes.y_count * conv.kh * conv.kw * conv.kernel_c <= KEEP_GIL_PRODUCTS
        self.x_shape = (conv.n, conv.h, conv.w, conv.c)
        self.kernel_shape = (conv.kh, conv.kw, conv.kernel_c, conv.k)
        self.y_shape = (conv.n, self.sizes.oh, self.sizes.ow, conv.k)
        self.columns_shape = (conv.n, <object>self.sizes.oh * self.sizes.ow, <object>conv.kh * conv.kw * conv.c)

    cdef int check_item(self, size_t item) except -1:
        """The other second guard: arrays must be of the descriptor's type."""
        if item != self.item:
            raise TypeError(f"expected arrays of {self.item} bytes an element, got {item}")
        return 0

    def sliced(self, x=None, y=None):
        """The same convolution of arrays that lie in larger ones, its results to the bit the same.

        x and y: the distances from one pixel, row and image to the next, in elements. The passes then take a flat array
        that reaches from the first element to the last.
        """
        cdef Convolution other = Convolution.__new__(Convolution)
        cdef chanconv_error error
        error.text[0] = 0
        other.conv, other.sizes, other.item, other.brief = self.conv, self.sizes, self.item, self.brief
        other.x_shape, other.kernel_shape = self.x_shape, self.kernel_shape
        other.y_shape, other.columns_shape = self.y_shape, self.columns_shape
        if x is not None:
            other.conv.x_pixel, other.conv.x_row, other.conv.x_image = x
        if y is not None:
            other.conv.y_pixel, other.conv.y_row, other.conv.y_image = y
        check(chanconv_conv_check(&other.conv, &other.sizes, &error), &error)
        if x is not None:
            other.sizes.x_count = reach(self.x_shape, x)
        if y is not None:
            other.sizes.y_count = reach(self.y_shape, y)
        return other

    def plan(self, str what not None):
        """How the pass `what` of `PASSES` would be computed: a dict of the fields of ``chanconv_plan``."""
        cdef chanconv_error error
        cdef chanconv_plan plan
        error.text[0] = 0
        plan.struct_size = sizeof(chanconv_plan)
        check(chanconv_conv_plan(NULL, &self.conv, PASSES[what], &plan, &error), &error)
        declined = {ALGORITHM_NAMES[i]: plan.declined[i].decode()
                    for i in range(1, CHANCONV_ALGORITHM_COUNT) if plan.declined[i] != NULL}
        return {
            "algorithm": ALGORITHM_NAMES[plan.algorithm], "tile": (plan.tile[0], plan.tile[1]),
            "threads": plan.threads, "flops": plan.flops, "bytes": plan.bytes,
            "workspace_bytes": plan.workspace_bytes, "declined": declined,
            "arithmetic_cycles": plan.arithmetic_cycles, "memory_cycles": plan.memory_cycles,
        }

    cdef int unary(self, unary_pass run, size_t item, const void *a, void *out) except -1:
        cdef chanconv_error error
        cdef chanconv_status status
        error.text[0] = 0
        self.check_item(item)
        with nogil:
            status = run(NULL, &self.conv, a, out, &error)
        return check(status, &error)

    cdef int binary(self, binary_pass run, size_t item, const void *a, const void *b, void *out) except -1:
        cdef chanconv_error error
        cdef chanconv_status status
        error.text[0] = 0
        self.check_item(item)
        if self.brief:
            status = run(NULL, &self.conv, a, b, out, &error)
        else:
            with nogil:
                status = run(NULL, &self.conv, a, b, out, &error)
        return check(status, &error)

    cdef int biased(self, biased_pass run, size_t item, const void *a, const void *b, const void *bias, void *out,
                    Elementwise activation) except -1:
        cdef chanconv_conv conv = self.conv
        cdef chanconv_error error
        cdef chanconv_status status
        error.text[0] = 0
        self.check_item(item)
        if activation is not None:
            conv.activation = activation.activation
        if self.brief:
            status = run(NULL, &conv, a, b, bias, out, &error)
        else:
            with nogil:
                status = run(NULL, &conv, a, b, bias, out, &error)
        return check(status, &error)

    cdef int packed(self, packed_pass run, size_t item, const void *a, PackedKernel kernel, const void *bias, void *out,
                    Elementwise activation) except -1:
        cdef chanconv_conv conv = self.conv
        cdef chanconv_error error
        cdef chanconv_status status
        error.text[0] = 0
        self.check_item(item)
        if activation is not None:
            conv.activation = activation.activation
        with nogil:
            status = run(NULL, &conv, a, kernel.packed, bias, out, &error)
        return check(status, &error)


# ---- Convolution: the passes ----------------------------------------------------------------------------------------

def conv_forward(Convolution conv not None, const real[::1] x not None, const real[::1] kernel not None,
                 const real[::1] bias, real[::1] y not None, Elementwise activation=None):
    """y = activation(conv(x, kernel) + bias)."""
    check_count("x", x.shape[0], conv.sizes.x_count)
    check_count("kernel", kernel.shape[0], conv.sizes.kernel_count)
    check_count("out", y.shape[0], conv.sizes.y_count)
    if bias is not None:
        check_count("bias", bias.shape[0], conv.conv.k)
    conv.biased(chanconv_conv_forward, sizeof(real), &x[0], &kernel[0], NULL if bias is None else &bias[0], &y[0],
                activation)


def conv_transpose(Convolution conv not None, const real[::1] y not None, const real[::1] kernel not None,
                   const real[::1] bias, real[::1] x not None, Elementwise activation=None):
    """x = activation(grad_x(y, kernel) + bias)."""
    check_count("x", y.shape[0], conv.sizes.y_count)
    check_count("kernel", kernel.shape[0], conv.sizes.kernel_count)
    check_count("out", x.shape[0], conv.sizes.x_count)
    if bias is not None:
        check_count("bias", bias.shape[0], conv.conv.c)
    conv.biased(chanconv_conv_transpose, sizeof(real), &y[0], &kernel[0], NULL if bias is None else &bias[0], &x[0],
                activation)


def conv_grad_x(Convolution conv not None, const real[::1] grad_y not None, const real[::1] kernel not None,
                real[::1] grad_x not None):
    """Gradient of x."""
    check_count("grad_output", grad_y.shape[0], conv.sizes.y_count)
    check_count("kernel", kernel.shape[0], conv.sizes.kernel_count)
    check_count("out", grad_x.shape[0], conv.sizes.x_count)
    conv.binary(chanconv_conv_grad_x, sizeof(real), &grad_y[0], &kernel[0], &grad_x[0])


def conv_grad_kernel(Convolution conv not None, const real[::1] grad_y not None, const real[::1] x not None,
                     real[::1] grad_kernel not None):
    """Gradient of the kernel."""
    check_count("grad_output", grad_y.shape[0], conv.sizes.y_count)
    check_count("x", x.shape[0], conv.sizes.x_count)
    check_count("out", grad_kernel.shape[0], conv.sizes.kernel_count)
    conv.binary(chanconv_conv_grad_kernel, sizeof(real), &grad_y[0], &x[0], &grad_kernel[0])


def conv_grad_kernel_per_sample(Convolution conv not None, const real[::1] grad_y not None,
                                const real[::1] x not None, real[::1] grad_kernels not None):
    """Gradient of the kernel for every image by itself, (N, KH, KW, C / groups, K)."""
    check_count("grad_output", grad_y.shape[0], conv.sizes.y_count)
    check_count("x", x.shape[0], conv.sizes.x_count)
    check_count("out", grad_kernels.shape[0], <object>conv.conv.n * conv.sizes.kernel_count)
    conv.binary(chanconv_conv_grad_kernel_per_sample, sizeof(real), &grad_y[0], &x[0], &grad_kernels[0])


def conv_grad_bias(Convolution conv not None, const real[::1] grad_y not None, real[::1] grad_bias not None):
    """Gradient of the bias."""
    check_count("grad_output", grad_y.shape[0], conv.sizes.y_count)
    check_count("out", grad_bias.shape[0], conv.conv.k)
    conv.unary(chanconv_conv_grad_bias, sizeof(real), &grad_y[0], &grad_bias[0])


# ---- Convolution, the short way -------------------------------------------------------------------------------------
# As with activations: bringing arrays of any form into that of a pass takes longer than a small convolution does. For
# ordinary ones all but the values follows from shapes, dtype and options: what a call did serves the next with the same.

cdef struct Shapes:
    int64_t item
    int64_t axes[3]
    int64_t sizes[3][4]


cdef bint add_shape(Shapes *shapes, int i, const Py_buffer *array) noexcept:
    """Whether there is an array, of a shape that fits in."""
    if array == NULL or array.ndim > 4:
        return False
    shapes.axes[i] = array.ndim
    for axis in range(array.ndim):
        shapes.sizes[i][axis] = array.shape[axis]
    return True


cdef class KeptCall:
    """What of a call decides how it is computed but the values of its arrays."""
    cdef Convolution conv
    cdef Elementwise activation
    cdef object shape
    cdef bint large  # the result


cdef class Calls:
    """Calls of one pass that have succeeded, kept by their options and by shapes and dtype of their arrays.

    ``Calls(what)``: "forward" and "transpose" are given x, kernel and bias or None; "grad_x" grad_output and kernel;
    "grad_kernel" grad_output and x. `options` decides, with shapes and dtype, how the pass is computed; it may be a key.
    """
    cdef biased_pass biased
    cdef binary_pass binary
    cdef dict kept

    def __init__(self, str what not None):
        if what == "forward":
            self.biased = chanconv_conv_forward
        elif what == "transpose":
            self.biased = chanconv_conv_transpose
        else:
            self.binary = chanconv_conv_grad_x if what == "grad_x" else chanconv_conv_grad_kernel
        self.kept = {}

    def again(self, options, a, b, bias=None, out=None):
        """The result, in `out` if given, if a call with these options and arrays like these is kept; else None."""
        cdef Held held
        held.count = 0
        try:
            return self.run(&held, options, a, b, bias, out)
        finally:
            release(&held)

    def keep(self, options, a, b, bias, Convolution conv not None, shape, Elementwise activation=None):
        """Keeps a call, unless its arrays are no ordinary ones; `shape`: of its result."""
        cdef KeptCall call = KeptCall()
        cdef Held held
        held.count = 0
        call.conv, call.activation, call.shape, call.large = conv, activation, shape, is_large(shape)
        try:
            key = self.key(&held, options, plain_dtype(a), a, b, bias)
        finally:
            release(&held)
        if key is not None:
            if len(self.kept) >= 1024:
                self.kept.clear()
            self.kept[key] = call

    def clear(self):
        """Keeps none."""
        self.kept.clear()

    cdef object key(self, Held *held, object options, object dtype, object a, object b, object bias):
        """The key of a call whose arrays are ordinary ones of one dtype, which are then held; else None."""
        cdef Shapes shapes
        if dtype is None:
            return None
        memset(&shapes, 0, sizeof(shapes))
        shapes.item = dtype is FLOAT64
        shapes.axes[2] = -1
        if not add_shape(&shapes, 0, hold(held, a, dtype, 0)) or not add_shape(&shapes, 1, hold(held, b, dtype, 0)):
            return None
        if bias is not None and not add_shape(&shapes, 2, hold(held, bias, dtype, 0)):
            return None
        return options, PyBytes_FromStringAndSize(<const char *>&shapes, sizeof(shapes))

    cdef object run(self, Held *held, object options, object a, object b, object bias, object out):
        dtype = plain_dtype(a)
        call = <KeptCall>self.kept.get(self.key(held, options, dtype, a, b, bias))
        if call is None:
            return None
        cdef int inputs = held.count
        if out is not None:
            result = out
        else:
            result = new_large(call.shape, dtype) if call.large else EMPTY(call.shape, dtype)
        cdef Py_buffer *target = hold(held, result, dtype, PyBUF_WRITABLE)
        if target == NULL or result.shape != call.shape:
            return None
        for i in range(inputs):
            if not apart(target, &held.buffer[i]):
                return None
        cdef void *first = held.buffer[0].buf
        cdef void *second = held.buffer[1].buf
        if self.biased == NULL:
            call.conv.binary(self.binary, target.itemsize, first, second, target.buf)
        else:
            call.conv.biased(self.biased, target.itemsize, first, second, NULL if bias is None else held.buffer[2].buf,
                             target.buf, call.activation)
        return result


# ---- Kernels that are kept ------------------------------------------------------------------------------------------

def packing_gains(Convolution conv not None, str what not None):
    """Whether the pass `what` of `PASSES` reads kernels in another form than they have; found out once."""
    cdef int direction = PASSES[what]
    if conv.gains[direction] == 0:
        conv.gains[direction] = 1 if chanconv_packed_gain(&conv.conv, <chanconv_pass>direction) > 0 else -1
    return conv.gains[direction] > 0


def pack_kernel(Convolution conv not None, str what not None, const real[::1] kernel not None):
    """A `PackedKernel` for the pass "forward" or "grad_x"."""
    cdef PackedKernel result = PackedKernel()
    cdef chanconv_error error
    cdef chanconv_status status
    error.text[0] = 0
    check_count("kernel", kernel.shape[0], conv.sizes.kernel_count)
    conv.check_item(sizeof(real))
    result.direction = PASSES[what]
    result.count = kernel.shape[0]
    result.item = sizeof(real)
    with nogil:
        status = chanconv_pack_kernel(NULL, &conv.conv, result.direction, &kernel[0], &result.packed, &error)
    check(status, &error)
    return result


def is_packed(PackedKernel packed not None, Convolution conv not None, const real[::1] kernel not None):
    """Whether it was packed from just this kernel, and `conv` reads it as it was packed."""
    cdef bint same
    if packed.count != kernel.shape[0] or packed.item != sizeof(real):
        return False
    with nogil:
        same = (chanconv_packed_serves(packed.packed, &conv.conv, packed.direction)
                and chanconv_packed_holds(packed.packed, &kernel[0]))
    return same


def conv_forward_packed(Convolution conv not None, const real[::1] x not None, PackedKernel packed not None,
                        const real[::1] bias, real[::1] y not None, Elementwise activation=None):
    """conv_forward with a packed kernel."""
    check_count("x", x.shape[0], conv.sizes.x_count)
    check_count("out", y.shape[0], conv.sizes.y_count)
    if bias is not None:
        check_count("bias", bias.shape[0], conv.conv.k)
    conv.packed(chanconv_conv_forward_packed, sizeof(real), &x[0], packed, NULL if bias is None else &bias[0], &y[0],
                activation)


def conv_transpose_packed(Convolution conv not None, const real[::1] y not None, PackedKernel packed not None,
                          const real[::1] bias, real[::1] x not None, Elementwise activation=None):
    """conv_transpose with a packed kernel."""
    check_count("x", y.shape[0], conv.sizes.y_count)
    check_count("out", x.shape[0], conv.sizes.x_count)
    if bias is not None:
        check_count("bias", bias.shape[0], conv.conv.c)
    conv.packed(chanconv_conv_transpose_packed, sizeof(real), &y[0], packed, NULL if bias is None else &bias[0], &x[0],
                activation)


# ---- im2col ---------------------------------------------------------------------------------------------------------

def im2col(Convolution conv not None, const real[::1] x not None, real[::1] columns not None):
    """The rows that the outputs see."""
    check_count("x", x.shape[0], conv.sizes.x_count)
    check_count("out", columns.shape[0], prod(conv.columns_shape))
    conv.unary(chanconv_im2col, sizeof(real), &x[0], &columns[0])


def col2im(Convolution conv not None, const real[::1] columns not None, real[::1] x not None):
    """The adjoint of im2col."""
    check_count("columns", columns.shape[0], prod(conv.columns_shape))
    check_count("out", x.shape[0], conv.sizes.x_count)
    conv.unary(chanconv_col2im, sizeof(real), &columns[0], &x[0])


# ---- For other compiled code ----------------------------------------------------------------------------------------

_C_API = PyCapsule_New(<void *>chanconv_get_api(), "chanconv._chanconv._C_API", NULL)


def c_api_address():
    """The address of the table of the C library's functions, the ``chanconv_api`` of chanconv.h."""
    return <uintptr_t>chanconv_get_api()


def c_functions():
    """The addresses of the C library's functions, in the order of the table, by names without ``chanconv_``."""
    cdef const chanconv_api *api = chanconv_get_api()
    cdef void **function = <void **>&api.version_number
    cdef int i = 0
    found = {}
    while api.names[i] != NULL:
        found[api.names[i].decode()] = <uintptr_t>function[i]
        i += 1
    return found


def abi_version():
    """The version of the C library's binary interface, (major, minor)."""
    return chanconv_abi_major(), chanconv_abi_minor()


# ---- The library ----------------------------------------------------------------------------------------------------

ctypedef const char *(*indexed_texts)(int) noexcept nogil


cdef tuple texts(indexed_texts text):
    """What a function gives for index 0, 1, ... until NULL."""
    cdef int count = 0
    while text(count) != NULL:
        count += 1
    return tuple(text(i).decode(errors="replace") for i in range(count))


def version():
    """The version of the C library."""
    return chanconv_version().decode()


def compiler():
    """The compiler that built it."""
    return chanconv_compiler().decode()


def get_num_threads():
    """The number of threads that a call may use."""
    return chanconv_get_num_threads()


def set_num_threads(int n):
    """Sets it; at least 1, and limited if huge."""
    chanconv_set_num_threads(n)


def num_threads_source():
    """What decides the number of threads: "processors", a variable of the environment or "chanconv_set_num_threads"."""
    return chanconv_num_threads_source().decode()


def isa():
    """The instruction set in use."""
    return chanconv_isa().decode()


def isa_available():
    """The instruction sets that this processor can run, best first."""
    return texts(chanconv_isa_available)


def isa_compiled():
    """The instruction sets that the library was built with, best first."""
    return texts(chanconv_isa_compiled)


def set_isa(str name not None):
    """Holds the process to one of `isa_available`; not while other threads are in calls."""
    if chanconv_set_isa(name.encode()) != CHANCONV_OK:
        raise ValueError(f"isa: expected one of {', '.join(isa_available())}, got {name!r}")


def environment_warnings():
    """Why values of the environment were ignored, a sentence each."""
    return texts(chanconv_environment_warning)


def cpu_info():
    """Bytes of the caches, and the processors that this process may use."""
    cdef chanconv_cpu_info info
    info.struct_size = sizeof(info)
    check(chanconv_get_cpu_info(&info), NULL)
    return {"l1_bytes": info.l1_bytes, "l2_bytes": info.l2_bytes, "l3_bytes": info.l3_bytes,
            "processors": info.processors}
