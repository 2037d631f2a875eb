/* SPDX-License-Identifier: BSD-3-Clause
 *
 * chanconv.h - the convolution of deep learning, forward and backward.
 *
 * This header is the whole public interface of the C library and its manual.
 *
 *
 * The operation
 *
 * Images are channels-last: x[n][h][w][c]. A convolution (cross-correlation: no flip) is the sum over channels of plane
 * convolutions; each of k kernels gives one output channel. With zero padding outside x:
 *
 *     y[n][oh][ow][k] = bias[k] + sum over r, s, c of
 *                       x[n][oh * stride_h + r * dilation_h - pad_top][ow * stride_w + s * dilation_w - pad_left][c]
 *                       * kernel[r][s][c][k]
 *
 *     oh_count = (h + pad_top + pad_bottom - dilation_h * (kh - 1) - 1) / stride_h + 1        (likewise in width)
 *
 * With groups > 1, output channel k sees the c / groups input channels of its group k / (k_count / groups) alone.
 * The gradients are those of this formula: see chanconv_conv_grad_x() and its neighbours.
 *
 *
 * Conventions
 *
 * - Every size, pitch and count is an int64_t in elements unless its name or comment says bytes.
 * - Arrays need the alignment of their element type and no more. Not one byte outside the described elements is read or
 *   written. Inputs are never written.
 * - Outputs must not overlap inputs, except where a function says so.
 * - A function returns a status, CHANCONV_OK (0) on success. Nothing aborts, exits or prints. On an argument error
 *   nothing has been written; after CHANCONV_NO_MEMORY outputs are unspecified.
 * - Every function may be called from any number of threads at once, on distinct outputs.
 * - The result is the same, to the bit, for every number of threads, and for an image alone or in a batch (but for
 *   sums over the batch).
 * - A pointer to an array without elements may be NULL.
 */
#ifndef CHANCONV_H
#define CHANCONV_H

#include <stddef.h>
#include <stdint.h>

#define CHANCONV_VERSION_MAJOR 0
#define CHANCONV_VERSION_MINOR 1
#define CHANCONV_VERSION_PATCH 0
#define CHANCONV_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status and errors ---------------------------------------------------------------------------------------- */

/* What a call came to. An argument error names the argument: the values that follow CHANCONV_BAD_STRUCT. */
typedef enum chanconv_status {
    CHANCONV_OK = 0,
    CHANCONV_NO_MEMORY,       /* an allocation failed, or a result is larger than memory can be */
    CHANCONV_BAD_STRUCT,      /* struct_size is not one this library knows, or a required pointer is NULL */
    CHANCONV_BAD_DTYPE,
    CHANCONV_BAD_X,
    CHANCONV_BAD_KERNEL,
    CHANCONV_BAD_Y,
    CHANCONV_BAD_STRIDE,
    CHANCONV_BAD_PADDING,
    CHANCONV_BAD_PADDING_MODE,
    CHANCONV_BAD_OUTPUT_PADDING,
    CHANCONV_BAD_DILATION,
    CHANCONV_BAD_GROUPS,
    CHANCONV_BAD_ACTIVATION,
    CHANCONV_BAD_ALGORITHM    /* unknown, or one that cannot compute this shape */
} chanconv_status;

/* A short English text for a status; never NULL. */
const char *chanconv_status_string(chanconv_status status);

/* Details of the last error: filled by functions that take one (it may be NULL), untouched on success. */
typedef struct chanconv_error {
    const char *argument;     /* the name of the argument, a static string */
    char text[240];           /* one sentence: the argument, what was expected and what came; NUL-terminated */
} chanconv_error;

/* ---- Context: threads and memory ------------------------------------------------------------------------------- */

/* Where a call gets its threads and its memory from. NULL, accepted by every function, means the library's own. */
typedef struct chanconv_context chanconv_context;

/* A task for parallel_for: does work item `index` of `count`. */
typedef void (*chanconv_task)(void *task_data, int64_t index);

