# SPDX-License-Identifier: BSD-3-Clause
# Convolution: the passes.

def conv_forward(Convolution conv not None, const real[::1] x not None, const real[::1] kernel not None,
                 const real[::1] bias, real[::1] y not None, Elementwise activation=None):
    """y = activation(conv(x, kernel) + bias)."""
    check_count("x", x.shape[0], conv.sizes.x_count)
    check_count("kernel", kernel.shape[0], conv.sizes.kernel_count)
    check_count("out", y.shape[0], conv.sizes.y_count)
    if bias is not None:
        check_count("bias", bias.shape[0], conv.conv.k)
    conv.biased(chanconv_conv_forward, sizeof(real), &x[0], &kernel[0], NULL if bias is None else &bias[0], &y[0],
                activation)


def conv_transpose(Convolution conv not None, const real[::1] y not None, const real[::1] kernel not None,
                   const real[::1] bias, real[::1] x not None, Elementwise activation=None):
    """x = activation(grad_x(y, kernel) + bias)."""
    check_count("x", y.shape[0], conv.sizes.y_count)
    check_count("kernel", kernel.shape[0], conv.sizes.kernel_count)
    check_count("out", x.shape[0], conv.sizes.x_count)
    if bias is not None:
        check_count("bias", bias.shape[0], conv.conv.c)
    conv.biased(chanconv_conv_transpose, sizeof(real), &y[0], &kernel[0], NULL if bias is None else &bias[0], &x[0],
                activation)


def conv_grad_x(Convolution conv not None, const real[::1] grad_y not None, const real[::1] kernel not None,
                real[::1] grad_x not None):
    """Gradient of x."""
    check_count("grad_output", grad_y.shape[0], conv.sizes.y_count)
    check_count("kernel", kernel.shape[0], conv.sizes.kernel_count)
    check_count("out", grad_x.shape[0], conv.sizes.x_count)
    conv.binary(chanconv_conv_grad_x, sizeof(real), &grad_y[0], &kernel[0], &grad_x[0])


def conv_grad_kernel(Convolution conv not None, const real[::1] grad_y not None, const real[::1] x not None,
                     real[::1] grad_kernel not None):
    """Gradient of the kernel."""
    check_count("grad_output", grad_y.shape[0], conv.sizes.y_count)
    check_count("x", x.shape[0], conv.sizes.x_count)
    check_count("out", grad_kernel.shape[0], conv.sizes.kernel_count)
    conv.binary(chanconv_conv_grad_kernel, sizeof(real), &grad_y[0], &x[0], &grad_kernel[0])


def conv_grad_kernel_per_sample(Convolution conv not None, const real[::1] grad_y not None,
                                const real[::1] x not None, real[::1] grad_kernels not None):
    """Gradient of the kernel for every image by itself, (N, KH, KW, C / groups, K)."""
    check_count("grad_output", grad_y.shape[0], conv.sizes.y_count)
    check_count("x", x.shape[0], conv.sizes.x_count)
    check_count("out", grad_kernels.shape[0], <object>conv.conv.n * conv.sizes.kernel_count)
    conv.binary(chanconv_conv_grad_kernel_per_sample, sizeof(real), &grad_y[0], &x[0], &grad_kernels[0])


def conv_grad_bias(Convolution conv not None, const real[::1] grad_y not None, real[::1] grad_bias not None):
    """Gradient of the bias."""
    check_count("grad_output", grad_y.shape[0], conv.sizes.y_count)
    check_count("out", grad_bias.shape[0], conv.conv.k)
    conv.unary(chanconv_conv_grad_bias, sizeof(real), &grad_y[0], &grad_bias[0])
