# SPDX-License-Identifier: BSD-3-Clause
"""The layers that are measured: those of well-known networks, one row each, and the problem that a layer poses."""
from dataclasses import dataclass, replace
from fnmatch import fnmatch
import re

import numpy as np

PASSES = ("forward", "grad_x", "grad_kernel")
SHAPE = re.compile(r"(\d+)x(\d+)x(\d+)x(\d+)-(\d+)\.k(\d+)(?:x(\d+))?(?:s(\d+))?"
                   r"(?:p(\d+)(?:x(\d+))?)?(?:d(\d+))?(?:g(\d+))?")


def _pair(value):
    """(vertical, horizontal) of an int or such a pair."""
    return value if isinstance(value, tuple) else (value, value)


@dataclass(frozen=True)
class Layer:
    """One convolution of N images H x W x C with K kernels, square unless `kernel` is a pair; `padding` likewise.

    Stride and dilation are the same in both directions.
    """

    name: str
    n: int
    h: int
    w: int
    c: int
    k: int
    kernel: int | tuple[int, int]
    stride: int = 1
    padding: int | tuple[int, int] = 0
    dilation: int = 1
    groups: int = 1

    @classmethod
    def of_shape(cls, shape):
        """The layer that is written as `shape`, its name, or None if that is no shape."""
        match = SHAPE.fullmatch(shape)
        if not match:
            return None
        n, h, w, c, k, kh, kw, stride, top, left, dilation, groups = (int(x) if x else None for x in match.groups())
        return cls(shape, n, h, w, c, k, (kh, kw or kh), stride or 1, (top or 0, (top if left is None else left) or 0),
                   dilation or 1, groups or 1)

    @property
    def shape(self):
        """All of it in a word: NxHxWxC-K.k(kernel), then s(stride), p(padding), d(dilation), g(groups) if not usual."""
        word = f"{self.n}x{self.h}x{self.w}x{self.c}-{self.k}.k" + _short(self.taps)
        word += f"s{self.stride}" if self.stride > 1 else ""
        word += f"p{_short(self.edges)}" if any(self.edges) else ""
        word += f"d{self.dilation}" if self.dilation > 1 else ""
        return word + (f"g{self.groups}" if self.groups > 1 else "")

    @property
    def taps(self):
        """Rows and columns of the kernel."""
        return _pair(self.kernel)

    @property
    def edges(self):
        """Padding at top and bottom, at left and right."""
        return _pair(self.padding)

    @property
    def x_shape(self):
        return self.n, self.h, self.w, self.c

    @property
    def kernel_shape(self):
        return *self.taps, self.c // self.groups, self.k

    @property
    def y_shape(self):
        oh, ow = ((size + 2 * edge - self.dilation * (taps - 1) - 1) // self.stride + 1
                  for size, edge, taps in zip((self.h, self.w), self.edges, self.taps, strict=True))
        return self.n, oh, ow, self.k

    @property
    def is_plane(self):
        return self.c == self.k == 1

    @property
    def geometry(self):
        """The arguments that follow the arrays in chanconv's functions."""
        return {name: getattr(self, name) for name in ("stride", "padding", "dilation", "groups")}

    @property
    def flops(self):
        """Nominal: 2 for every tap of every window, taps on padding included. The same for all passes."""
        return 2 * int(np.prod(self.y_shape)) * int(np.prod(self.kernel_shape[:3]))

    @property
    def valid_flops(self):
        """Those of `flops` whose tap lies on x, not on padding: what a direct sum has to compute."""
        shares = (_valid_share(*axis, self.dilation, self.stride)
                  for axis in zip((self.h, self.w), self.y_shape[1:3], self.taps, self.edges, strict=True))
        return self.flops * float(np.prod(list(shares)))

    def part(self, parts):
        """The layer with about one of so many parts of its images, or of its rows if it has one image."""
        if self.n > 1:
            return replace(self, n=max(1, self.n // parts))
        least = self.dilation * (self.taps[0] - 1) + 1 - 2 * self.edges[0]
        return replace(self, h=max(1, least, self.h // parts))

    def terms(self, what):
        """Products that are summed up in one number of the result of pass `what`, at most."""
        n, oh, ow, _ = self.y_shape
        window = self.taps[0] * self.taps[1]
        return {"forward": window * (self.c // self.groups), "grad_x": window * (self.k // self.groups),
                "grad_kernel": n * oh * ow}[what]

    def array_bytes(self, dtype):
        """Size of x, kernel and result together: what has to be read or written once, in every pass."""
        shapes = self.x_shape, self.kernel_shape, self.y_shape
        return sum(int(np.prod(shape)) for shape in shapes) * np.dtype(dtype).itemsize

    def im2col_bytes(self, dtype):
        """Size of the im2col matrix of the whole batch."""
        n, oh, ow, _ = self.y_shape
        return n * oh * ow * self.taps[0] * self.taps[1] * self.c * np.dtype(dtype).itemsize


def _valid_share(size, outputs, taps, edge, dilation, stride):
    """The share of pairs of output and tap, along one axis, that lie on x."""
    at = np.arange(outputs)[:, None] * stride + np.arange(taps) * dilation - edge
    return np.mean((at >= 0) & (at < size))


def _short(pair):
    """3 for (3, 3), else 1x7."""
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


@dataclass(frozen=True)
class Problem:
    """One pass over one layer with its arrays: standard normal, channels last, kernels HWIO."""

    layer: Layer
    what: str
    x: np.ndarray
    kernel: np.ndarray
    grad_y: np.ndarray

    @classmethod
    def random(cls, layer, what, dtype):
        rng = np.random.default_rng(len(layer.name))
        arrays = (rng.standard_normal(shape, dtype=np.dtype(dtype))
                  for shape in (layer.x_shape, layer.kernel_shape, layer.y_shape))
        return cls(layer, what, *arrays)

    @property
    def dtype(self):
        return self.x.dtype

    @property
    def result_shape(self):
        return {"forward": self.grad_y, "grad_x": self.x, "grad_kernel": self.kernel}[self.what].shape


#   name                    N    H     W    C     K  kernel stride padding dilation groups
LAYERS = tuple(Layer(*row) for row in (
    ("tiny",                1,   8,    8,    3,    8,  3, 1, 1),
    ("r50.conv1",           1, 224,  224,    3,   64,  7, 2, 3),
    ("r50.l1.1x1a",         1,  56,   56,   64,   64,  1),
    ("r50.l1.3x3",          1,  56,   56,   64,   64,  3, 1, 1),
    ("r50.l1.1x1b",         1,  56,   56,   64,  256,  1),
    ("r50.l1.1x1c",         1,  56,   56,  256,   64,  1),
    ("r50.l2.3x3s2",        1,  56,   56,  128,  128,  3, 2, 1),
    ("r50.l2.down",         1,  56,   56,  256,  512,  1, 2),
    ("r50.l2.3x3",          1,  28,   28,  128,  128,  3, 1, 1),
    ("r50.l2.1x1b",         1,  28,   28,  128,  512,  1),
    ("r50.l3.3x3",          1,  14,   14,  256,  256,  3, 1, 1),
    ("r50.l3.1x1b",         1,  14,   14,  256, 1024,  1),
    ("r50.l3.1x1c",         1,  14,   14, 1024,  256,  1),
    ("r50.l4.3x3",          1,   7,    7,  512,  512,  3, 1, 1),
    ("r50.l4.1x1c",         1,   7,    7, 2048,  512,  1),
    ("r18.l2.3x3s2",        1,  56,   56,   64,  128,  3, 2, 1),
    ("r50.l1.3x3.b32",     32,  56,   56,   64,   64,  3, 1, 1),
    ("r50.l3.3x3.b32",     32,  14,   14,  256,  256,  3, 1, 1),
    ("vgg16.1_1",           1, 224,  224,    3,   64,  3, 1, 1),
    ("vgg16.1_2",           1, 224,  224,   64,   64,  3, 1, 1),
    ("vgg16.3_2",           1,  56,   56,  256,  256,  3, 1, 1),
    ("vgg16.5_1",           1,  14,   14,  512,  512,  3, 1, 1),
    ("mbv2.stem",           1, 224,  224,    3,   32,  3, 2, 1),
    ("mbv2.dw.b1",          1, 112,  112,   32,   32,  3, 1, 1, 1, 32),
    ("mbv2.dw.b2s2",        1, 112,  112,   96,   96,  3, 2, 1, 1, 96),
    ("mbv2.dw.b14",         1,  14,   14,  384,  384,  3, 1, 1, 1, 384),
    ("mbv2.pw.exp",         1,  56,   56,   24,  144,  1),
    ("mbv2.pw.prj",         1,  56,   56,  144,   24,  1),
    ("mbv2.pw.last",        1,   7,    7,  320, 1280,  1),
    ("effb0.dw5s1",         1,  28,   28,  240,  240,  5, 1, 2, 1, 240),
    ("effb0.dw5s2",         1,  14,   14,  672,  672,  5, 2, 2, 1, 672),
    ("convnextT.stem",      1, 224,  224,    3,   96,  4, 4),
    ("convnextT.dw7",       1,  56,   56,   96,   96,  7, 1, 3, 1, 96),
    ("convnextT.dw7.s4",    1,   7,    7,  768,  768,  7, 1, 3, 1, 768),
    ("unet.enc1",           1, 256,  256,   64,   64,  3, 1, 1),
    ("unet.dec",            1, 128,  128,  256,  128,  3, 1, 1),
    ("unet.out",            1, 256,  256,   64,    2,  1),
    ("dcgan.D2",           32,  32,   32,   64,  128,  4, 2, 1),
    ("dcgan.G3",           32,  16,   16,  128,  256,  4, 2, 1),  # its grad_x is the generator's transposed convolution
    ("aspp.d6",             1,  33,   33, 2048,  256,  3, 1, 6, 6),
    ("aspp.d18",            1,  33,   33, 2048,  256,  3, 1, 18, 18),
    ("resnext.l1.g32",      1,  56,   56,  128,  128,  3, 1, 1, 1, 32),
    ("resnext.l3.g32",      1,  14,   14,  512,  512,  3, 1, 1, 1, 32),
    ("lenet.c1",           64,  28,   28,    1,    6,  5, 1, 2),
    ("lenet.c2",           64,  14,   14,    6,   16,  5),
    ("digits.c1",          64,   8,    8,    1,   16,  3, 1, 1),
    ("digits.c2",          64,   8,    8,   16,   32,  3, 1, 1),
    ("cifar.c1",          128,  32,   32,    3,   32,  3, 1, 1),
    ("plane.3",             1, 1080, 1920,   1,    1,  3, 1, 1),
    ("plane.7",             1, 1080, 1920,   1,    1,  7, 1, 3),
    ("plane.15",            1, 1080, 1920,   1,    1, 15, 1, 7),
    ("plane.31",            1, 1080, 1920,   1,    1, 31, 1, 15),
    ("plane.63",            1, 1080, 1920,   1,    1, 63, 1, 31),
    ("plane.127",           1, 1080, 1920,   1,    1, 127, 1, 63),
    ("plane.31.512",        1, 512,  512,    1,    1, 31, 1, 15),
    ("plane.63.512",        1, 512,  512,    1,    1, 63, 1, 31),
    ("plane.127.512",       1, 512,  512,    1,    1, 127, 1, 63),
))


def select(patterns, batch=None):
    """The layers of the table whose names match one of the shell patterns, and those that are written as shapes; with
    `batch` images if given."""
    chosen = [layer for layer in LAYERS if any(fnmatch(layer.name, pattern) for pattern in patterns)]
    chosen += filter(None, map(Layer.of_shape, patterns))
    if not chosen:
        raise ValueError(f"no layer matches {' '.join(patterns)}; there are {' '.join(x.name for x in LAYERS)}")
    return [replace(layer, n=batch) for layer in chosen] if batch else chosen