typedef struct chanconv_context_options {
    size_t struct_size;       /* sizeof(chanconv_context_options) */
    int threads;              /* threads one call may use; 0: as chanconv_get_num_threads() */
    /* Runs task(task_data, i) once for every i in 0 .. count - 1, on any threads and in any order, and returns when all
     * are done. NULL: the library's own threads. */
    void (*parallel_for)(void *host, int64_t count, chanconv_task task, void *task_data);
    void *host;               /* handed to the three callbacks */
    /* Both or neither. allocate: at least `bytes` bytes, best aligned to 64, or NULL. The library aligns blocks that
     * are not, for which it asks for 128 bytes more than it needs. release: with the same address and number of bytes.
     * They may be called from any thread, and must return: no C++ exception, no longjmp(). */
    void *(*allocate)(void *host, size_t bytes);
    void (*release)(void *host, void *block, size_t bytes);
} chanconv_context_options;

/* Makes a context, to be given to any number of calls at once. *context is NULL unless the status is CHANCONV_OK. */
chanconv_status chanconv_context_create(const chanconv_context_options *options, chanconv_context **context);

/* Frees a context that no call is using; NULL is allowed. */
void chanconv_context_destroy(chanconv_context *context);

/* The number of threads a call with the default context may use. At first CHANCONV_NUM_THREADS, else OMP_NUM_THREADS,
 * else the processors this process may use (affinity and cgroup quota). */
int chanconv_get_num_threads(void);

/* Sets it for the whole process; n below 1 is ignored, a huge n is limited. Returns the number now in force. */
int chanconv_set_num_threads(int n);

/* What decides that number: "chanconv_set_num_threads", "CHANCONV_NUM_THREADS", "OMP_NUM_THREADS" or "processors". */
const char *chanconv_num_threads_source(void);

/* ---- The machine ------------------------------------------------------------------------------------------------ */

/* CHANCONV_VERSION of the library itself. */
const char *chanconv_version(void);

/* The compiler that built it, such as "gcc 12.2.0". */
const char *chanconv_compiler(void);

/* The instruction set in use: "generic", "avx2", "avx512" or "neon". The best that the processor has, unless the
 * environment's CHANCONV_ISA holds it down. A static string. */
const char *chanconv_isa(void);

/* Instruction sets that are compiled in and that this processor can run, best first: index 0, 1, ... until NULL. */
const char *chanconv_isa_available(int index);

/* Those that are compiled in, whatever the processor. */
const char *chanconv_isa_compiled(int index);

/* Holds the process to an instruction set of that list: for tests and measurements. Returns CHANCONV_OK, or
 * CHANCONV_BAD_ALGORITHM and no change if it is unknown or not available. Not to be called while other calls run. */
chanconv_status chanconv_set_isa(const char *isa);

typedef struct chanconv_cpu_info {
    size_t struct_size;       /* sizeof(chanconv_cpu_info) */
    int64_t l1_bytes, l2_bytes, l3_bytes;
    int processors;           /* that this process may use: affinity and cgroup quota */
} chanconv_cpu_info;

chanconv_status chanconv_get_cpu_info(chanconv_cpu_info *info);

/* The CHANCONV_ variables of the environment are read once, by the first call that depends on one. A value that is
 * malformed, or that asks for what this processor cannot do, is ignored; this gives one sentence for each of those, for
 * the caller to print: index 0, 1, ... until NULL. */
const char *chanconv_environment_warning(int index);

/* ---- Activations ------------------------------------------------------------------------------------------------ */

typedef enum chanconv_dtype { CHANCONV_F32 = 0, CHANCONV_F64 = 1 } chanconv_dtype;

