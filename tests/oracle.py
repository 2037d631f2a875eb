# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the fast functions share: convolution problems, their exact answers and error bounds."""

import functools
import random
import zlib
from dataclasses import dataclass, fields, replace

import numpy as np

import chanconv
from chanconv import reference

MODES = ("zeros", "reflect", "replicate", "circular", "symmetric")
PASSES = ("forward", "grad_x", "grad_kernel", "per_sample")

# Algorithms that add up the products of the formula, so that its error bound holds; "auto" does too if it is strict.
SUMS = ("gemm", "im2col", "direct", "auto")
GENERAL = ("gemm", "im2col", "auto")  # of these the ones that take every problem


@dataclass(frozen=True)
class Problem:
    """One convolution: sizes and options."""

    n: int = 1
    h: int = 6
    w: int = 6
    c: int = 3
    kh: int = 3
    kw: int = 3
    k: int = 4
    stride: int | tuple = 1
    dilation: int | tuple = 1
    groups: int = 1
    padding: int | str | tuple = 0
    padding_mode: str = "zeros"

    def __str__(self):
        """The sizes, and the options that are not the default: the test's id."""
        options = (f for f in fields(self)[7:] if getattr(self, f.name) != f.default)
        text = " ".join(f"{f.name}={getattr(self, f.name)}".replace(" ", "") for f in options)
        return f"{self.n}x{self.h}x{self.w}x{self.c} {self.kh}x{self.kw}x{self.k} {text}".strip()

    @property
    def options(self):
        return {f.name: getattr(self, f.name) for f in fields(self)[7:]}

    @property
    def x_shape(self):
        return (self.n, self.h, self.w, self.c)

    @property
    def kernel_shape(self):
        return (self.kh, self.kw, self.c // self.groups, self.k)

    @property
    def y_shape(self):
        geometry = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        return reference.conv_output_shape(self.x_shape, self.kernel_shape, **geometry)

    def arrays(self, dtype, values=None):
        """(x, kernel, bias, grad_output) of normal values, or of `values(rng, shape)`: the same at every call."""
        rng = np.random.default_rng(zlib.crc32(str(self).encode()))
        values = values or (lambda rng, shape: rng.standard_normal(shape))
        return [values(rng, s).astype(dtype) for s in (self.x_shape, self.kernel_shape, (self.k,), self.y_shape)]


def integers(rng, shape):
    """Values so small that every sum of the tests is below 2**24: float32 holds it exactly, in any order."""
    return rng.integers(-4, 5, shape)


def run(pass_, problem, arrays, module=chanconv, **more):
    """One of PASSES on (x, kernel, bias, grad_output) by the functions of `module`."""
    x, kernel, bias, grad = arrays
    options = problem.options | more
    if pass_ == "forward":
        return module.conv(x, kernel, bias=bias, **options)
    if pass_ == "grad_x":
        return module.conv_grad_x(grad, kernel, x.shape, **options)
    return module.conv_grad_kernel(grad, x, kernel.shape, per_sample=pass_ == "per_sample", **options)


def run_all(pass_, problem, arrays, algorithms=SUMS, **more):
    """(name, result) of every algorithm that does not decline the problem; the general ones must not."""
    for algorithm in algorithms:
        try:
            result = run(pass_, problem, arrays, algorithm=algorithm, **more)
        except ValueError as error:
            if algorithm in GENERAL or not str(error).startswith("algorithm"):
                raise
        else:
            yield algorithm, result


@functools.cache
def exact(pass_, problem):
    """The result on integers."""
    return run(pass_, problem, problem.arrays(np.float64, integers), reference)


def by_matrices(pass_, problem, arrays):
    """A pass by im2col and a matrix product for each group: for problems too large for loops over channels."""
    groups = zip(*(np.split(a, problem.groups, -1) for a in arrays), strict=True)
    geometry = {name: value for name, value in problem.options.items() if name != "groups"}
    size, results = (problem.kh, problem.kw), []
    for x, kernel, bias, grad in groups:
        matrix, pixels = kernel.reshape(-1, kernel.shape[-1]), grad.reshape(problem.n, -1, grad.shape[-1])
        if pass_ == "forward":
            results.append((reference.im2col(x, size, **geometry) @ matrix + bias).reshape(grad.shape))
        elif pass_ == "grad_x":
            results.append(reference.col2im(pixels @ matrix.T, x.shape, size, **geometry))
        else:
            products = np.swapaxes(reference.im2col(x, size, **geometry), 1, 2) @ pixels
            results.append((products if pass_ == "per_sample" else products.sum(0)).reshape(-1, *kernel.shape))
    result = np.concatenate(results, axis=-1)
    return result[0] if pass_ == "grad_kernel" else result


@functools.cache
def exact_by_matrices(pass_, problem):
    return by_matrices(pass_, problem, problem.arrays(np.float64, integers))


def wider(dtype):
    return np.longdouble if dtype == np.float64 else np.float64


def bounded(pass_, problem, arrays, compute=by_matrices):
    """The result in more digits than the arrays have, and the bound on an error of a sum in their dtype.

    abs(error) <= gamma(n + 1) * (sum of abs(products) + abs(bias)) with gamma(n) = n u / (1 - n u) for n terms.
    """
    dtype = arrays[0].dtype
    arrays = [a.astype(wider(dtype)) for a in arrays]
    result = compute(pass_, problem, arrays)
    total = compute(pass_, problem, [np.abs(a) for a in arrays])
    terms = compute(pass_, problem, [np.ones_like(a) for a in arrays])
    nu = (terms + 1) * (np.finfo(dtype).eps + np.finfo(wider(dtype)).eps) / 2
    return result, nu / (1 - nu) * total


@functools.cache
def within(pass_, problem, dtype):
    """`bounded` on normal values, by the reference."""
    return bounded(pass_, problem, problem.arrays(dtype), functools.partial(run, module=reference))


def assert_within(result, expected, bound):
    assert result.shape == expected.shape
    assert np.isfinite(result).all()
    excess = np.abs(result - expected) - bound
    assert not (excess > 0).any(), f"beyond the bound by {excess.max()} at {np.argwhere(excess > 0)[:3].tolist()}"


def same_bits(a, b):
    """Whether two arrays hold the same values to the bit: -0.0 is not 0.0, a NaN is itself."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


# ---- Samples of the space of problems --------------------------------------------------------------------------------


def draw_padding(rng):
    side = functools.partial(rng.randrange, 4)
    explicit = [side(), (side(), side()), ((side(), side()), (side(), side()))]
    return rng.choice(["valid", "same", "same_lower", *explicit])


def draw(rng):
    """A problem at random; perhaps one that does not exist."""
    groups = rng.choice([1, 1, 1, 2, 3, 5])
    kernel_size = rng.choice([(1, 1), (3, 3), (rng.randint(1, 5), rng.randint(1, 5))])
    return Problem(
        n=rng.choice([1, 2, 3]),
        h=rng.randint(1, 12),
        w=rng.randint(1, 14),
        c=groups * rng.choice([1, 1, 2, 3, 4, 7]),
        k=groups * rng.choice([1, 2, 3, 5, 8]),
        kh=kernel_size[0],
        kw=kernel_size[1],
        stride=rng.choice([1, 2, (rng.randint(1, 4), rng.randint(1, 4))]),
        dilation=rng.choice([1, 1, 2, (rng.randint(1, 3), rng.randint(1, 3))]),
        groups=groups,
        padding=draw_padding(rng),
        padding_mode=rng.choice(("zeros", *MODES)),
    )


def exists(problem):
    """Whether the kernel fits the padded image and the image is large enough for the padding mode."""
    sizes, kernel_sizes = (problem.h, problem.w), (problem.kh, problem.kw)
    geometry = (problem.stride, problem.padding, problem.dilation)
    if min(reference.output_sizes(sizes, kernel_sizes, *geometry)) < 1:
        return False
    pads = reference.explicit_padding(problem.padding, sizes, kernel_sizes, problem.stride, problem.dilation)
    reach = {"reflect": -1, "circular": 0}.get(problem.padding_mode, np.inf)
    return all(max(pad) <= size + reach for pad, size in zip(pads, sizes, strict=True))


def draw_depthwise(rng):
    """A problem with one or a few kernels per channel; the channels are some vectors, and some more."""
    channels = rng.choice([3, 4, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40, 65])
    kernels = channels * rng.choice([1, 1, 2, 3])
    return replace(draw(rng), w=rng.randint(1, 30), c=channels, k=kernels, groups=channels)


def sample(count, seed, draw=draw):
    """`count` problems, the same at every run."""
    rng = random.Random(seed)
    problems = filter(exists, iter(lambda: draw(rng), None))
    return list(dict.fromkeys(next(problems) for _ in range(count)))


# Sizes at which the blocked product takes more than one block, or pass over the sum.
BLOCKS = [
    Problem(n=2, h=61, w=50, c=19, k=33, stride=(2, 1), padding=2),
    Problem(h=4, w=400, c=70, k=9, padding=1),
    Problem(h=5, w=9, c=200, k=20, padding=1),
    Problem(h=4, w=5, c=1700, k=10, kh=1, kw=1),
    Problem(h=4, w=5, c=560, k=10, padding=((1, 0), (0, 1))),
    Problem(h=10, w=3, c=3, k=4, kh=300, kw=1, padding=(150, 0)),
    Problem(h=40, w=39, c=2, k=3, kh=17, kw=17, dilation=2, padding="same"),
    Problem(n=40, h=3, w=3, c=4, k=5, padding=1),
    Problem(n=3, h=60, w=61, c=3, k=4, padding=1),
    Problem(n=3, h=60, w=61, c=3, k=4, padding=1, padding_mode="symmetric", stride=(1, 3)),
    Problem(n=4, h=30, w=31, c=20, k=20, kh=1, kw=1),
    Problem(n=4, h=30, w=31, c=20, k=24, kh=1, kw=1, groups=4, stride=2),
    Problem(h=50, w=51, c=64, k=64, groups=4, padding="same"),
    Problem(h=8, w=200, c=200, k=2, padding=3, padding_mode="circular"),
    Problem(h=3, w=20, c=1024, k=17, kh=1, kw=1),  # rows of the matrix 4 KiB apart
    Problem(n=2, h=60, w=61, c=33, k=3, padding=(0, 1)),
    Problem(n=2, h=50, w=90, c=19, k=6, padding=2, stride=(2, 1), padding_mode="reflect"),
    Problem(h=3, w=700, c=130, k=2, kh=1, padding=(0, 3)),
    Problem(n=3, h=40, w=70, c=64, k=3, kh=1, kw=1, stride=(2, 1)),
    Problem(n=5, h=30, w=41, c=1, k=6, kh=5, kw=5, padding=2),
    Problem(h=5, w=9, c=9, k=500, padding=1),
    Problem(h=2, w=3, c=40, k=512, kh=2, kw=1),  # few pixels: the kernel is read in place
    Problem(n=2, h=4, w=5, c=600, k=16, padding=1),  # ... in several passes, without the taps on padding
    Problem(n=3, h=3, w=4, c=1030, k=48, kh=1, kw=1),
    Problem(h=8, w=8, c=40, k=64, groups=2, padding=1),
    Problem(n=2, h=9, w=31, c=3, k=20, stride=2, padding=1),  # gradient of x by patches
    Problem(h=24, w=70, c=3, k=33, kh=4, kw=4, stride=4),
    Problem(n=2, h=19, w=45, c=2, k=40, kw=5, stride=(2, 3), dilation=(2, 1), padding=((2, 0), (1, 3))),
    Problem(h=13, w=40, c=4, k=25, kh=2, kw=3, stride=(3, 2), padding=2, padding_mode="replicate"),
    Problem(h=9, w=40, c=40, k=20, dilation=4, padding=4),  # gradient of the kernel without the taps on padding
    Problem(n=2, h=5, w=34, c=530, k=24, dilation=(1, 2), padding=2),
    Problem(n=2, h=6, w=7, c=20, k=16, kw=1, stride=(2, 1), padding=(3, 1)),
]

DEPTHWISE = [
    *sample(80, seed=61, draw=draw_depthwise),
    *(Problem(h=4, w=w + 2, c=17, k=17, groups=17) for w in range(1, 31)),
    *(Problem(h=9, w=w, c=33, k=33, groups=33, kh=5, kw=5, padding=2, stride=2) for w in range(1, 21)),
    Problem(n=2, h=60, w=70, c=72, k=72, groups=72, padding=1),
    Problem(h=3, w=9, c=600, k=600, groups=600, kw=7, padding="same"),
]

# Sizes around the register tiles: every number of channels and kernels, of pixels in a row, and of rows.
TILES = [
    *(Problem(c=c, k=5, kh=2, kw=2, h=3, w=5) for c in (*range(1, 41), 63, 64, 65)),
    *(Problem(c=5, k=k, kh=2, kw=2, h=3, w=5) for k in (*range(1, 41), 63, 64, 65)),
    *(Problem(c=2, k=33, h=4, w=w + 2) for w in range(1, 31)),
    *(Problem(c=3, k=17, h=h, w=7, padding=1) for h in range(1, 17)),
    *(Problem(c=4, k=3, h=4, w=w + 2) for w in (*range(1, 35), 47, 48, 49, 63, 64, 65, 100)),
    *(Problem(c=6, k=k, h=4, w=37, stride=(1, 2), padding=1) for k in range(1, 17)),
    *(Problem(c=1, k=k, h=4, w=41, kw=4, dilation=(1, 2), padding="same") for k in range(1, 17)),
    *(Problem(c=c, k=k, kh=2, kw=2, h=3, w=6) for c in (8, 16, 17, 31, 32, 40) for k in range(1, 9)),
    *(Problem(c=19, k=k, h=4, w=w, padding=1) for k in range(1, 5) for w in (*range(1, 16), 40, 53, 67)),
    *(Problem(c=34, k=6, groups=2, h=5, w=w, kw=4, dilation=2, padding="same", stride=2) for w in (9, 43)),
    *(Problem(c=c, k=c, groups=c, h=5, w=6, padding=1) for c in (2, 3, 8, 16, 17, 31, 33, 65)),
    *(Problem(c=c, k=3 * c, groups=c, h=5, w=6, stride=2) for c in (2, 7, 16)),
    Problem(n=2, c=24, k=40, h=9, w=11, stride=2, padding="same"),
    Problem(c=130, k=70, h=4, w=6),
    Problem(c=600, k=9, kh=1, kw=1, h=3, w=3),
    Problem(c=9, k=600, kh=1, kw=1, h=3, w=3),
    Problem(c=4, k=6, kh=11, kw=11, h=23, w=23, stride=4, padding=2),
]
