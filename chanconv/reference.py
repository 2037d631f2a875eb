# SPDX-License-Identifier: BSD-3-Clause
"""The convolution of deep learning and its gradients, in plain NumPy, as the definitions say.

This module is the specification of chanconv: the fast functions of the same names are tested against it. It is meant to
be read. It checks nothing, takes neither ``algorithm`` nor ``out``, and computes in the dtype it is given.

**One channel.** Slide a small plane, the kernel, over a large one; at each place multiply what lies on top of each
other and add up (no flip)::

    y[i, j] = sum over r, s of  padded[i * stride + r * dilation, j * stride + s * dilation] * kernel[r, s]

Read with r and s outermost, it says: for every tap (r, s) of the kernel, add a shifted copy of the plane, times
kernel[r, s]. So a tap is paired with one slice of the padded plane, ``tap_slices``, and that is all of `plane_conv`.

**Its gradients.** Let g = dL/dy. A product a * b hands on g * b to a and g * a to b. So a tap's gradient is the sum of
its slice times g, and a slice's gradient is g times its tap, added up where slices overlap::

    dL/dkernel[r, s]     =  sum(slice(r, s) * g)
    dL/dslice(r, s)     +=  g * kernel[r, s]

What falls on padding of zeros is dropped; in the other padding modes a padded cell is the copy of a cell of the plane,
and its gradient is added to that cell.

**Many channels.** A multichannel convolution is the sum over channels of plane convolutions, ::

    conv(x, kernel) = sum over i of plane_conv(x_i, kernel_i)

and because a sum hands on g unchanged to each of its terms, its gradients are, channel by channel, the gradients of the
plane convolutions with the same g. K kernels repeat that K times, and where they share an input channel, its gradients
add up. With groups a kernel sees the channels of its own group alone. `channel_pairs` lists which plane meets which.

**The transpose.** `conv` is linear in x: y = A x, and dL/dx = A' g. `conv_transpose` is that A' used forwards, so its
own gradient with respect to its input is A, the convolution.

**im2col.** Write the values that each output sees into a row: one matrix product then does the work of all loops. ::

    conv(x, kernel) = im2col(x) @ kernel.reshape(-1, K)

`im2col` copies cells of x, so its adjoint `col2im` adds every copy's value to the cell that it came from.

Letters: N images, H W height and width, C channels; KH KW height and width of a kernel, K kernels; OH OW height and
width of the result. Images are (H, W, C) or (N, H, W, C), kernels (KH, KW, C // groups, K), or (KH, KW, C) for one.
"""

from typing import NamedTuple

import numpy as np

__all__ = [
    "ConvGradients",
    "col2im",
    "conv",
    "conv_backward",
    "conv_grad_kernel",
    "conv_grad_x",
    "conv_output_shape",
    "conv_transpose",
    "conv_transpose_backward",
    "im2col",
    "plane_conv",
    "plane_conv_backward",
]

_NUMPY_PAD_MODES = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
    "symmetric": "symmetric",
}


class ConvGradients(NamedTuple):
    """Gradients of a convolution; None for one that was not asked for."""

    x: np.ndarray | None
    kernel: np.ndarray | None
    bias: np.ndarray | None


# ---- Geometry --------------------------------------------------------------------------------------------------------


def pair(value):
    """(vertical, horizontal) of an int or a pair."""
    return (value, value) if np.ndim(value) == 0 else tuple(value)


