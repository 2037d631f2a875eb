/* SPDX-License-Identifier: BSD-3-Clause
 * The version, and the table of all public functions. */
#include "internal.h"

int chanconv_version_number(void) { return CHANCONV_VERSION_NUMBER; }

const char *chanconv_version(void) { return CHANCONV_VERSION; }

int chanconv_abi_major(void) { return CHANCONV_ABI_MAJOR; }

int chanconv_abi_minor(void) { return CHANCONV_ABI_MINOR; }

/* The functions of chanconv_api, in its order. New ones come at the end, there and here. */
#define FUNCTIONS(F) \
    F(version_number) F(version) F(compiler) F(status_string) F(context_create) F(context_destroy) \
    F(get_num_threads) F(set_num_threads) F(num_threads_source) F(isa) F(isa_available) F(isa_compiled) F(set_isa) \
    F(get_cpu_info) F(environment_warning) F(activation_forward) F(activation_backward) F(prelu_forward) \
    F(prelu_backward) F(axis_forward) F(axis_backward) F(conv_init) F(conv_check) F(conv_transposed) F(conv_forward) \
    F(conv_grad_x) F(conv_transpose) F(conv_grad_kernel) F(conv_grad_kernel_per_sample) F(conv_grad_bias) \
    F(plane_init) F(plane_conv) F(im2col) F(col2im) F(conv_plan) F(pack_kernel) F(packed_destroy) F(packed_gain) \
    F(packed_bytes) F(packed_holds) F(packed_serves) F(conv_forward_packed) F(conv_grad_x_packed) \
    F(conv_transpose_packed) F(axis_backward_from_output)

#define NAME(name) #name,
#define POINTER(name) .name = chanconv_##name,
#define COUNT(name) +1

static const char *const names[] = {FUNCTIONS(NAME) NULL};

static const chanconv_api table = {
    .struct_size = sizeof(chanconv_api), .abi_major = CHANCONV_ABI_MAJOR, .abi_minor = CHANCONV_ABI_MINOR,
    .names = names, FUNCTIONS(POINTER)
};

_Static_assert(sizeof(chanconv_api) == offsetof(chanconv_api, version_number) + (FUNCTIONS(COUNT)) * sizeof(void *),
               "a function of the table is missing in FUNCTIONS");

const chanconv_api *chanconv_get_api(void) { return &table; }
