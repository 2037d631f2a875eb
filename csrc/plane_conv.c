/* SPDX-License-Identifier: BSD-3-Clause
 * Convolutions of planes, written shorter: descriptors of one channel. */
#include "internal.h"

void chanconv_plane_init(chanconv_conv *conv, chanconv_dtype dtype, int64_t n, int64_t h, int64_t w, int64_t kh,
                         int64_t kw)
{
    chanconv_conv_init(conv);
    conv->dtype = (int32_t)dtype;
    conv->n = n;
    conv->h = h;
    conv->w = w;
    conv->c = 1;
    conv->kh = kh;
    conv->kw = kw;
    conv->k = 1;
}

chanconv_status chanconv_plane_conv(chanconv_context *context, chanconv_dtype dtype, int64_t h, int64_t w,
                                    const void *x, int64_t kh, int64_t kw, const void *kernel, int64_t stride,
                                    int64_t padding, void *y, chanconv_error *error)
{
    chanconv_conv conv;
    chanconv_plane_init(&conv, dtype, 1, h, w, kh, kw);
    for (int axis = 0; axis < 2; axis++) {
        conv.stride[axis] = stride;
        conv.padding[axis][0] = padding;
        conv.padding[axis][1] = padding;
    }
    return chanconv_conv_forward(context, &conv, x, kernel, NULL, y, error);
}
