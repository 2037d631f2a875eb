# SPDX-License-Identifier: BSD-3-Clause
"""Winograd's F(4x4, 3x3): its error bound and its usual error, sizes around its tiles, values that are not finite."""

from dataclasses import replace

import numpy as np
import pytest
from oracle import MODES, Problem, run, same_bits

import chanconv
from chanconv import activations, reference

PASSES = ("forward", "grad_x", "grad_kernel")

# The transforms of csrc/kernels/winograd.h.
POINTS = np.array([0, 5 / 8, -5 / 8, 3 / 2, -3 / 2])
OUTPUT = np.column_stack([np.vander(POINTS, 4, increasing=True).T, [0, 0, 0, 1]])
KERNEL = np.vstack(
    [np.vander(POINTS, 3, increasing=True) / [[np.prod((p - POINTS)[p != POINTS])] for p in POINTS], [0, 0, 1]]
)
INPUT = np.vstack([*(np.append(np.poly(POINTS[p != POINTS])[::-1], 0) for p in POINTS), np.poly(POINTS)[::-1]])


def winograd(x, kernel, transforms=(INPUT, KERNEL, OUTPUT)):
    """The correlation of a padded image x[h][w][c] of 4 i + 2 by 4 j + 2 pixels with kernel[3][3][c][k]."""
    b, g, a = transforms
    tiles = np.lib.stride_tricks.sliding_window_view(x, (6, 6), (0, 1))[::4, ::4]
    v = np.einsum("ri,sj,yxcij->yxrsc", b, b, tiles)
    u = np.einsum("ri,sj,ijck->rsck", g, g, kernel)
    y = np.einsum("ir,js,yxrsc,rsck->yixjk", a, a, v, u, optimize=True)
    return y.reshape(4 * y.shape[0], 4 * y.shape[2], -1)


def winograd_gradient(x, grad, transforms=(INPUT, KERNEL, OUTPUT)):
    """The gradient of the kernel for a padded image x[h][w][c] of 4 i + 2 by 4 j + 2 pixels and grad[4 i][4 j][k]."""
    b, g, a = transforms
    tiles = np.lib.stride_tricks.sliding_window_view(x, (6, 6), (0, 1))[::4, ::4]
    outputs = grad.reshape(tiles.shape[0], 4, tiles.shape[1], 4, -1)
    v = np.einsum("ri,sj,yxcij->yxrsc", b, b, tiles)
    d = np.einsum("ir,js,yixjk->yxrsk", a, a, outputs)
    return np.einsum("ri,sj,yxrsc,yxrsk->ijck", g, g, v, d, optimize=True)


def as_forward(pass_, problem, arrays):
    """The pass as a correlation: padded images of whole tiles, the kernel, and the size of an output."""
    x, kernel, _, grad = (a.astype(np.float64) for a in arrays)
    pad = reference.explicit_padding(problem.padding, (problem.h, problem.w), (3, 3), 1, 1)
    if pass_ == "grad_x":
        assert problem.padding_mode == "zeros"
        x, kernel, pad = grad, kernel[::-1, ::-1].swapaxes(2, 3), [[2 - before, 2 - after] for before, after in pad]
    cut = [slice(max(-before, 0), size - max(-after, 0)) for (before, after), size in zip(pad, x.shape[1:3], strict=True)]
    pad = np.maximum(pad, 0)
    planes = reference.pad_plane(np.moveaxis(x[:, *cut], -1, 1), pad, problem.padding_mode)
    sizes = [size - 2 for size in planes.shape[2:]]
    planes = np.pad(planes, [(0, 0), (0, 0), *((0, -size % 4) for size in sizes)])
    return np.moveaxis(planes, 1, -1), kernel, sizes


