/* SPDX-License-Identifier: BSD-3-Clause
 *
 * chanconv.h - the convolution of deep learning, forward and backward.
 *
 * This header is the whole public interface of the C library and its manual. C99 and C++ take it. It needs no other
 * file of the library; chanconv_python.h beside it is for extension modules of Python that use an installed chanconv.
 *
 *
 * Contents
 *
 *     Versions                            of the library and of this interface
 *     Status and errors                   what a call returns
 *     Context: threads and memory         a host's own threads, allocator or workspace
 *     The machine                         threads, instruction sets, caches
 *     Activations                         of arrays; the elementwise ones are fused into convolutions too
 *     Convolution: the descriptor         sizes, strides, padding, pitches
 *     Convolution: the passes             forward, gradients, the transposed convolution
 *     Planes                              images of one channel
 *     im2col                              and its adjoint
 *     Plans                               algorithm, work and workspace of a pass
 *     The table                           all of these functions as a struct of pointers
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
 * A first call
 *
 *     chanconv_conv conv;
 *     chanconv_conv_init(&conv);                  // float, one image, stride 1, no padding, one group
 *     conv.h = 32; conv.w = 32; conv.c = 3;       // x      [1][32][32][3]
 *     conv.kh = 5; conv.kw = 5; conv.k = 16;      // kernel [5][5][3][16]
 *     conv.padding_rule = CHANCONV_PAD_SAME;      // y      [1][32][32][16]
 *     conv.activation.kind = CHANCONV_RELU;
 *
 *     chanconv_error error;
 *     if (chanconv_conv_forward(NULL, &conv, x, kernel, bias, y, &error) != CHANCONV_OK) {
 *         fprintf(stderr, "%s\n", error.text);    // "stride: expected 1 or more (vertical), got 0"
 *     }
 *
 *
 * Conventions
 *
 * - Every size, pitch and count is an int64_t in elements unless its name or comment says bytes.
 * - A dtype of an array is that of the descriptor or of the argument before it: float or double, native byte order.
 * - Arrays need the alignment of their element type and no more. Not one byte outside the described elements is read or
 *   written. Inputs are never written.
 * - Outputs must not overlap inputs, except where a function says so. Elements of two arrays may alternate in memory,
 *   as slices of the channels of one buffer do: what counts is that no element of an output is one of an input.
 * - An output is written whole: what was in it before does not matter, and may be uninitialised.
 * - A function returns a status, CHANCONV_OK (0) on success. Nothing aborts, exits or prints. On an argument error
 *   nothing has been written; after CHANCONV_NO_MEMORY outputs are unspecified.
 * - Every function may be called from any number of threads at once, on distinct outputs. Those few that change
 *   something for the whole process say so.
 * - A call returns when its result is there; nothing goes on behind it. It may be made in a child after fork, also if
 *   the parent had used threads. It changes no signal mask, no affinity, no rounding mode and no environment.
 * - The result is the same, to the bit, for every number of threads, at any address, and for an image alone or in a
 *   batch (but for sums over the batch). It is the same with any pitches too; but in sums over pixels, the gradients of
 *   kernel and bias, gaps between rows or between images may change the order of the sum.
 * - An element of a result is NaN, infinite or finite as the formula says, whatever algorithm computes it.
 * - Sizes of 0 are allowed for n, c and k, and for arrays of activations: the result is empty, or an empty sum. A
 *   pointer to an array without elements may be NULL. Other pointers may not, where nothing is said of NULL.
 * - Structs that grow with later versions have struct_size in front, to be set to sizeof by whoever makes one (or by
 *   its init function): it tells the library which version the caller was compiled with.
 */
#ifndef CHANCONV_H
#define CHANCONV_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Versions --------------------------------------------------------------------------------------------------
 *
 * The version is that of the library as a whole. The ABI has a version of its own: it says which compiled programs work
 * with which compiled library. A program that was compiled with ABI a.b works with every library of ABI a.c, c >= b; a
 * larger minor number means that functions, or fields at the end of structs, were added. docs/abi.md has the promise.
 */