def same_padding(size, kernel_size, stride, dilation, lower):
    """(before, after) that give the result ceil(size / stride) rows; an odd row comes after, or before if `lower`."""
    result = -(-size // stride)
    total = max((result - 1) * stride + dilation * (kernel_size - 1) + 1 - size, 0)
    small, large = total // 2, total - total // 2
    return (large, small) if lower else (small, large)


def explicit_padding(padding, sizes, kernel_sizes, stride, dilation):
    """Padding of any form as ((top, bottom), (left, right))."""
    if padding in ("same", "same_lower"):
        axes = zip(sizes, kernel_sizes, pair(stride), pair(dilation), strict=True)
        return tuple(same_padding(*axis, lower=padding == "same_lower") for axis in axes)
    return tuple(pair(axis) for axis in pair(0 if padding == "valid" else padding))


def output_sizes(sizes, kernel_sizes, stride, padding, dilation):
    """(OH, OW): how often the kernel, spread by its dilation, fits into the padded image in steps of the stride."""
    padding = explicit_padding(padding, sizes, kernel_sizes, stride, dilation)
    axes = zip(sizes, kernel_sizes, pair(stride), padding, pair(dilation), strict=True)
    return tuple((n + sum(pad) - d * (k - 1) - 1) // s + 1 for n, k, s, pad, d in axes)


def conv_output_shape(x_shape, kernel_shape, stride=1, *, padding=0, dilation=1, groups=1):
    """Shape of ``conv(x, kernel)``; the same for any `groups`, as the kernel tells the number of output channels."""
    image_axes = min(len(kernel_shape), 3)  # (H, W) beside a plane kernel, else (H, W, C)
    batch, sizes = x_shape[: len(x_shape) - image_axes], x_shape[len(x_shape) - image_axes :][:2]
    return (*batch, *output_sizes(sizes, kernel_shape[:2], stride, padding, dilation), *kernel_shape[3:])


# ---- Padding ---------------------------------------------------------------------------------------------------------


def padding_map(size, pad, mode):
    """For every row of the padded plane the row of the plane that it copies, or -1 for zeros."""
    return np.pad(np.arange(1, size + 1), pad, mode=_NUMPY_PAD_MODES[mode]) - 1


def pad_plane(x, padding, mode):
    """Plane(s) x (..., H, W) with `padding` ((top, bottom), (left, right)) around."""
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + list(padding), mode=_NUMPY_PAD_MODES[mode])


def pad_plane_backward(grad_padded, sizes, padding, mode):
    """Gradient of the plane(s) (..., H, W) from that of the padded ones: copies add up, padded zeros are dropped."""
    rows, columns = (padding_map(size, pad, mode) for size, pad in zip(sizes, padding, strict=True))
    grad_x = np.zeros((*grad_padded.shape[:-2], *sizes), grad_padded.dtype)
    copies = grad_padded[..., rows >= 0, :][..., columns >= 0]
    np.add.at(grad_x, (..., rows[rows >= 0][:, None], columns[columns >= 0]), copies)
    return grad_x


# ---- One channel -----------------------------------------------------------------------------------------------------


def tap_slices(kernel_sizes, output_sizes, stride, dilation):
    """For every tap (r, s) of a kernel: r, s and the rows and columns of the padded plane that it is applied to.

    Output row i sees row ``i * stride + r * dilation`` of the padded plane through the tap in row r.
    """
    for tap in np.ndindex(*kernel_sizes):
        axes = zip(tap, output_sizes, pair(stride), pair(dilation), strict=True)
        yield *tap, *(slice(t * d, t * d + size * s, s) for t, size, s, d in axes)


def plane_conv(x, kernel, stride=1, *, padding=0, dilation=1, padding_mode="zeros"):
    """Convolution of plane(s) x (H, W) or (N, H, W) with a kernel (KH, KW): result (OH, OW) or (N, OH, OW).

    ``y[i, j] = sum over r, s of padded[i * stride + r * dilation, j * stride + s * dilation] * kernel[r, s]``
    """
    sizes = output_sizes(x.shape[-2:], kernel.shape, stride, padding, dilation)
    padding = explicit_padding(padding, x.shape[-2:], kernel.shape, stride, dilation)
    padded = pad_plane(x, padding, padding_mode)
    y = np.zeros((*x.shape[:-2], *sizes), np.result_type(x, kernel))
    for r, s, rows, columns in tap_slices(kernel.shape, sizes, stride, dilation):
        y += padded[..., rows, columns] * kernel[r, s]
    return y


def plane_conv_grad_x(grad_output, kernel, sizes, stride=1, *, padding=0, dilation=1, padding_mode="zeros"):
    """Gradient of the plane(s) of `sizes` (H, W): every slice of `plane_conv` gets ``grad_output * kernel[r, s]``."""
    padding = explicit_padding(padding, sizes, kernel.shape, stride, dilation)
    padded_sizes = (size + sum(pad) for size, pad in zip(sizes, padding, strict=True))
    grad_padded = np.zeros((*grad_output.shape[:-2], *padded_sizes), np.result_type(grad_output, kernel))
    for r, s, rows, columns in tap_slices(kernel.shape, grad_output.shape[-2:], stride, dilation):
        grad_padded[..., rows, columns] += grad_output * kernel[r, s]
    return pad_plane_backward(grad_padded, sizes, padding, padding_mode)


def plane_conv_grad_kernel(grad_output, x, kernel_sizes, stride=1, *, padding=0, dilation=1, padding_mode="zeros"):
    """Gradient of the kernel (KH, KW): every tap of `plane_conv` gets the sum of its slice times `grad_output`."""
    padding = explicit_padding(padding, x.shape[-2:], kernel_sizes, stride, dilation)
    padded = pad_plane(x, padding, padding_mode)
    grad_kernel = np.zeros(kernel_sizes, np.result_type(grad_output, x))
    for r, s, rows, columns in tap_slices(kernel_sizes, grad_output.shape[-2:], stride, dilation):
        grad_kernel[r, s] = np.sum(padded[..., rows, columns] * grad_output)
    return grad_kernel


def plane_conv_backward(
    grad_output, x, kernel, stride=1, *, padding=0, dilation=1, padding_mode="zeros", wrt=("x", "kernel")
):
    """Gradients of `plane_conv`."""
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "padding_mode": padding_mode}
    return ConvGradients(
        x=plane_conv_grad_x(grad_output, kernel, x.shape[-2:], **geometry) if "x" in wrt else None,
        kernel=plane_conv_grad_kernel(grad_output, x, kernel.shape, **geometry) if "kernel" in wrt else None,
        bias=None,
    )