/* Elementwise activations, with PyTorch's formulas; p0 and p1 are chanconv_activation.p[0] and p[1]. */
typedef enum chanconv_activation_kind {
    CHANCONV_IDENTITY = 0,
    CHANCONV_RELU,
    CHANCONV_RELU6,
    CHANCONV_LEAKY_RELU,      /* p0: negative slope */
    CHANCONV_ELU,             /* p0: alpha */
    CHANCONV_SELU,
    CHANCONV_CELU,            /* p0: alpha, not 0 */
    CHANCONV_GELU,            /* 0.5 x erfc(-x / sqrt 2) */
    CHANCONV_GELU_TANH,
    CHANCONV_SILU,
    CHANCONV_MISH,
    CHANCONV_SIGMOID,
    CHANCONV_LOG_SIGMOID,
    CHANCONV_HARD_SIGMOID,
    CHANCONV_HARD_SILU,
    CHANCONV_TANH,
    CHANCONV_HARD_TANH,       /* p0: low, p1: high, low <= high */
    CHANCONV_SOFTPLUS,        /* p0: beta, not 0; p1: threshold */
    CHANCONV_SOFTSIGN,
    CHANCONV_SOFTSHRINK,      /* p0: threshold, at least 0 */
    CHANCONV_HARDSHRINK,      /* p0: threshold */
    CHANCONV_TANHSHRINK,
    CHANCONV_THRESHOLD,       /* p0: threshold, p1: value */
    CHANCONV_ACTIVATION_COUNT
} chanconv_activation_kind;

typedef struct chanconv_activation {
    int32_t kind;             /* chanconv_activation_kind */
    double p[2];              /* parameters; ones that the kind does not have are ignored. NaN is an error. */
} chanconv_activation;

/* y[i] = activation(x[i]) for i in 0 .. count - 1. y may be x. */
chanconv_status chanconv_activation_forward(chanconv_context *context, chanconv_dtype dtype,
                                            const chanconv_activation *activation, int64_t count, const void *x,
                                            void *y, chanconv_error *error);

/* grad_x[i] = grad_y[i] * activation'(x[i]); x is the activation's input. grad_x may be grad_y or x. */
chanconv_status chanconv_activation_backward(chanconv_context *context, chanconv_dtype dtype,
                                             const chanconv_activation *activation, int64_t count,
                                             const void *grad_y, const void *x, void *grad_x, chanconv_error *error);

/* y = x > 0 ? x : slope[c] * x on x[pixels][channels]; slope has `slopes` values: 1, or one per channel. y may be x. */
chanconv_status chanconv_prelu_forward(chanconv_context *context, chanconv_dtype dtype, int64_t pixels,
                                       int64_t channels, int64_t slopes, const void *x, const void *slope, void *y,
                                       chanconv_error *error);

/* grad_x as above (may be grad_y or x); grad_slope[c] = sum of grad_y * x over x <= 0. Either may be NULL: not wanted. */
chanconv_status chanconv_prelu_backward(chanconv_context *context, chanconv_dtype dtype, int64_t pixels,
                                        int64_t channels, int64_t slopes, const void *grad_y, const void *x,
                                        const void *slope, void *grad_x, void *grad_slope, chanconv_error *error);

/* Activations along the middle axis of x[outer][length][inner]. */
typedef enum chanconv_axis_activation { CHANCONV_SOFTMAX = 0, CHANCONV_LOG_SOFTMAX = 1, CHANCONV_GLU = 2 }
    chanconv_axis_activation;

/* y like x; for GLU length is even and y is [outer][length / 2][inner]. y may be x, but not for GLU. */
chanconv_status chanconv_axis_forward(chanconv_context *context, chanconv_dtype dtype, chanconv_axis_activation kind,
                                      int64_t outer, int64_t length, int64_t inner, const void *x, void *y,
                                      chanconv_error *error);

/* The vector-Jacobian product; grad_y like y, x and grad_x [outer][length][inner]. grad_x may be x, and but for GLU
 * grad_y. */
chanconv_status chanconv_axis_backward(chanconv_context *context, chanconv_dtype dtype, chanconv_axis_activation kind,
                                       int64_t outer, int64_t length, int64_t inner, const void *grad_y,
                                       const void *x, void *grad_x, chanconv_error *error);

/* ---- Convolution: the descriptor ---------------------------------------------------------------------------------- */