#define CHANCONV_VERSION_MAJOR 0
#define CHANCONV_VERSION_MINOR 1
#define CHANCONV_VERSION_PATCH 0
#define CHANCONV_VERSION "0.1.0"

#define CHANCONV_ABI_MAJOR 1
#define CHANCONV_ABI_MINOR 0

/* The version as a number that can be compared, 10203 for 1.2.3: of this header, and of the library itself. */
#define CHANCONV_VERSION_NUMBER \
    (CHANCONV_VERSION_MAJOR * 10000 + CHANCONV_VERSION_MINOR * 100 + CHANCONV_VERSION_PATCH)
int chanconv_version_number(void);

/* CHANCONV_VERSION of the library itself. */
const char *chanconv_version(void);

/* CHANCONV_ABI_MAJOR and CHANCONV_ABI_MINOR of the library itself. */
int chanconv_abi_major(void);
int chanconv_abi_minor(void);

/* The compiler that built it, such as "gcc 12.2.0". */
const char *chanconv_compiler(void);

/* ---- Status and errors -----------------------------------------------------------------------------------------
 *
 * What a call came to. An argument error names the argument: the values that follow CHANCONV_BAD_STRUCT. Later versions
 * may add values at the end.
 */
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

/* A short English text for a status, "invalid stride"; never NULL, also for a number that is none. A static string. */
const char *chanconv_status_string(chanconv_status status);

/* Details of an error: filled by functions that take one (it may be NULL), untouched on success. It belongs to the
 * caller; there is no "last error" of the library. This struct never grows. */
typedef struct chanconv_error {
    const char *argument;     /* the name of the argument, a static string */
    char text[240];           /* one sentence: the argument, what was expected and what came; NUL-terminated */
} chanconv_error;

/* ---- Context: threads and memory -------------------------------------------------------------------------------
 *
 * A context says where a call gets its threads and its memory from. NULL, accepted by every function, is the library's
 * own: a pool of threads that is started at the first call that is large enough, sleeps between calls and is shared by
 * the process; and malloc, of which one block is kept for the next call.
 *
 * A host with threads of its own gives parallel_for: then the library starts none. A host with memory of its own gives
 * either allocate and release, or a workspace, a block from which all the memory of a call is taken: then the library
 * does not allocate. What a call needs is chanconv_plan.workspace_bytes.
 */
typedef struct chanconv_context chanconv_context;

/* A task for parallel_for: does work item `index` of `count`. */
typedef void (*chanconv_task)(void *task_data, int64_t index);

typedef struct chanconv_context_options {
    size_t struct_size;       /* sizeof(chanconv_context_options) */
    /* Threads that one call may use, the caller's among them; 0: as chanconv_get_num_threads() says at the time of the
     * call. Small calls use fewer. With parallel_for: at how many items at a time the work is cut, so best the number
     * of the host's threads. */
    int threads;
    /* Runs task(task_data, i) once for every i in 0 .. count - 1, on any threads and in any order, one or many at a
     * time, and returns when all are done. It is called by the thread that makes the call,
     * perhaps several times for a call, and not at all if one thread does. A task does not call it again. NULL: the
     * library's own threads. */
    void (*parallel_for)(void *host, int64_t count, chanconv_task task, void *task_data);
    void *host;               /* handed to the three callbacks */
    /* Both or neither. allocate: at least `bytes` bytes, best aligned to 64, or NULL, which makes the call return
     * CHANCONV_NO_MEMORY. The library aligns blocks that are not, for which it asks for 128 bytes more than it needs.
     * release: with the same address and number of bytes. The thread that makes the call calls them, a few times a
     * call, in turn: what is allocated last is released first, before the call returns. */
    void *(*allocate)(void *host, size_t bytes);
    void (*release)(void *host, void *block, size_t bytes);
    /* Instead of these: a block of memory, at any address, that stays the caller's. CHANCONV_NO_MEMORY if a call needs
     * more. A context with a workspace serves one call at a time; make one for each thread that calls. */
    void *workspace;
    size_t workspace_bytes;
} chanconv_context_options;