# ---- Many channels ---------------------------------------------------------------------------------------------------


def channel_pairs(kernel_shape, groups):
    """All (c, i, k): plane i of kernel k is applied to channel c of the image.

    Output channel k belongs to group ``k // (K // groups)``, which has ``C // groups`` input channels.
    """
    channels, kernels = kernel_shape[2:]
    for i, k in np.ndindex(channels, kernels):
        yield k // (kernels // groups) * channels + i, i, k


def finish(y, bias, activation):
    """``activation(y + bias)``."""
    y = y if bias is None else y + bias
    if isinstance(activation, str):
        from chanconv import activations

        activation = activations.get(activation)
    if activation is None:
        return y
    return activation(y) if callable(activation) else activation.forward(y)


def conv(x, kernel, stride=1, *, padding=0, dilation=1, groups=1, bias=None, activation=None, padding_mode="zeros"):
    """Convolution: the sum over channels of plane convolutions, for every kernel.

    ``y[..., k] = bias[k] + sum over i of plane_conv(x[..., c], kernel[..., i, k])`` with c as in `channel_pairs`.
    `activation` is a function, an `Activation` or a name from `chanconv.activations`.
    """
    geometry = {"stride": stride, "padding": padding, "dilation": dilation}
    if kernel.ndim == 3:
        y = conv(x, kernel[..., None], groups=groups, padding_mode=padding_mode, **geometry)
        return finish(y[..., 0], bias, activation)
    y = np.zeros(conv_output_shape(x.shape, kernel.shape, **geometry), np.result_type(x, kernel))
    for c, i, k in channel_pairs(kernel.shape, groups):
        y[..., k] += plane_conv(x[..., c], kernel[..., i, k], padding_mode=padding_mode, **geometry)
    return finish(y, bias, activation)


def conv_grad_x(
    grad_output, kernel, x_shape, stride=1, *, padding=0, dilation=1, groups=1, padding_mode="zeros"
):
    """Gradient of `conv` with respect to x, of shape `x_shape` (H, W, C) or (N, H, W, C).

    ``grad_x[..., c]`` is the sum of the planes' gradients for ``grad_output[..., k]``, over the kernels k that see c.
    """
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "padding_mode": padding_mode}
    if kernel.ndim == 3:
        return conv_grad_x(grad_output[..., None], kernel[..., None], x_shape, groups=groups, **geometry)
    grad_x = np.zeros(x_shape, np.result_type(grad_output, kernel))
    for c, i, k in channel_pairs(kernel.shape, groups):
        grad_x[..., c] += plane_conv_grad_x(grad_output[..., k], kernel[..., i, k], x_shape[-3:-1], **geometry)
    return grad_x