def gradient_bound(problem, arrays, dtype):
    """What the error of every element of the gradient of the kernel is within.

    abs(error) <= gamma(n) * abs(G') ((abs(A) abs(dL/dy) abs(A')) * (abs(B') abs(d) abs(B))) abs(G), summed over the tiles.
    In each dimension 3 roundings of the transform of x, 3 of that of dL/dy and 5 of the sums'; then those of the sums, up to
    64 tiles and one for each 32.
    """
    images, _, (oh, ow) = as_forward("forward", problem, arrays)
    grad = np.pad(abs(arrays[3].astype(np.float64)), [(0, 0), (0, -oh % 4), (0, -ow % 4), (0, 0)])
    parts = [abs(t) for t in (INPUT, KERNEL, OUTPUT)]
    total = sum(winograd_gradient(abs(x), g, parts) for x, g in zip(images, grad, strict=True))
    tiles = len(images) * -(-oh // 4) * -(-ow // 4)
    nu = (2 * (3 + 3 + 5) + min(tiles, 64) + -(-tiles // 32)) * np.finfo(dtype).eps / 2
    return nu / (1 - nu) * total


def bound(pass_, problem, arrays, dtype):
    """What the error of every element is within.

    abs(error) <= gamma(n) * abs(A') (abs(G) abs(g) * abs(B') abs(d)) abs(A), summed over the channels. Roundings on the
    way of a value: in each dimension 3 of the transform of x, 4 of the kernel's and 4 of the output's; then those of the
    sum, up to 64 channels and one for each 64; and the bias.
    """
    if pass_ == "grad_kernel":
        return gradient_bound(problem, arrays, dtype)
    if pass_ == "per_sample":
        x, kernel, bias, grad = arrays
        one = replace(problem, n=1)
        return np.stack([gradient_bound(one, (x[i:i + 1], kernel, bias, grad[i:i + 1]), dtype) for i in range(len(x))])
    images, kernel, (oh, ow) = as_forward(pass_, problem, arrays)
    total = [winograd(abs(x), abs(kernel), [abs(t) for t in (INPUT, KERNEL, OUTPUT)]) for x in images]
    bias = abs(arrays[2].astype(np.float64)) if pass_ == "forward" else 0
    channels = kernel.shape[2]
    nu = (2 * (3 + 4 + 4) + min(channels, 64) + -(-channels // 48) + 1) * np.finfo(dtype).eps / 2
    return nu / (1 - nu) * (np.array(total)[:, :oh, :ow] + bias)


def assert_bounded(pass_, problem, arrays, dtype, **options):
    wide = [a.astype(np.longdouble if dtype == np.float64 else np.float64) for a in arrays]
    expected = run(pass_, problem, wide, reference)
    result = run(pass_, problem, arrays, algorithm="winograd", **options)
    excess = abs(result - expected) - bound(pass_, problem, arrays, dtype)
    assert result.dtype == dtype
    assert not (excess > 0).any(), f"beyond the bound by {excess.max()} at {np.argwhere(excess > 0)[:3].tolist()}"


def test_the_transforms_are_an_identity():
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((10, 14, 3)), rng.standard_normal((3, 3, 3, 2))
    np.testing.assert_allclose(winograd(x, kernel), reference.conv(x, kernel), rtol=0, atol=1e-12)
    grad = rng.standard_normal((8, 12, 2))
    expected = reference.conv_grad_kernel(grad, x, kernel.shape)
    np.testing.assert_allclose(winograd_gradient(x, grad), expected, rtol=0, atol=1e-12)


SIZES = [
    *(Problem(c=c, k=5, h=5, w=6, padding=1) for c in (*range(1, 10), 15, 16, 17, 31, 33, 63, 64, 65, 130, 257)),
    *(Problem(c=5, k=k, h=6, w=5, padding=1) for k in (*range(1, 10), 15, 16, 17, 31, 33, 47, 49, 64, 65, 97)),
    *(Problem(c=3, k=17, h=h, w=w) for h, w in zip((4, 5, 6, 7, 8, 9, 10, 11), (11, 9, 30, 6, 5, 4, 7, 8), strict=True)),
    *(Problem(n=n, c=20, k=24, h=17, w=9, padding="same") for n in (1, 2, 5, 6)),
    *(Problem(c=4, k=6, h=5, w=4, padding=p) for p in (0, 1, 2, 3, 7, ((0, 1), (2, 5)))),
    *(Problem(n=2, c=24, k=20, h=10, w=12, groups=g, padding=1) for g in (2, 4)),
    Problem(c=70, k=40, h=41, w=33, padding=1),
    Problem(n=3, c=3, k=4, h=45, w=57, padding=1),
]


@pytest.mark.parametrize("problem", [p for p in SIZES if p.groups == 1], ids=str)
@pytest.mark.parametrize("pass_", PASSES)
def test_error_bound(pass_, problem, isa, dtype):
    assert_bounded(pass_, problem, problem.arrays(dtype), dtype)


@pytest.mark.parametrize("problem", [Problem(n=3, h=11, w=13, c=40, k=24, padding=1), SIZES[-2]], ids=str)
@pytest.mark.parametrize("values", ["one sign", "checkerboard", "single", "scales", "cancelling", "tiny"])
@pytest.mark.parametrize("pass_", PASSES)
def test_error_bound_on_adversarial_values(pass_, values, problem, dtype):
    """Signs that add up along the transforms, values that drown their neighbours, sums that cancel."""

    def adversarial(rng, shape):
        normal = rng.standard_normal(shape)
        if values == "one sign":
            return 1 + abs(normal)
        if values == "checkerboard":
            return abs(normal) * (-1) ** np.indices(shape).sum(0)
        if values == "single":
            return np.where(rng.random(shape) < 0.01, 1e6 * normal, 0)
        if values == "scales":
            return normal * 10.0 ** rng.integers(-9, 9, shape)
        if values == "cancelling":
            return 1e8 + normal
        return normal * 1e-15

    assert_bounded(pass_, problem, problem.arrays(dtype, adversarial), dtype)


@pytest.mark.parametrize("channels", [64, 256, 512])
def test_error_in_units_of_the_direct_sum(channels, dtype):
    """On normal values, as measured: 1.1 to 1.8 times the error of the plain sum, which grows with the channels; 32 kernels."""
    problem = Problem(h=12, w=12, c=channels, k=32)
    arrays = problem.arrays(dtype)
    wide = [a.astype(np.longdouble if dtype == np.float64 else np.float64) for a in arrays]
    expected = run("forward", problem, wide, reference)
    error = {a: np.std((run("forward", problem, arrays, algorithm=a) - expected) / np.std(expected))
             for a in ("winograd", "gemm")}
    assert error["winograd"] < 16 * np.finfo(dtype).eps
    assert error["winograd"] < 7 * error["gemm"]


@pytest.mark.parametrize("size", [20, 60])
def test_error_of_the_gradient_in_units_of_the_direct_sum(size, dtype):
    """On normal values, as measured: 1.3 to 1.7 times the error of the plain sum, whatever the number of pixels."""
    problem = Problem(n=2, h=size, w=size, c=16, k=20, padding=1)
    arrays = problem.arrays(dtype)
    wide = [a.astype(np.longdouble if dtype == np.float64 else np.float64) for a in arrays]
    expected = run("grad_kernel", problem, wide, reference)
    error = np.std((run("grad_kernel", problem, arrays, algorithm="winograd") - expected) / np.std(expected))
    assert error < 10 * np.finfo(dtype).eps


@pytest.mark.parametrize("problem", [p for p in SIZES if p.groups > 1 or p.padding == 7], ids=str)
@pytest.mark.parametrize("pass_", PASSES)
def test_groups_and_wide_padding(pass_, problem, isa, dtype):
    arrays = problem.arrays(dtype)
    result = run(pass_, problem, arrays, algorithm="winograd")
    expected = run(pass_, problem, [a.astype(np.float64) for a in arrays], reference)
    np.testing.assert_allclose(result, expected, rtol=0, atol=100 * np.finfo(dtype).eps * max(3, np.std(expected)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", [1, ((2, 0), (1, 3)), ((3, 3), (3, 3))])
@pytest.mark.parametrize("pass_", PASSES)
def test_padding_modes(pass_, padding, mode, dtype):
    problem = Problem(n=2, h=7, w=9, c=6, k=18, padding=padding, padding_mode=mode)
    arrays = problem.arrays(dtype)
    result = run(pass_, problem, arrays, algorithm="winograd")
    expected = run(pass_, problem, [a.astype(np.float64) for a in arrays], reference)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1000 * np.finfo(dtype).eps)


@pytest.mark.parametrize("h", [9, 40])
def test_activation_and_bias(h, dtype):
    """For few tiles and for many; the activation sees what the plain call gives."""
    problem = Problem(n=2, h=h, w=30, c=20, k=37, padding=1)
    x, kernel, bias, _ = problem.arrays(dtype)
    y = chanconv.conv(x, kernel, padding=1, bias=bias, algorithm="winograd")
    fused = chanconv.conv(x, kernel, padding=1, bias=bias, activation="relu", algorithm="winograd")
    assert same_bits(fused, np.maximum(y, 0) + dtype.type(0))
    assert not same_bits(fused, y)


@pytest.mark.parametrize("k", [1, 16, 64, 96, 300])
def test_activation_of_whole_tiles(k, isa, dtype):
    """Tiles whose rows are whole runs of the activation, and longer ones, and others at the edges."""
    x, kernel, bias, _ = Problem(n=1, h=14, w=14, c=20, k=k, padding=1).arrays(dtype)
    y = chanconv.conv(x, kernel, padding=1, bias=bias, algorithm="winograd")
    fused = chanconv.conv(x, kernel, padding=1, bias=bias, activation="gelu", algorithm="winograd")
    assert same_bits(fused, activations.gelu(y))


# ---- Which problems it takes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"kh": 5}, "3x3"),
        ({"stride": (1, 2)}, "stride 1"),
        ({"dilation": 2}, "dilation 1"),
        ({"c": 3000, "k": 2}, "too large"),
    ],
)
@pytest.mark.parametrize("pass_", PASSES)
def test_what_it_declines(pass_, options, reason):
    problem = Problem(**{"h": 9, "w": 9, **options})
    if pass_ == "grad_x" and reason == "too large":
        problem = Problem(h=9, w=9, c=2, k=3000)
    arrays = problem.arrays(np.float32)
    with pytest.raises(ValueError, match='algorithm: "winograd" cannot compute this shape'):
        run(pass_, problem, arrays, algorithm="winograd")


def test_strict_precision_forbids_it(strict):
    problem = Problem(h=60, w=60, c=64, k=64)
    arrays = problem.arrays(np.float32)
    with pytest.raises(ValueError, match="algorithm"):
        run("forward", problem, arrays, algorithm="winograd")
    assert same_bits(run("forward", problem, arrays), run("forward", problem, arrays, algorithm="gemm"))


# N, H, W, C, K of layers where it saves time by a good margin, and where it would lose.
GAINS = [(1, 56, 56, 64, 64), (1, 28, 28, 128, 128), (1, 14, 14, 256, 256), (1, 224, 224, 64, 64), (1, 56, 56, 32, 32)]
LOSES = [(1, 4, 4, 64, 64), (1, 4, 4, 512, 512), (1, 224, 224, 3, 3), (1, 56, 56, 64, 2), (1, 8, 8, 3, 8), (1, 3, 3, 9, 9)]


@pytest.mark.parametrize(("sizes", "chosen"), [*((s, "winograd") for s in GAINS), *((s, "gemm") for s in LOSES)])
@pytest.mark.parametrize("pass_", PASSES)
def test_auto_takes_it_where_it_saves_time(pass_, sizes, chosen):
    """Whatever the number of images and threads; "gemm" and strict precision never do."""
    n, h, w, c, k = (*sizes[:3], *sizes[:2:-1]) if pass_ == "grad_x" else sizes
    for images in (n, 16 * n):
        for threads in (1, 3):
            with chanconv.num_threads(threads):
                plan = chanconv.explain((images, h, w, c), (3, 3, c, k), padding=1, what=pass_)
                assert plan.algorithm == chosen
    with chanconv.precision("strict"):
        plan = chanconv.explain((n, h, w, c), (3, 3, c, k), padding=1, what=pass_)
        assert plan.algorithm == "gemm"
        assert chosen == "gemm" or plan.declined["winograd"] == "the precision is strict"


def test_auto_is_it_where_it_is_chosen():
    problem = Problem(n=2, h=30, w=31, c=40, k=48, padding=1)
    arrays = problem.arrays(np.float32)
    for pass_ in PASSES:
        assert same_bits(run(pass_, problem, arrays), run(pass_, problem, arrays, algorithm="winograd"))
        assert not same_bits(run(pass_, problem, arrays), run(pass_, problem, arrays, algorithm="gemm"))


@pytest.mark.parametrize("sizes", [(1, 14, 14, 256, 256), (1, 28, 28, 512, 512), (1, 7, 7, 2048, 64), (1, 56, 56, 512, 512)])
def test_workspace(sizes):
    """8 MiB at two threads, beside the transformed kernel where there are many tiles."""
    n, h, w, c, k = sizes
    with chanconv.num_threads(2):
        plan = chanconv.explain((n, h, w, c), (3, 3, c, k), padding=1, algorithm="winograd")
    transformed = 0 if h * w <= 32 * 32 else 36 * c * k * 4 * 1.02
    assert plan.workspace_bytes <= 8 * 2**20 + transformed


# ---- Values that are not finite --------------------------------------------------------------------------------------

POISONED = [
    Problem(n=2, h=6, w=5, c=3, k=2, padding=1),
    Problem(n=1, h=5, w=9, c=2, k=3),
    Problem(n=1, h=4, w=3, c=1, k=5, padding=2),
    Problem(n=1, h=5, w=6, c=2, k=2, padding=1, padding_mode="reflect"),
]


def integers(rng, shape):
    return rng.integers(-4, 5, shape)


def poisoned(problem, argument, index, value, dtype):
    arrays = problem.arrays(dtype, integers)
    arrays[argument].flat[index] = value
    return arrays


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("problem", POISONED, ids=str)
@pytest.mark.parametrize(("pass_", "read"), [("forward", (0, 1, 2)), ("grad_x", (1, 3)), ("grad_kernel", (0, 3))])
def test_one_nonfinite_value_at_every_position(pass_, read, problem, value, isa, dtype):
    """An output is NaN, Inf or finite as the sum over the padded input says; a finite one is right."""
    for argument in read:
        for index in range(problem.arrays(dtype)[argument].size):
            with np.errstate(invalid="ignore"):
                expected = run(pass_, problem, poisoned(problem, argument, index, value, np.float64), reference)
            result = run(pass_, problem, poisoned(problem, argument, index, value, dtype), algorithm="winograd")
            np.testing.assert_allclose(
                result, expected, rtol=0, atol=1000 * np.finfo(dtype).eps, err_msg=f"argument {argument}[{index}]"
            )


def test_a_nan_touches_only_its_tiles(isa, dtype):
    problem = Problem(n=2, h=24, w=24, c=40, k=50, padding=1)
    x, kernel, bias, _ = problem.arrays(dtype)
    clean = chanconv.conv(x, kernel, padding=1, bias=bias, algorithm="winograd")
    x[1, 9, 10, 33] = np.nan
    y = chanconv.conv(x, kernel, padding=1, bias=bias, algorithm="winograd")
    assert np.isnan(y[1, 8:11, 9:12]).all()
    assert np.isnan(y).sum() == 9 * 50
    y[1, 8:12, 8:12] = clean[1, 8:12, 8:12]
    assert same_bits(y, clean)


@pytest.mark.parametrize("n", [1, 7])
def test_nothing_but_nans(n, isa):
    """Every tile is computed again, block by block."""
    problem = Problem(n=n, h=19, w=18, c=70, k=36, padding=1)
    x, kernel, bias, grad = problem.arrays(np.float32)
    assert np.isnan(run("forward", problem, (x * np.nan, kernel, bias, grad), algorithm="winograd")).all()
    assert np.isnan(run("grad_x", problem, (x, kernel, bias, grad * np.inf), algorithm="winograd")).any()
    assert np.isnan(run("grad_kernel", problem, (x, kernel, bias, grad * np.nan), algorithm="winograd")).all()


@pytest.mark.parametrize("pass_", PASSES)
@pytest.mark.parametrize("scale", [0.9, 0.1, 1e-3])
def test_overflow_on_the_way_is_none_in_the_result(pass_, scale, isa, dtype):
    """Values near the largest, whose plain sums are finite: each output has one product of them."""
    largest = np.finfo(dtype).max
    problem = Problem(h=10, w=11, c=5, k=7, padding=1)
    arrays = problem.arrays(dtype, lambda rng, shape: rng.choice([-1.0, 1.0], shape))
    kernel = np.zeros_like(arrays[1])
    kernel[1, 1, 2] = 1
    for big in (0, 3):
        arrays[big] *= dtype.type(scale) * largest
    arrays[3][..., 1:] = 0
    arrays[1], arrays[2][:] = kernel, 0
    if pass_ == "grad_kernel":
        arrays[3][:] = 0
        arrays[3][0, 4, 5, 2] = 1
    expected = run(pass_, problem, arrays, algorithm="gemm")
    assert np.isfinite(expected).all() and abs(expected).max() == dtype.type(scale) * largest
    result = run(pass_, problem, arrays, algorithm="winograd")
    np.testing.assert_allclose(result / largest, expected / largest, rtol=0, atol=100 * np.finfo(dtype).eps)


def test_a_huge_kernel(isa, dtype):
    """Its transform overflows; the sums are finite."""
    problem = Problem(h=10, w=11, c=5, k=7, padding=1)
    x, kernel, bias, grad = problem.arrays(dtype)
    kernel *= np.finfo(dtype).max / 8 / abs(kernel).max()
    x *= dtype.type(1e-3)
    y = run("forward", problem, (x, kernel, bias * 0, grad), algorithm="winograd")
    expected = run("forward", problem, (x, kernel, bias * 0, grad), algorithm="gemm")
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=np.finfo(dtype).max * 1e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_overflow_is_an_infinity_of_the_right_sign(sign, isa, dtype):
    x = np.full((5, 5, 3), sign * np.finfo(dtype).max, dtype)
    y = chanconv.conv(x, np.ones((3, 3, 3, 2), dtype), algorithm="winograd")
    np.testing.assert_array_equal(y, np.full((3, 3, 2), sign * np.inf))


# ---- Results past the caches ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [128, 104, 101])
def test_a_large_result_has_the_bits_of_its_images(k, isa, dtype):
    """Two images are stored past the caches where the pixels are whole cache lines, one is not; nor is an unaligned `out`."""
    rng = np.random.default_rng(k)
    x = rng.standard_normal((2, 130, 142, 16)).astype(dtype)
    kernel, bias = rng.standard_normal((3, 3, 16, k)).astype(dtype), rng.standard_normal(k).astype(dtype)
    x[1, 77, 77, 7] = np.nan
    options = {"padding": 1, "bias": bias, "algorithm": "winograd"}
    expected = np.stack([chanconv.conv(image, kernel, **options) for image in x])
    assert np.isnan(expected).sum() == 9 * k
    for threads in (1, 3):
        with chanconv.num_threads(threads):
            assert same_bits(chanconv.conv(x, kernel, **options), expected)
    shifted = np.zeros(expected.size + 4, dtype)[4:].reshape(expected.shape)
    assert same_bits(chanconv.conv(x, kernel, **options, out=shifted), expected)
    assert same_bits(chanconv.conv(x, kernel, **options, activation="relu"), activations.relu(expected))
    wide = np.zeros((*expected.shape[:3], 160), dtype)
    assert same_bits(chanconv.conv(x, kernel, **options, out=wide[..., 16 : 16 + k]), expected)
    assert not wide[..., :16].any()
    assert not wide[..., 16 + k :].any()