/* The callbacks must return: no C++ exception may leave them, and no longjmp(). */

/* Makes a context of a copy of *options, to be given to any number of calls, at once if it has no workspace. *context
 * is NULL unless the status is CHANCONV_OK; else it is CHANCONV_BAD_STRUCT or CHANCONV_NO_MEMORY. This allocates a
 * hundred bytes by malloc: the calls that are given the context do not. */
chanconv_status chanconv_context_create(const chanconv_context_options *options, chanconv_context **context);

/* Frees a context that no call is using; NULL is allowed. */
void chanconv_context_destroy(chanconv_context *context);

/* The number of threads a call with the default context may use. At first CHANCONV_NUM_THREADS, else OMP_NUM_THREADS,
 * else the processors this process may use (affinity and cgroup quota). */
int chanconv_get_num_threads(void);

/* Sets it for the whole process, for calls that begin later; n below 1 is ignored, a huge n is limited. Returns the
 * number now in force. No result depends on it. */
int chanconv_set_num_threads(int n);

/* What decides that number, a static string: "chanconv_set_num_threads", "CHANCONV_NUM_THREADS", "OMP_NUM_THREADS" or
 * "processors". */
const char *chanconv_num_threads_source(void);

/* ---- The machine ------------------------------------------------------------------------------------------------ */

/* The instruction set in use: "generic", "avx2", "avx512" or "neon". The best that the processor has, unless the
 * environment's CHANCONV_ISA holds it down. A static string. */
const char *chanconv_isa(void);

/* Instruction sets that are compiled in and that this processor can run, best first: index 0, 1, ... until NULL. The
 * results of two of them differ by rounding. */
const char *chanconv_isa_available(int index);

/* Those that are compiled in, whatever the processor. */
const char *chanconv_isa_compiled(int index);

/* Holds the process to an instruction set of that list: for tests and measurements. Returns CHANCONV_OK, or
 * CHANCONV_BAD_ALGORITHM and no change if it is unknown or not available. Not to be called while other calls run. */
chanconv_status chanconv_set_isa(const char *isa);

/* What the library found out about the machine. */
typedef struct chanconv_cpu_info {
    size_t struct_size;       /* sizeof(chanconv_cpu_info) */
    int64_t l1_bytes, l2_bytes, l3_bytes; /* the data caches; a guess where nothing is known */
    int processors;           /* that this process may use: affinity and cgroup quota */
} chanconv_cpu_info;

/* Fills in *info, whose struct_size is set; else CHANCONV_BAD_STRUCT. */
chanconv_status chanconv_get_cpu_info(chanconv_cpu_info *info);

/* The CHANCONV_ variables of the environment are read once, by the first call that depends on one. A value that is
 * malformed, or that asks for what this processor cannot do, is ignored; this gives one sentence for each of those, for
 * the caller to print: index 0, 1, ... until NULL. */
const char *chanconv_environment_warning(int index);

/* ---- Activations -----------------------------------------------------------------------------------------------
 *
 * Arrays of activations are dense. An output may be an input where that is said: then it is the very same array, not
 * one that overlaps it. Backward passes take the activation's input x, but where it is said its output. None of these
 * functions allocates but chanconv_prelu_backward().
 */

/* The type of the elements of all arrays of a call. */
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

/* An elementwise activation with its parameters. All bytes 0 is the identity. This struct never grows.
 * A parameter is a number that the dtype of a call can hold; it may be infinite unless it is a slope, alpha or beta. */