def conv_grad_kernel(
    grad_output,
    x,
    kernel_shape,
    stride=1,
    *,
    padding=0,
    dilation=1,
    groups=1,
    padding_mode="zeros",
    per_sample=False,
):
    """Gradient of `conv` with respect to the kernel; with `per_sample` one per image, (N, KH, KW, C // groups, K).

    ``grad_kernel[..., i, k]`` is the gradient of the one plane convolution that ``kernel[..., i, k]`` takes part in.
    """
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "padding_mode": padding_mode}
    if per_sample:
        grads = np.zeros((len(x), *kernel_shape), np.result_type(grad_output, x))
        for n in range(len(x)):
            grads[n] = conv_grad_kernel(grad_output[n], x[n], kernel_shape, groups=groups, **geometry)
        return grads
    if len(kernel_shape) == 3:
        return conv_grad_kernel(grad_output[..., None], x, (*kernel_shape, 1), groups=groups, **geometry)[..., 0]
    grad_kernel = np.zeros(kernel_shape, np.result_type(grad_output, x))
    for c, i, k in channel_pairs(kernel_shape, groups):
        grad_kernel[..., i, k] = plane_conv_grad_kernel(grad_output[..., k], x[..., c], kernel_shape[:2], **geometry)
    return grad_kernel


def conv_grad_bias(grad_output, kernel_shape):
    """Gradient of `conv` with respect to the bias: it is added to every output of its channel."""
    return grad_output.sum() if len(kernel_shape) == 3 else grad_output.sum(axis=tuple(range(grad_output.ndim - 1)))


def conv_backward(
    grad_output,
    x,
    kernel,
    stride=1,
    *,
    padding=0,
    dilation=1,
    groups=1,
    padding_mode="zeros",
    wrt=("x", "kernel", "bias"),
):
    """Gradients of `conv` (without activation)."""
    options = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "padding_mode": padding_mode,
    }
    return ConvGradients(
        x=conv_grad_x(grad_output, kernel, x.shape, **options) if "x" in wrt else None,
        kernel=conv_grad_kernel(grad_output, x, kernel.shape, **options) if "kernel" in wrt else None,
        bias=conv_grad_bias(grad_output, kernel.shape) if "bias" in wrt else None,
    )


# ---- The transpose ---------------------------------------------------------------------------------------------------


def conv_transpose_sizes(sizes, kernel_sizes, stride, padding, output_padding, dilation):
    """(OH, OW) of `conv_transpose`: with padding "same" ``H * stride``, else

    ``(H - 1) * stride - top - bottom + dilation * (KH - 1) + output_padding + 1``.
    """
    if padding in ("same", "same_lower"):
        return tuple(n * s for n, s in zip(sizes, pair(stride), strict=True))
    padding = explicit_padding(padding, sizes, kernel_sizes, stride, dilation)
    axes = zip(sizes, kernel_sizes, pair(stride), padding, pair(output_padding), pair(dilation), strict=True)
    return tuple((n - 1) * s - sum(pad) + d * (k - 1) + extra + 1 for n, k, s, pad, extra, d in axes)


def conv_transpose(
    x, kernel, stride=1, *, padding=0, output_padding=0, dilation=1, groups=1, bias=None, activation=None
):
    """`conv_grad_x` used forwards: x (H, W, C) or (N, H, W, C) is the ``grad_output`` of a convolution with `kernel`.

    The kernel (KH, KW, K // groups, C) is that of this convolution, from K channels to C. Several sizes of its image
    can give the size of x; `output_padding` tells which one is meant.
    """
    sizes = conv_transpose_sizes(x.shape[-3:-1], kernel.shape[:2], stride, padding, output_padding, dilation)
    y_shape = (*x.shape[:-3], *sizes, kernel.shape[2] * groups)
    y = conv_grad_x(x, kernel, y_shape, stride, padding=padding, dilation=dilation, groups=groups)
    return finish(y, bias, activation)


