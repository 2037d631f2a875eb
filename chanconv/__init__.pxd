# SPDX-License-Identifier: BSD-3-Clause
"""``cimport chanconv``: the C library of the installed chanconv, for Cython modules.

Declarations of chanconv.h, which is their manual, and nothing else: names and arguments are the same. A module calls
``import_chanconv()`` once, before the first of the functions; it raises ImportError if the installed chanconv is not one
that the module was compiled for. Nothing is linked. With ``include_dirs=[chanconv.get_include()]``:

    from chanconv cimport import_chanconv, chanconv_conv, chanconv_conv_forward
    import_chanconv()
"""
from libc.stdint cimport int32_t, int64_t

cdef extern from "chanconv.h" nogil:
    enum:
        CHANCONV_VERSION_NUMBER
        CHANCONV_ABI_MAJOR
        CHANCONV_ABI_MINOR

    int chanconv_version_number()
    const char *chanconv_version()
    int chanconv_abi_major()
    int chanconv_abi_minor()
    const char *chanconv_compiler()

    ctypedef enum chanconv_status:
        CHANCONV_OK
        CHANCONV_NO_MEMORY
        CHANCONV_BAD_STRUCT
        CHANCONV_BAD_DTYPE
        CHANCONV_BAD_X
        CHANCONV_BAD_KERNEL
        CHANCONV_BAD_Y
        CHANCONV_BAD_STRIDE
        CHANCONV_BAD_PADDING
        CHANCONV_BAD_PADDING_MODE
        CHANCONV_BAD_OUTPUT_PADDING
        CHANCONV_BAD_DILATION
        CHANCONV_BAD_GROUPS
        CHANCONV_BAD_ACTIVATION
        CHANCONV_BAD_ALGORITHM

    const char *chanconv_status_string(chanconv_status status)

    ctypedef struct chanconv_error:
        const char *argument
        char text[240]

    ctypedef struct chanconv_context:
        pass

    ctypedef void (*chanconv_task)(void *task_data, int64_t index) noexcept nogil

    ctypedef struct chanconv_context_options:
        size_t struct_size
        int threads
        void (*parallel_for)(void *host, int64_t count, chanconv_task task, void *task_data) noexcept nogil
        void *host
        void *(*allocate)(void *host, size_t bytes) noexcept nogil
        void (*release)(void *host, void *block, size_t bytes) noexcept nogil
        void *workspace
        size_t workspace_bytes

    chanconv_status chanconv_context_create(const chanconv_context_options *options, chanconv_context **context)
    void chanconv_context_destroy(chanconv_context *context)

    int chanconv_get_num_threads()
    int chanconv_set_num_threads(int n)
    const char *chanconv_num_threads_source()

    const char *chanconv_isa()
    const char *chanconv_isa_available(int index)
    const char *chanconv_isa_compiled(int index)
    chanconv_status chanconv_set_isa(const char *isa)
    const char *chanconv_environment_warning(int index)

    ctypedef struct chanconv_cpu_info:
        size_t struct_size
        int64_t l1_bytes, l2_bytes, l3_bytes
        int processors

    chanconv_status chanconv_get_cpu_info(chanconv_cpu_info *info)

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
        CHANCONV_ACTIVATION_COUNT

    ctypedef struct chanconv_activation:
        int32_t kind
        double p[2]

    chanconv_status chanconv_activation_forward(
        chanconv_context *context, chanconv_dtype dtype, const chanconv_activation *activation, int64_t count,
        const void *x, void *y, chanconv_error *error)
    chanconv_status chanconv_activation_backward(
        chanconv_context *context, chanconv_dtype dtype, const chanconv_activation *activation, int64_t count,
        const void *grad_y, const void *x, void *grad_x, chanconv_error *error)
    chanconv_status chanconv_prelu_forward(
        chanconv_context *context, chanconv_dtype dtype, int64_t pixels, int64_t channels, int64_t slopes,
        const void *x, const void *slope, void *y, chanconv_error *error)
    chanconv_status chanconv_prelu_backward(
        chanconv_context *context, chanconv_dtype dtype, int64_t pixels, int64_t channels, int64_t slopes,
        const void *grad_y, const void *x, const void *slope, void *grad_x, void *grad_slope, chanconv_error *error)

    ctypedef enum chanconv_axis_activation:
        CHANCONV_SOFTMAX
        CHANCONV_LOG_SOFTMAX
        CHANCONV_GLU

    chanconv_status chanconv_axis_forward(
        chanconv_context *context, chanconv_dtype dtype, chanconv_axis_activation kind, int64_t outer,
        int64_t length, int64_t inner, const void *x, void *y, chanconv_error *error)
    chanconv_status chanconv_axis_backward(
        chanconv_context *context, chanconv_dtype dtype, chanconv_axis_activation kind, int64_t outer,
        int64_t length, int64_t inner, const void *grad_y, const void *x, void *grad_x, chanconv_error *error)
    chanconv_status chanconv_axis_backward_from_output(
        chanconv_context *context, chanconv_dtype dtype, chanconv_axis_activation kind, int64_t outer,
        int64_t length, int64_t inner, const void *grad_y, const void *y, void *grad_x, chanconv_error *error)

    ctypedef enum chanconv_padding_mode:
        CHANCONV_ZEROS
        CHANCONV_REFLECT
        CHANCONV_REPLICATE
        CHANCONV_CIRCULAR
        CHANCONV_SYMMETRIC

    ctypedef enum chanconv_padding_rule:
        CHANCONV_PAD_EXPLICIT
        CHANCONV_PAD_SAME
        CHANCONV_PAD_SAME_LOWER

    ctypedef enum chanconv_algorithm:
        CHANCONV_AUTO
        CHANCONV_GEMM
        CHANCONV_DIRECT
        CHANCONV_WINOGRAD
        CHANCONV_FFT
        CHANCONV_IM2COL
        CHANCONV_ALGORITHM_COUNT

    ctypedef enum chanconv_precision:
        CHANCONV_FAST
        CHANCONV_STRICT

    ctypedef struct chanconv_conv:
        size_t struct_size
        int32_t dtype, padding_mode, padding_rule, algorithm, precision
        int64_t n, h, w, c, kh, kw, kernel_c, k
        int64_t stride[2]
        int64_t dilation[2]
        int64_t padding[2][2]
        int64_t groups
        int64_t out[2]
        int64_t x_pixel, x_row, x_image, y_pixel, y_row, y_image
        chanconv_activation activation

    ctypedef struct chanconv_sizes:
        size_t struct_size
        int64_t oh, ow
        int64_t padding[2][2]
        int64_t x_count, kernel_count, y_count

    void chanconv_conv_init(chanconv_conv *conv)
    chanconv_status chanconv_conv_check(const chanconv_conv *conv, chanconv_sizes *sizes, chanconv_error *error)
    chanconv_status chanconv_conv_transposed(
        chanconv_conv *conv, const int64_t *grid, const int64_t *output_padding, chanconv_error *error)

    ctypedef enum chanconv_pass:
        CHANCONV_FORWARD
        CHANCONV_GRAD_X
        CHANCONV_GRAD_KERNEL
        CHANCONV_GRAD_KERNEL_PER_SAMPLE
        CHANCONV_GRAD_BIAS

    chanconv_status chanconv_conv_forward(
        chanconv_context *context, const chanconv_conv *conv, const void *x, const void *kernel, const void *bias,
        void *y, chanconv_error *error)
    chanconv_status chanconv_conv_grad_x(
        chanconv_context *context, const chanconv_conv *conv, const void *grad_y, const void *kernel, void *grad_x,
        chanconv_error *error)
    chanconv_status chanconv_conv_transpose(
        chanconv_context *context, const chanconv_conv *conv, const void *y, const void *kernel, const void *bias,
        void *x, chanconv_error *error)
    chanconv_status chanconv_conv_grad_kernel(
        chanconv_context *context, const chanconv_conv *conv, const void *grad_y, const void *x, void *grad_kernel,
        chanconv_error *error)
    chanconv_status chanconv_conv_grad_kernel_per_sample(
        chanconv_context *context, const chanconv_conv *conv, const void *grad_y, const void *x, void *grad_kernels,
        chanconv_error *error)
    chanconv_status chanconv_conv_grad_bias(
        chanconv_context *context, const chanconv_conv *conv, const void *grad_y, void *grad_bias,
        chanconv_error *error)
    ctypedef struct chanconv_packed:
        pass

    chanconv_status chanconv_pack_kernel(
        chanconv_context *context, const chanconv_conv *conv, chanconv_pass direction, const void *kernel,
        chanconv_packed **packed, chanconv_error *error)
    void chanconv_packed_destroy(chanconv_context *context, chanconv_packed *packed)
    int64_t chanconv_packed_gain(const chanconv_conv *conv, chanconv_pass direction)
    int64_t chanconv_packed_bytes(const chanconv_packed *packed)
    int chanconv_packed_holds(const chanconv_packed *packed, const void *kernel)
    int chanconv_packed_serves(const chanconv_packed *packed, const chanconv_conv *conv, chanconv_pass direction)
    chanconv_status chanconv_conv_forward_packed(
        chanconv_context *context, const chanconv_conv *conv, const void *x, const chanconv_packed *packed,
        const void *bias, void *y, chanconv_error *error)
    chanconv_status chanconv_conv_grad_x_packed(
        chanconv_context *context, const chanconv_conv *conv, const void *grad_y, const chanconv_packed *packed,
        void *grad_x, chanconv_error *error)
    chanconv_status chanconv_conv_transpose_packed(
        chanconv_context *context, const chanconv_conv *conv, const void *y, const chanconv_packed *packed,
        const void *bias, void *x, chanconv_error *error)
    void chanconv_plane_init(
        chanconv_conv *conv, chanconv_dtype dtype, int64_t n, int64_t h, int64_t w, int64_t kh, int64_t kw)
    chanconv_status chanconv_plane_conv(
        chanconv_context *context, chanconv_dtype dtype, int64_t h, int64_t w, const void *x, int64_t kh, int64_t kw,
        const void *kernel, int64_t stride, int64_t padding, void *y, chanconv_error *error)
    chanconv_status chanconv_im2col(
        chanconv_context *context, const chanconv_conv *conv, const void *x, void *columns, chanconv_error *error)
    chanconv_status chanconv_col2im(
        chanconv_context *context, const chanconv_conv *conv, const void *columns, void *x, chanconv_error *error)

    enum:
        CHANCONV_PLAN_ALGORITHMS

    ctypedef struct chanconv_plan:
        size_t struct_size
        int32_t algorithm, threads
        int32_t tile[2]
        double flops, bytes
        int64_t workspace_bytes
        const char *declined[CHANCONV_PLAN_ALGORITHMS]
        double arithmetic_cycles, memory_cycles

    chanconv_status chanconv_conv_plan(
        chanconv_context *context, const chanconv_conv *conv, chanconv_pass direction, chanconv_plan *plan,
        chanconv_error *error)

    ctypedef struct chanconv_api:
        size_t struct_size
        int32_t abi_major, abi_minor
        const char *const *names
        int (*version_number)() noexcept nogil

    const chanconv_api *chanconv_get_api()


cdef extern from "chanconv_python.h":
    int import_chanconv() except -1