typedef struct chanconv_activation {
    int32_t kind;             /* chanconv_activation_kind */
    double p[2];              /* parameters; ones that the kind does not have are ignored */
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

/* grad_x[i] = grad_y[i] * (x[i] > 0 ? 1 : slope[c]) (grad_x may be grad_y or x); grad_slope[c], or the one, is the sum
 * of grad_y * x over the elements x <= 0 that have this slope. Either may be NULL: not wanted. grad_slope takes a
 * workspace of at most 64 * slopes elements and 64 bytes. */
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

/* The same from y, the activation's output, where that was kept: in half the time, as exact. Not for GLU. grad_x may be y or
 * grad_y. Elementwise activations need no such function: for those of straight pieces chanconv_activation_backward() gives
 * the same with y for x, if a slope is above 0 and a replaced value not above the threshold (not HARD_SIGMOID, HARD_SILU,
 * SOFTSHRINK); curved ones lose digits in y. */
chanconv_status chanconv_axis_backward_from_output(chanconv_context *context, chanconv_dtype dtype,
                                                   chanconv_axis_activation kind, int64_t outer, int64_t length,
                                                   int64_t inner, const void *grad_y, const void *y, void *grad_x,
                                                   chanconv_error *error);

/* ---- Convolution: the descriptor -------------------------------------------------------------------------------
 *
 * One struct describes a convolution to all its passes. It is plain data, may be copied, and is only read by the
 * passes; a pass checks it first, as chanconv_conv_check() does, which costs some tens of nanoseconds.
 */

/* What lies outside x: x[-1], x[-2] for a row 0 1 2 3. */
typedef enum chanconv_padding_mode {
    CHANCONV_ZEROS = 0,       /* 0, 0 */
    CHANCONV_REFLECT,         /* 1, 2: the edge is not repeated; each pad < size */
    CHANCONV_REPLICATE,       /* 0, 0th element: the edge for ever */
    CHANCONV_CIRCULAR,        /* 3, 2; each pad <= size */
    CHANCONV_SYMMETRIC        /* 0, 1: the edge is repeated; any pad */
} chanconv_padding_mode;

/* Where the numbers of rows and columns around x come from. */
typedef enum chanconv_padding_rule {
    CHANCONV_PAD_EXPLICIT = 0, /* padding[][] as given */
    CHANCONV_PAD_SAME,         /* output ceil(size / stride); an odd row or column at the bottom or right */
    CHANCONV_PAD_SAME_LOWER    /* ... at the top or left */
} chanconv_padding_rule;

/* How to compute a pass. CHANCONV_AUTO chooses by the shape of one image, the kernel, the geometry, the dtype and the
 * instruction set, and by nothing else. One that cannot compute the shape at hand is CHANCONV_BAD_ALGORITHM. */
typedef enum chanconv_algorithm {
    CHANCONV_AUTO = 0,
    CHANCONV_GEMM,            /* blocked matrix product; im2col tile by tile, never written out */
    CHANCONV_DIRECT,          /* depthwise and plane kernels */
    CHANCONV_WINOGRAD,        /* fewer multiplications, less exact */
    CHANCONV_FFT,             /* planes and channels one by one, with large kernels: Fourier transforms of tiles */
    CHANCONV_IM2COL,          /* the textbook: the im2col matrix of an image, one product, col2im */
    CHANCONV_ALGORITHM_COUNT
} chanconv_algorithm;

/* Whether CHANCONV_AUTO may take algorithms that are less exact than the direct sum. */
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
    /* Distance in elements from one pixel, row, image to the next; 0 (the default): dense, that is c, w * x_pixel and h
     * * x_row. The channels of a pixel are next to each other. So a slice of the channels of a larger image is read or
     * written in place: with x + first_channel and x_pixel = all its channels, x_row = w * x_pixel, and so on. A pitch
     * that is less than dense, so that an array would overlap itself, is CHANCONV_BAD_X or CHANCONV_BAD_Y. The pitches
     * of x hold for grad_x, those of y for grad_y. */
    int64_t x_pixel, x_row, x_image;
    int64_t y_pixel, y_row, y_image;
    chanconv_activation activation; /* applied to the result of the forward (or transposed) pass; CHANCONV_IDENTITY */
} chanconv_conv;