def conv_transpose_backward(
    grad_output,
    x,
    kernel,
    stride=1,
    *,
    padding=0,
    output_padding=0,
    dilation=1,
    groups=1,
    wrt=("x", "kernel", "bias"),
):
    """Gradients of `conv_transpose`: of x by the convolution itself, of the kernel with image and gradient exchanged.

    An `output_padding` of more than a stride makes room for convolution steps beyond those of x: they are left out.
    """
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    height, width = x.shape[-3:-1]
    return ConvGradients(
        x=conv(grad_output, kernel, **options)[..., :height, :width, :] if "x" in wrt else None,
        kernel=conv_grad_kernel(x, grad_output, kernel.shape, **options) if "kernel" in wrt else None,
        bias=conv_grad_bias(grad_output, kernel.shape) if "bias" in wrt else None,
    )


# ---- im2col ----------------------------------------------------------------------------------------------------------


def plane_im2col(x, kernel_size, stride=1, *, padding=0, dilation=1, padding_mode="zeros"):
    """im2col of plane(s) (..., H, W): (..., OH * OW, KH * KW); a column is one tap's slice of the padded plane."""
    sizes = output_sizes(x.shape[-2:], kernel_size, stride, padding, dilation)
    padded = pad_plane(x, explicit_padding(padding, x.shape[-2:], kernel_size, stride, dilation), padding_mode)
    columns = np.zeros((*x.shape[:-2], *sizes, *kernel_size), x.dtype)
    for r, s, rows, cols in tap_slices(kernel_size, sizes, stride, dilation):
        columns[..., r, s] = padded[..., rows, cols]
    return columns.reshape(*x.shape[:-2], sizes[0] * sizes[1], kernel_size[0] * kernel_size[1])


def plane_col2im(columns, sizes, kernel_size, stride=1, *, padding=0, dilation=1, padding_mode="zeros"):
    """col2im to plane(s) of `sizes` (H, W): every column is added to the slice that it was taken from."""
    outputs = output_sizes(sizes, kernel_size, stride, padding, dilation)
    padding = explicit_padding(padding, sizes, kernel_size, stride, dilation)
    padded_sizes = (size + sum(pad) for size, pad in zip(sizes, padding, strict=True))
    padded = np.zeros((*columns.shape[:-2], *padded_sizes), columns.dtype)
    columns = columns.reshape(*columns.shape[:-2], *outputs, *kernel_size)
    for r, s, rows, cols in tap_slices(kernel_size, outputs, stride, dilation):
        padded[..., rows, cols] += columns[..., r, s]
    return pad_plane_backward(padded, sizes, padding, padding_mode)


def im2col(x, kernel_size, stride=1, *, padding=0, dilation=1, padding_mode="zeros"):
    """The values that every output of a convolution sees, a row each: (OH * OW, KH * KW * C), or (N, ...) for a batch.

    x is (H, W, C) or (N, H, W, C), or a plane (H, W). The columns are in the order (KH, KW, C) of a kernel.
    """
    kernel_size = pair(kernel_size)
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "padding_mode": padding_mode}
    if x.ndim == 2:
        return plane_im2col(x, kernel_size, **geometry)
    planes = plane_im2col(np.moveaxis(x, -1, 0), kernel_size, **geometry)
    return np.moveaxis(planes, 0, -1).reshape(*planes.shape[1:-1], planes.shape[-1] * x.shape[-1])


def col2im(columns, x_shape, kernel_size, stride=1, *, padding=0, dilation=1, padding_mode="zeros"):
    """Adjoint of `im2col`: every value is added to the cell, of an x of shape `x_shape`, that im2col copies it from."""
    kernel_size = pair(kernel_size)
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "padding_mode": padding_mode}
    if len(x_shape) == 2:
        return plane_col2im(columns, x_shape, kernel_size, **geometry)
    columns = columns.reshape(*columns.shape[:-1], kernel_size[0] * kernel_size[1], x_shape[-1])
    planes = plane_col2im(np.moveaxis(columns, -1, 0), x_shape[-3:-1], kernel_size, **geometry)
    return np.moveaxis(planes, 0, -1)
