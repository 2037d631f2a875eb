# SPDX-License-Identifier: BSD-3-Clause
# Convolution, the short way: calls that come again.
#
# As with activations: bringing arrays of any form into that of a pass takes longer than a small convolution does. For
# ordinary ones all but the values follows from shapes, dtype and options: what a call did serves the next with the same.

cdef extern from *:
    """
    /* The call that is kept for a key, or None: a reference of one's own. dict.get would borrow it for a moment, in which a
       thread that keeps the same call, or clears them all, can free it where Python has no lock. */
    static PyObject *kept_for(PyObject *calls, PyObject *key)
    {
        PyObject *value;
    #ifdef Py_GIL_DISABLED
        if (PyDict_GetItemRef(calls, key, &value) == 0)
            value = Py_NewRef(Py_None);
    #else
        value = PyDict_GetItemWithError(calls, key);
        if (value == NULL && !PyErr_Occurred())
            value = Py_None;
        Py_XINCREF(value);
    #endif
        return value;
    }
    """
    object kept_for(dict calls, object key)


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

    ``Calls(what, unpacked=False)``: "forward" and "transpose" are given x, kernel and bias or None; "grad_x" grad_output and
    kernel; "grad_kernel" grad_output and x. `options` decides, with shapes and dtype, how the pass is computed; it may be a
    key. With `unpacked` only calls of "forward" and "transpose" are kept that a packed kernel would not serve better.
    """
    cdef biased_pass biased
    cdef binary_pass binary
    cdef str packable  # the pass as `packing_gains` names it, or None
    cdef dict kept

    def __init__(self, str what not None, bint unpacked=False):
        if what == "forward":
            self.biased = chanconv_conv_forward
        elif what == "transpose":
            self.biased = chanconv_conv_transpose
        else:
            self.binary = chanconv_conv_grad_x if what == "grad_x" else chanconv_conv_grad_kernel
        self.packable = None if not unpacked else "forward" if what == "forward" else "grad_x"
        self.kept = {}

    def again(self, options, a, b, bias=None, out=None):
        """The result, in `out` if given, if a call with these options and arrays like these is kept; else None."""
        cdef Held held
        held.count = 0
        try:
            return self.run(&held, options, a, b, bias, out)
        finally:
            release(&held)

    def keep(self, options, Convolution conv not None, tuple shape not None, tuple arrays not None,
             Elementwise activation=None):
        """Keeps a call, unless its arrays are no ordinary ones; `shape`: of its result."""
        cdef KeptCall call = KeptCall()
        cdef Held held
        if self.packable is not None and packing_gains(conv, self.packable):
            return
        held.count = 0
        call.conv, call.activation, call.shape, call.large = conv, activation, shape, is_large(shape)
        try:
            key = self.key(&held, options, plain_dtype(arrays[0]), arrays[0], arrays[1],
                           arrays[2] if len(arrays) > 2 else None)
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
        call = <KeptCall>kept_for(self.kept, self.key(held, options, dtype, a, b, bias))
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