/* Fills in the defaults named above; sizes are 0 until set. */
void chanconv_conv_init(chanconv_conv *conv);

/* What follows from a descriptor, in elements. */
typedef struct chanconv_sizes {
    size_t struct_size;       /* set by the caller: sizeof(chanconv_sizes) */
    int64_t oh, ow;           /* y is [n][oh][ow][k] */
    int64_t padding[2][2];    /* as resolved from the rule */
    int64_t x_count, kernel_count, y_count;  /* elements of the dense arrays */
} chanconv_sizes;

/* Checks a descriptor: the same check that every pass begins with. `sizes` and `error` may be NULL. Products of sizes
 * that do not fit 64 bits are errors here, so that the caller may multiply the sizes of a checked descriptor. */
chanconv_status chanconv_conv_check(const chanconv_conv *conv, chanconv_sizes *sizes, chanconv_error *error);

/* Makes *conv, filled in but for h, w and out, the convolution whose gradient of x takes an image of grid[0] x grid[1]
 * pixels: sets h, w = (grid - 1) * stride - padding + dilation * (k - 1) + output_padding + 1 (padding rule SAME:
 * grid * stride) and out = grid. output_padding is at least 0 and less than the larger of stride and dilation. */
chanconv_status chanconv_conv_transposed(chanconv_conv *conv, const int64_t grid[2], const int64_t output_padding[2],
                                         chanconv_error *error);

/* ---- Convolution: the passes -----------------------------------------------------------------------------------
 *
 * Shapes are those of the descriptor: x [n][h][w][c], kernel [kh][kw][c / groups][k], y and grad_y [n][oh][ow][k]; x
 * and y with the descriptor's pitches, the others dense. grad_y is the derivative of a scalar, the loss, by y.
 */

/* CHANCONV_FORWARD is for chanconv_conv_forward(), CHANCONV_GRAD_X for chanconv_conv_transpose() too. */
typedef enum chanconv_pass {
    CHANCONV_FORWARD = 0,
    CHANCONV_GRAD_X,
    CHANCONV_GRAD_KERNEL,
    CHANCONV_GRAD_KERNEL_PER_SAMPLE, /* figures are those of one image */
    CHANCONV_GRAD_BIAS
} chanconv_pass;

/* y = activation(conv(x, kernel) + bias); bias [k] or NULL. The activation runs over what is in the cache anyway: it
 * costs far less than a call of its own. */
chanconv_status chanconv_conv_forward(chanconv_context *context, const chanconv_conv *conv, const void *x,
                                      const void *kernel, const void *bias, void *y, chanconv_error *error);

/* grad_x = dL/dx from grad_y = dL/dy: for zero padding
 *     grad_x[n][i][j][c] = sum over r, s, k with oh * stride + r * dilation - pad = i, and so for j, of
 * grad_y[n][oh][ow][k] * kernel[r][s][c][k]; for the other modes the gradient of a pad cell is added to the cell it
 * copies. The descriptor's activation is ignored, as by all gradients: grad_y is what chanconv_activation_backward()
 * gives. */
chanconv_status chanconv_conv_grad_x(chanconv_context *context, const chanconv_conv *conv, const void *grad_y,
                                     const void *kernel, void *grad_x, chanconv_error *error);

/* The transposed convolution: x = activation(grad_x(y) + bias), bias [c] or NULL. Zero padding only. Its gradients are
 * the passes of the same descriptor in other roles: of its input y, chanconv_conv_forward() on the derivative by x; of
 * the kernel, chanconv_conv_grad_kernel(y as grad_y, derivative by x as x). */
chanconv_status chanconv_conv_transpose(chanconv_context *context, const chanconv_conv *conv, const void *y,
                                        const void *kernel, const void *bias, void *x, chanconv_error *error);

/* grad_kernel[r][s][c][k] = sum over n, oh, ow of x[n][oh * stride + r * dilation - pad][...][c] *
 * grad_y[n][oh][ow][k]. Added up in an order that depends on the shape alone. */
