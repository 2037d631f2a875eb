# SPDX-License-Identifier: BSD-3-Clause
# Convolution: the descriptor.

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
