/* SPDX-License-Identifier: BSD-3-Clause
 *
 * chanconv_python.h - the functions of chanconv.h for extension modules of Python, from the chanconv that is installed
 * beside them. Nothing is linked, and however many modules use it, the process has one copy of the library: one pool of
 * threads, one setting of their number.
 *
 *     #include <chanconv_python.h>        // the include path: python -m chanconv --include
 *
 *     PyMODINIT_FUNC PyInit_example(void)
 *     {
 *         if (import_chanconv() < 0) {    // before the first call of any function of chanconv.h
 *             return NULL;                // an ImportError is set
 *         }
 *         ...
 *
 * From then on all functions have the names and arguments of chanconv.h. They may be called without the GIL.
 *
 * A module of several source files calls import_chanconv() in each; or it defines CHANCONV_TABLE, before this file is
 * included, to be the name of a variable of its own, `const chanconv_api *CHANCONV_TABLE;`, defined in one of them.
 *
 * With CHANCONV_LINKED defined, the functions are those of libchanconv.a or of csrc/, linked in: the same source then
 * works without an installed chanconv, and import_chanconv() does nothing.
 */
#ifndef CHANCONV_PYTHON_H
#define CHANCONV_PYTHON_H

#include <Python.h>

#include "chanconv.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef CHANCONV_LINKED

static inline int import_chanconv(void) { return 0; }

#else

#ifdef CHANCONV_TABLE
extern const chanconv_api *CHANCONV_TABLE;
#else
#define CHANCONV_TABLE chanconv_table_
static const chanconv_api *CHANCONV_TABLE;
#endif

/* Finds the installed library, imports chanconv for it if need be, and checks that it is one that this module was compiled
 * for. 0, or -1 with an ImportError. */
static inline int import_chanconv(void)
{
    const chanconv_api *table = (const chanconv_api *)PyCapsule_Import("chanconv._chanconv._C_API", 0);
    if (!table) {
        return -1;
    }
    if (table->abi_major != CHANCONV_ABI_MAJOR) {
        PyErr_Format(PyExc_ImportError,
                     "compiled for version %d of chanconv's C ABI; the chanconv that is installed has version %d: "
                     "compile against it, or install one that has version %d",
                     CHANCONV_ABI_MAJOR, (int)table->abi_major, CHANCONV_ABI_MAJOR);
        return -1;
    }
    if (table->struct_size < sizeof(chanconv_api)) {
        PyErr_Format(PyExc_ImportError,
                     "compiled for version %d.%d of chanconv's C ABI; the chanconv that is installed has version %d.%d: "
                     "install a newer one",
                     CHANCONV_ABI_MAJOR, CHANCONV_ABI_MINOR, (int)table->abi_major, (int)table->abi_minor);
        return -1;
    }
    CHANCONV_TABLE = table;
    return 0;
}

/* The functions, in the order of the table. */
#define chanconv_version_number (CHANCONV_TABLE->version_number)
#define chanconv_version (CHANCONV_TABLE->version)
#define chanconv_compiler (CHANCONV_TABLE->compiler)
#define chanconv_status_string (CHANCONV_TABLE->status_string)
#define chanconv_context_create (CHANCONV_TABLE->context_create)
#define chanconv_context_destroy (CHANCONV_TABLE->context_destroy)
#define chanconv_get_num_threads (CHANCONV_TABLE->get_num_threads)
#define chanconv_set_num_threads (CHANCONV_TABLE->set_num_threads)
#define chanconv_num_threads_source (CHANCONV_TABLE->num_threads_source)
#define chanconv_isa (CHANCONV_TABLE->isa)
#define chanconv_isa_available (CHANCONV_TABLE->isa_available)
#define chanconv_isa_compiled (CHANCONV_TABLE->isa_compiled)
#define chanconv_set_isa (CHANCONV_TABLE->set_isa)
#define chanconv_get_cpu_info (CHANCONV_TABLE->get_cpu_info)
#define chanconv_environment_warning (CHANCONV_TABLE->environment_warning)
#define chanconv_activation_forward (CHANCONV_TABLE->activation_forward)
#define chanconv_activation_backward (CHANCONV_TABLE->activation_backward)
#define chanconv_prelu_forward (CHANCONV_TABLE->prelu_forward)
#define chanconv_prelu_backward (CHANCONV_TABLE->prelu_backward)
#define chanconv_axis_forward (CHANCONV_TABLE->axis_forward)
#define chanconv_axis_backward (CHANCONV_TABLE->axis_backward)
#define chanconv_conv_init (CHANCONV_TABLE->conv_init)
#define chanconv_conv_check (CHANCONV_TABLE->conv_check)
#define chanconv_conv_transposed (CHANCONV_TABLE->conv_transposed)
#define chanconv_conv_forward (CHANCONV_TABLE->conv_forward)
#define chanconv_conv_grad_x (CHANCONV_TABLE->conv_grad_x)
#define chanconv_conv_transpose (CHANCONV_TABLE->conv_transpose)
#define chanconv_conv_grad_kernel (CHANCONV_TABLE->conv_grad_kernel)
#define chanconv_conv_grad_kernel_per_sample (CHANCONV_TABLE->conv_grad_kernel_per_sample)
#define chanconv_conv_grad_bias (CHANCONV_TABLE->conv_grad_bias)
#define chanconv_plane_init (CHANCONV_TABLE->plane_init)
#define chanconv_plane_conv (CHANCONV_TABLE->plane_conv)
#define chanconv_im2col (CHANCONV_TABLE->im2col)
#define chanconv_col2im (CHANCONV_TABLE->col2im)
#define chanconv_conv_plan (CHANCONV_TABLE->conv_plan)
#define chanconv_pack_kernel (CHANCONV_TABLE->pack_kernel)
#define chanconv_packed_destroy (CHANCONV_TABLE->packed_destroy)
#define chanconv_packed_gain (CHANCONV_TABLE->packed_gain)
#define chanconv_packed_bytes (CHANCONV_TABLE->packed_bytes)
#define chanconv_packed_holds (CHANCONV_TABLE->packed_holds)
#define chanconv_packed_serves (CHANCONV_TABLE->packed_serves)
#define chanconv_conv_forward_packed (CHANCONV_TABLE->conv_forward_packed)
#define chanconv_conv_grad_x_packed (CHANCONV_TABLE->conv_grad_x_packed)
#define chanconv_conv_transpose_packed (CHANCONV_TABLE->conv_transpose_packed)
#define chanconv_axis_backward_from_output (CHANCONV_TABLE->axis_backward_from_output)

#define chanconv_abi_major() ((int)CHANCONV_TABLE->abi_major)
#define chanconv_abi_minor() ((int)CHANCONV_TABLE->abi_minor)
#define chanconv_get_api() (CHANCONV_TABLE)

#endif

#ifdef __cplusplus
}
#endif

#endif