chanconv_status chanconv_conv_grad_kernel(chanconv_context *context, const chanconv_conv *conv, const void *grad_y,
                                          const void *x, void *grad_kernel, chanconv_error *error);

/* The same for every image by itself: grad_kernels [n][kh][kw][c / groups][k]. */
chanconv_status chanconv_conv_grad_kernel_per_sample(chanconv_context *context, const chanconv_conv *conv,
                                                     const void *grad_y, const void *x, void *grad_kernels,
                                                     chanconv_error *error);

/* grad_bias[k] = sum over n, oh, ow of grad_y[n][oh][ow][k]. */
chanconv_status chanconv_conv_grad_bias(chanconv_context *context, const chanconv_conv *conv, const void *grad_y,
                                        void *grad_bias, chanconv_error *error);

/* ---- Kernels that are kept -------------------------------------------------------------------------------------
 *
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

/* ---- Planes ----------------------------------------------------------------------------------------------------
 *
 * A plane is an image of one channel. A convolution of planes is one with c = k = 1, and all passes take it. These two
 * save the typing.
 */

/* Fills in *conv, as chanconv_conv_init() does, for n planes x [n][h][w] and one kernel [kh][kw]. */
void chanconv_plane_init(chanconv_conv *conv, chanconv_dtype dtype, int64_t n, int64_t h, int64_t w, int64_t kh,
                         int64_t kw);

/* y[i][j] = sum over r, s of x[i * stride + r - padding][j * stride + s - padding] * kernel[r][s] on one plane, 0
 * outside x; y is [(h + 2 * padding - kh) / stride + 1][(w + 2 * padding - kw) / stride + 1]. All three dense. */
chanconv_status chanconv_plane_conv(chanconv_context *context, chanconv_dtype dtype, int64_t h, int64_t w,
                                    const void *x, int64_t kh, int64_t kw, const void *kernel, int64_t stride,
                                    int64_t padding, void *y, chanconv_error *error);

/* ---- im2col ----------------------------------------------------------------------------------------------------
 *
 * The matrix whose product with the kernel, seen as [kh * kw * c][k], is the convolution. The passes above do not need
 * it; it is here for those who do. columns is [n][oh * ow][kh * kw * c], dense; groups, k and the pitches of y are not
 * looked at. Neither function takes a workspace.
 */

/* columns[n][oh * OW + ow][(r * kw + s) * C + c] = x[n][oh * stride + r * dilation - pad][...][c], 0 outside. */
chanconv_status chanconv_im2col(chanconv_context *context, const chanconv_conv *conv, const void *x, void *columns,
                                chanconv_error *error);

/* Its adjoint: every entry of columns is added to the cell of x that im2col copies it from. x is written whole. */
chanconv_status chanconv_col2im(chanconv_context *context, const chanconv_conv *conv, const void *columns, void *x,
                                chanconv_error *error);

/* ---- Plans -----------------------------------------------------------------------------------------------------
 *
 * How a pass would be computed, without computing it: for hosts that bring the workspace, and for the curious.
 */

enum { CHANCONV_PLAN_ALGORITHMS = 16 }; /* at least CHANCONV_ALGORITHM_COUNT, now and later */

typedef struct chanconv_plan {
    size_t struct_size;       /* set by the caller: sizeof(chanconv_plan) */
    int32_t algorithm;        /* chosen */
    int32_t threads;          /* that the call would use at most */
    int32_t tile[2];          /* output pixels (or kernel rows) x output channels of a register tile */
    double flops;             /* 2 per multiplication and addition of the formula, taps on padding included */
    double bytes;             /* of x, kernel and y, each once */
    /* The memory that the call takes beyond its arguments, at most, with this number of threads or fewer. A workspace
     * of so many bytes suffices, at any address. It does not grow with n. */
    int64_t workspace_bytes;
    const char *declined[CHANCONV_PLAN_ALGORITHMS]; /* by chanconv_algorithm: why it was not chosen, or NULL */
    /* Cycles that the direct sum takes at least with all these threads, the larger of two: its multiply-adds, those on
     * padding left out, at the most whole vectors a cycle that processors of this instruction set do; and x, kernel and
     * y, each once, at the most bytes a cycle from the smallest level of cache that holds them. Nothing is measured.
     * Winograd and Fourier transforms may need less. */
    double arithmetic_cycles, memory_cycles;
} chanconv_plan;

