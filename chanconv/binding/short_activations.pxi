# SPDX-License-Identifier: BSD-3-Clause
# Activations, the short way.
#
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