/* What lies outside x: x[-1], x[-2] for a row 0 1 2 3. */
typedef enum chanconv_padding_mode {
    CHANCONV_ZEROS = 0,       /* 0, 0 */
    CHANCONV_REFLECT,         /* 1, 2: the edge is not repeated; each pad < size */
    CHANCONV_REPLICATE,       /* 0, 0th element: the edge for ever */
    CHANCONV_CIRCULAR,        /* 3, 2; each pad <= size */
    CHANCONV_SYMMETRIC        /* 0, 1: the edge is repeated; any pad */
} chanconv_padding_mode;

typedef enum chanconv_padding_rule {
    CHANCONV_PAD_EXPLICIT = 0, /* padding[][] as given */
    CHANCONV_PAD_SAME,         /* output ceil(size / stride); an odd row or column at the bottom or right */
    CHANCONV_PAD_SAME_LOWER    /* ... at the top or left */
} chanconv_padding_rule;

typedef enum chanconv_algorithm {
    CHANCONV_AUTO = 0,
    CHANCONV_GEMM,            /* blocked matrix product; im2col tile by tile, never written out */
    CHANCONV_DIRECT,          /* depthwise and plane kernels */
    CHANCONV_WINOGRAD,
    CHANCONV_FFT,             /* planes and channels one by one, with large kernels: Fourier transforms of tiles */
    CHANCONV_IM2COL,          /* the textbook: the im2col matrix of an image, one product, col2im */
    CHANCONV_ALGORITHM_COUNT
} chanconv_algorithm;

typedef enum chanconv_precision { CHANCONV_FAST = 0, CHANCONV_STRICT = 1 } chanconv_precision;

/* One convolution. Fill it with chanconv_conv_init(), then set what differs. Pairs are {vertical, horizontal}. */
typedef struct chanconv_conv {
    size_t struct_size;       /* set by chanconv_conv_init() */
    int32_t dtype;            /* chanconv_dtype; CHANCONV_F32 */
    int32_t padding_mode;     /* chanconv_padding_mode; CHANCONV_ZEROS */
    int32_t padding_rule;     /* chanconv_padding_rule; CHANCONV_PAD_EXPLICIT */
    int32_t algorithm;        /* chanconv_algorithm; CHANCONV_AUTO */
    int32_t precision;        /* chanconv_precision: CHANCONV_STRICT keeps AUTO from algorithms that lose accuracy */
    int32_t reserved;         /* 0 */
    int64_t n, h, w, c;       /* x is [n][h][w][c]; n = 1 */
    int64_t kh, kw;           /* kernel is [kh][kw][kernel_c][k] */
    int64_t kernel_c;         /* c / groups, checked; a negative value (the default) stands for just that */
    int64_t k;
    int64_t stride[2];        /* {1, 1} */
    int64_t dilation[2];      /* {1, 1} */
    int64_t padding[2][2];    /* {{top, bottom}, {left, right}}; zeros */
    int64_t groups;           /* 1 */
    int64_t out[2];           /* {oh, ow}; negative (the default): by the formula. Less computes the first rows and
                                 columns only. A transposed convolution sets it: chanconv_conv_transposed(). */
    /* Distance in elements from one pixel, row, image to the next; 0 (the default): dense. So a slice of the channels
     * of a larger image is read or written in place. Outputs must not overlap themselves. */
    int64_t x_pixel, x_row, x_image;
    int64_t y_pixel, y_row, y_image;
    chanconv_activation activation; /* applied to the result of the forward (or transposed) pass; CHANCONV_IDENTITY */
} chanconv_conv;

/* Fills in the defaults named above; sizes are 0 until set. */
void chanconv_conv_init(chanconv_conv *conv);

/* Everything that follows from a descriptor, in elements. */
typedef struct chanconv_sizes {
    size_t struct_size;       /* set by the caller: sizeof(chanconv_sizes) */
    int64_t oh, ow;           /* y is [n][oh][ow][k] */
    int64_t padding[2][2];    /* as resolved from the rule */
    int64_t x_count, kernel_count, y_count;  /* elements of the dense arrays */
} chanconv_sizes;

