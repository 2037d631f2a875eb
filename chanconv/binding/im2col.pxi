# SPDX-License-Identifier: BSD-3-Clause
# im2col and col2im.

def im2col(Convolution conv not None, const real[::1] x not None, real[::1] columns not None):
    """The rows that the outputs see."""
    check_count("x", x.shape[0], conv.sizes.x_count)
    check_count("out", columns.shape[0], prod(conv.columns_shape))
    conv.unary(chanconv_im2col, sizeof(real), &x[0], &columns[0])


def col2im(Convolution conv not None, const real[::1] columns not None, real[::1] x not None):
    """The adjoint of im2col."""
    check_count("columns", columns.shape[0], prod(conv.columns_shape))
    check_count("out", x.shape[0], conv.sizes.x_count)
    conv.unary(chanconv_col2im, sizeof(real), &columns[0], &x[0])
