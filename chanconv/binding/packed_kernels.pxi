# SPDX-License-Identifier: BSD-3-Clause
# Kernels that are kept, packed.

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