/* Checks a descriptor: the same check that every pass begins with. `sizes` and `error` may be NULL. */
chanconv_status chanconv_conv_check(const chanconv_conv *conv, chanconv_sizes *sizes, chanconv_error *error);

/* Makes *conv, filled in but for h, w and out, the convolution whose gradient of x takes an image of grid[0] x grid[1]
 * pixels: sets h, w = (grid - 1) * stride - padding + dilation * (k - 1) + output_padding + 1 (padding rule SAME:
 * grid * stride) and out = grid. output_padding is at least 0 and less than the larger of stride and dilation. */
chanconv_status chanconv_conv_transposed(chanconv_conv *conv, const int64_t grid[2], const int64_t output_padding[2],
                                         chanconv_error *error);

/* ---- Convolution: the passes ---------------------------------------------------------------------------------------
 * Shapes are those of the descriptor: x [n][h][w][c], kernel [kh][kw][c / groups][k], y and grad_y [n][oh][ow][k].
 */

typedef enum chanconv_pass { CHANCONV_FORWARD = 0, CHANCONV_GRAD_X, CHANCONV_GRAD_KERNEL } chanconv_pass;

/* y = activation(conv(x, kernel) + bias); bias [k] or NULL. */
chanconv_status chanconv_conv_forward(chanconv_context *context, const chanconv_conv *conv, const void *x,
                                      const void *kernel, const void *bias, void *y, chanconv_error *error);

/* grad_x = dL/dx from grad_y = dL/dy: for zero padding
 *     grad_x[n][i][j][c] = sum over r, s, k with oh * stride + r * dilation - pad = i, and so for j, of
 *                          grad_y[n][oh][ow][k] * kernel[r][s][c][k];
 * for the other modes the gradient of a pad cell is added to the cell it copies. */
chanconv_status chanconv_conv_grad_x(chanconv_context *context, const chanconv_conv *conv, const void *grad_y,
                                     const void *kernel, void *grad_x, chanconv_error *error);

/* The transposed convolution: x = activation(grad_x(y) + bias), bias [c] or NULL. Zero padding only. */
chanconv_status chanconv_conv_transpose(chanconv_context *context, const chanconv_conv *conv, const void *y,
                                        const void *kernel, const void *bias, void *x, chanconv_error *error);

/* grad_kernel[r][s][c][k] = sum over n, oh, ow of x[n][oh * stride + r * dilation - pad][...][c] * grad_y[n][oh][ow][k].
 * Added up in an order that depends on the shape alone. */
chanconv_status chanconv_conv_grad_kernel(chanconv_context *context, const chanconv_conv *conv, const void *grad_y,
                                          const void *x, void *grad_kernel, chanconv_error *error);

/* The same for every image by itself: grad_kernels [n][kh][kw][c / groups][k]. */
chanconv_status chanconv_conv_grad_kernel_per_sample(chanconv_context *context, const chanconv_conv *conv,
                                                     const void *grad_y, const void *x, void *grad_kernels,
                                                     chanconv_error *error);

/* grad_bias[k] = sum over n, oh, ow of grad_y[n][oh][ow][k]. */
chanconv_status chanconv_conv_grad_bias(chanconv_context *context, const chanconv_conv *conv, const void *grad_y,
                                        void *grad_bias, chanconv_error *error);

/* ---- Kernels that are kept ---------------------------------------------------------------------------------------------
 * A call brings the kernel into the form its algorithm reads: panels of a few vectors, or Winograd's transform. For a
 * kernel that many calls share that can be done once.
 */

/* A copy of a kernel, and that form of it. It does not change: any number of calls may use it at once. */
typedef struct chanconv_packed chanconv_packed;