/* Fills in *plan; a few microseconds. The context tells the number of threads; its memory is not used. */
chanconv_status chanconv_conv_plan(chanconv_context *context, const chanconv_conv *conv, chanconv_pass pass,
                                   chanconv_plan *plan, chanconv_error *error);

/* ---- The table -------------------------------------------------------------------------------------------------
 *
 * All functions of this header as pointers, for programs that find the library when they run: extension modules of
 * Python get its address from the capsule chanconv._chanconv._C_API (chanconv_python.h does that), ctypes, cffi and
 * Numba from chanconv.c_api_address(). Functions are only ever added, at the end; abi_minor then grows. Before anything
 * else of the table is used, abi_major must be found equal to CHANCONV_ABI_MAJOR, and struct_size at least as large as
 * sizeof.
 */
typedef struct chanconv_api {
    size_t struct_size;       /* of the whole table */
    int32_t abi_major, abi_minor;
    const char *const *names; /* of the functions that follow, without "chanconv_", in their order; NULL ends them */

    int (*version_number)(void);
    const char *(*version)(void);
    const char *(*compiler)(void);
    const char *(*status_string)(chanconv_status status);
    chanconv_status (*context_create)(const chanconv_context_options *options, chanconv_context **context);
    void (*context_destroy)(chanconv_context *context);
    int (*get_num_threads)(void);
    int (*set_num_threads)(int n);
    const char *(*num_threads_source)(void);
    const char *(*isa)(void);
    const char *(*isa_available)(int index);
    const char *(*isa_compiled)(int index);
    chanconv_status (*set_isa)(const char *isa);
    chanconv_status (*get_cpu_info)(chanconv_cpu_info *info);
    const char *(*environment_warning)(int index);
    chanconv_status (*activation_forward)(chanconv_context *context, chanconv_dtype dtype,
                                          const chanconv_activation *activation, int64_t count, const void *x, void *y,
                                          chanconv_error *error);
    chanconv_status (*activation_backward)(chanconv_context *context, chanconv_dtype dtype,
                                           const chanconv_activation *activation, int64_t count, const void *grad_y,
                                           const void *x, void *grad_x, chanconv_error *error);
    chanconv_status (*prelu_forward)(chanconv_context *context, chanconv_dtype dtype, int64_t pixels, int64_t channels,
                                     int64_t slopes, const void *x, const void *slope, void *y, chanconv_error *error);
    chanconv_status (*prelu_backward)(chanconv_context *context, chanconv_dtype dtype, int64_t pixels,
                                      int64_t channels, int64_t slopes, const void *grad_y, const void *x,
                                      const void *slope, void *grad_x, void *grad_slope, chanconv_error *error);
    chanconv_status (*axis_forward)(chanconv_context *context, chanconv_dtype dtype, chanconv_axis_activation kind,
                                    int64_t outer, int64_t length, int64_t inner, const void *x, void *y,
                                    chanconv_error *error);
    chanconv_status (*axis_backward)(chanconv_context *context, chanconv_dtype dtype, chanconv_axis_activation kind,
                                     int64_t outer, int64_t length, int64_t inner, const void *grad_y, const void *x,
                                     void *grad_x, chanconv_error *error);
    void (*conv_init)(chanconv_conv *conv);
    chanconv_status (*conv_check)(const chanconv_conv *conv, chanconv_sizes *sizes, chanconv_error *error);
    chanconv_status (*conv_transposed)(chanconv_conv *conv, const int64_t grid[2], const int64_t output_padding[2],
                                       chanconv_error *error);
    chanconv_status (*conv_forward)(chanconv_context *context, const chanconv_conv *conv, const void *x,
                                    const void *kernel, const void *bias, void *y, chanconv_error *error);
    chanconv_status (*conv_grad_x)(chanconv_context *context, const chanconv_conv *conv, const void *grad_y,
                                   const void *kernel, void *grad_x, chanconv_error *error);
    chanconv_status (*conv_transpose)(chanconv_context *context, const chanconv_conv *conv, const void *y,
                                      const void *kernel, const void *bias, void *x, chanconv_error *error);
    chanconv_status (*conv_grad_kernel)(chanconv_context *context, const chanconv_conv *conv, const void *grad_y,
                                        const void *x, void *grad_kernel, chanconv_error *error);
    chanconv_status (*conv_grad_kernel_per_sample)(chanconv_context *context, const chanconv_conv *conv,
                                                   const void *grad_y, const void *x, void *grad_kernels,
                                                   chanconv_error *error);
    chanconv_status (*conv_grad_bias)(chanconv_context *context, const chanconv_conv *conv, const void *grad_y,
                                      void *grad_bias, chanconv_error *error);
    void (*plane_init)(chanconv_conv *conv, chanconv_dtype dtype, int64_t n, int64_t h, int64_t w, int64_t kh,
                       int64_t kw);
    chanconv_status (*plane_conv)(chanconv_context *context, chanconv_dtype dtype, int64_t h, int64_t w, const void *x,
                                  int64_t kh, int64_t kw, const void *kernel, int64_t stride, int64_t padding, void *y,
                                  chanconv_error *error);
    chanconv_status (*im2col)(chanconv_context *context, const chanconv_conv *conv, const void *x, void *columns,
                              chanconv_error *error);
    chanconv_status (*col2im)(chanconv_context *context, const chanconv_conv *conv, const void *columns, void *x,
                              chanconv_error *error);
    chanconv_status (*conv_plan)(chanconv_context *context, const chanconv_conv *conv, chanconv_pass pass,
                                 chanconv_plan *plan, chanconv_error *error);
    chanconv_status (*pack_kernel)(chanconv_context *context, const chanconv_conv *conv, chanconv_pass pass,
                                   const void *kernel, chanconv_packed **packed, chanconv_error *error);
    void (*packed_destroy)(chanconv_context *context, chanconv_packed *packed);
    int64_t (*packed_gain)(const chanconv_conv *conv, chanconv_pass pass);
    int64_t (*packed_bytes)(const chanconv_packed *packed);
    int (*packed_holds)(const chanconv_packed *packed, const void *kernel);
    int (*packed_serves)(const chanconv_packed *packed, const chanconv_conv *conv, chanconv_pass pass);
    chanconv_status (*conv_forward_packed)(chanconv_context *context, const chanconv_conv *conv, const void *x,
                                           const chanconv_packed *packed, const void *bias, void *y,
                                           chanconv_error *error);
    chanconv_status (*conv_grad_x_packed)(chanconv_context *context, const chanconv_conv *conv, const void *grad_y,
                                          const chanconv_packed *packed, void *grad_x, chanconv_error *error);
    chanconv_status (*conv_transpose_packed)(chanconv_context *context, const chanconv_conv *conv, const void *y,
                                             const chanconv_packed *packed, const void *bias, void *x,
                                             chanconv_error *error);
    chanconv_status (*axis_backward_from_output)(chanconv_context *context, chanconv_dtype dtype,
                                                 chanconv_axis_activation kind, int64_t outer, int64_t length,
                                                 int64_t inner, const void *grad_y, const void *y, void *grad_x,
                                                 chanconv_error *error);
} chanconv_api;

/* The table of this library: constant, and there as long as the library is. */
const chanconv_api *chanconv_get_api(void);

#ifdef __cplusplus
}
#endif

#endif