/* Packs a kernel for a pass, CHANCONV_FORWARD or CHANCONV_GRAD_X (which serves the transposed convolution too), of
 * convolutions like *conv: results are those of the plain call, to the bit. It may be used with any number of images of any
 * size, strides and pitches; but only where the size leads to the same algorithm as that of *conv, and stride, dilation and
 * instruction set are the same, does it save time. Its memory comes from the context (NULL: the library's own), which must
 * outlive it: several times the kernel, chanconv_packed_bytes(). */
chanconv_status chanconv_pack_kernel(chanconv_context *context, const chanconv_conv *conv, chanconv_pass pass,
                                     const void *kernel, chanconv_packed **packed, chanconv_error *error);

/* Gives it back to the context it was made with; NULL does nothing. */
void chanconv_packed_destroy(chanconv_context *context, chanconv_packed *packed);

/* Bytes of the form that a pass of *conv would read beside the copy of the kernel; 0 if its algorithm reads kernels as they
 * are, so that packing gains nothing, or if *conv is not valid. */
int64_t chanconv_packed_gain(const chanconv_conv *conv, chanconv_pass pass);

/* All the memory that a packed kernel takes, in bytes; 0 for NULL. */
int64_t chanconv_packed_bytes(const chanconv_packed *packed);

/* 1 if it was made of a kernel with these very bits, as many elements, else 0. */
int chanconv_packed_holds(const chanconv_packed *packed, const void *kernel);

/* 1 if a pass of *conv would read its packed form, 0 if only the copy. */
int chanconv_packed_serves(const chanconv_packed *packed, const chanconv_conv *conv, chanconv_pass pass);

/* The passes with such a kernel. One of another shape or dtype is CHANCONV_BAD_KERNEL. */
chanconv_status chanconv_conv_forward_packed(chanconv_context *context, const chanconv_conv *conv, const void *x,
                                             const chanconv_packed *packed, const void *bias, void *y,
                                             chanconv_error *error);
chanconv_status chanconv_conv_grad_x_packed(chanconv_context *context, const chanconv_conv *conv, const void *grad_y,
                                            const chanconv_packed *packed, void *grad_x, chanconv_error *error);
chanconv_status chanconv_conv_transpose_packed(chanconv_context *context, const chanconv_conv *conv, const void *y,
                                               const chanconv_packed *packed, const void *bias, void *x,
                                               chanconv_error *error);

/* ---- im2col ----------------------------------------------------------------------------------------------------------
 * columns is [n][oh * ow][kh * kw * c]; groups and k of the descriptor are not looked at.
 */

/* columns[n][oh * OW + ow][(r * kw + s) * C + c] = x[n][oh * stride + r * dilation - pad][...][c], 0 outside. */
chanconv_status chanconv_im2col(chanconv_context *context, const chanconv_conv *conv, const void *x, void *columns,
                                chanconv_error *error);

/* Its adjoint: every entry of columns is added to the cell of x that im2col copies it from. x is written whole. */
chanconv_status chanconv_col2im(chanconv_context *context, const chanconv_conv *conv, const void *columns, void *x,
                                chanconv_error *error);

/* ---- Explanations ------------------------------------------------------------------------------------------------- */

/* How a pass would be computed. */
typedef struct chanconv_plan {
    size_t struct_size;       /* set by the caller: sizeof(chanconv_plan) */
    int32_t algorithm;        /* chosen */
    int32_t threads;          /* that the call would use at most */
    int32_t tile[2];          /* output pixels (or kernel rows) x output channels of a register tile */
    double flops;             /* 2 per multiplication and addition of the formula, taps on padding included */
    double bytes;             /* of x, kernel and y, each once */
    int64_t workspace_bytes;  /* memory the call takes beyond its arguments, at most, with these threads */
    const char *declined[CHANCONV_ALGORITHM_COUNT]; /* by chanconv_algorithm: why it was not chosen, or NULL */
} chanconv_plan;

chanconv_status chanconv_conv_plan(chanconv_context *context, const chanconv_conv *conv, chanconv_pass pass,
                                   chanconv_plan *plan, chanconv_error *error);

#ifdef __cplusplus
}
#endif

#endif
