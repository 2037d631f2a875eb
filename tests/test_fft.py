# SPDX-License-Identifier: BSD-3-Clause
"""Fourier transforms of tiles: their error bound and usual error, sizes around tiles, values that are not finite."""

import numpy as np
import pytest
from oracle import MODES, PASSES, Problem, integers, run, same_bits

import chanconv
from chanconv import reference

WHAT = {"forward": "forward", "grad_x": "grad_x", "grad_kernel": "grad_kernel", "per_sample": "grad_kernel"}


def depthwise(c=1, **sizes):
    return Problem(c=c, k=c, groups=c, **sizes)


def wide(arrays, dtype):
    return [a.astype(np.longdouble if dtype == np.float64 else np.float64) for a in arrays]


def by_matrices(pass_, problem, arrays):
    """The pass by one matrix product for each channel and row of taps: quicker than the reference for large kernels."""
    x, kernel, bias, grad = arrays
    pads = reference.explicit_padding(problem.padding, x.shape[1:3], kernel.shape[:2], 1, 1)
    padded = reference.pad_plane(np.moveaxis(x, -1, 1), pads, problem.padding_mode)
    rows, oh = range(problem.kh), grad.shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(padded, problem.kw, axis=3)  # n, c, row, ow, tap
    if pass_ == "forward":
        y = sum(np.einsum("ncijs,sc->nijc", windows[:, :, r : r + oh], kernel[r, :, 0]) for r in rows)
        return y + bias
    taps = np.stack([np.einsum("ncijs,nijc->nsc", windows[:, :, r : r + oh], grad) for r in rows], 1)[..., None, :]
    return taps if pass_ == "per_sample" else taps.sum(0)


def expected(pass_, problem, arrays):
    return (run if pass_ == "grad_x" else by_matrices)(pass_, problem, arrays, *[reference][: pass_ == "grad_x"])


def tile_pairs(problem, what, dtype, outputs):
    """The pairs of tiles of so many outputs as slices of these, and log2 of the pixels of a transform."""
    shapes = problem.x_shape, problem.kernel_shape
    step = chanconv.explain(*shapes, what=what, dtype=dtype, algorithm="fft", **problem.options).tile
    places = [(i, j) for i in range(0, outputs[0], step[0]) for j in range(0, outputs[1], step[1])]
    tiles = [np.s_[i : i + step[0], j : j + step[1]] for i, j in places]
    pairs = [tiles[t : t + 2] for t in range(0, len(tiles), 2)]
    return pairs, np.log2((step[0] + problem.kh - 1) * (step[1] + problem.kw - 1))


def under(problem, x, tile):
    """The part of padded x under a tile."""
    return x[tuple(slice(s.start, s.stop + taps - 1) for s, taps in zip(tile, (problem.kh, problem.kw), strict=True))]


def norm(parts):
    return np.sqrt(sum(np.sum(part.astype(np.float64) ** 2) for part in parts))


def plane_bound(pass_, problem, dtype, x, kernel, grad):
    """What the error of one plane is within, in units of u; magnitudes of the bias and of the result come on top.

    A transform errs by 7 u at each level, relative to the norm: 7 log2(points) |x| (2 |k| + |k|_1) with the Euclidean
    norms of x under the pair of tiles and of the kernel, and the sum of the kernel's magnitudes. In the gradient of the
    kernel, a sum over the pairs, grad_y under the pair takes the kernel's place. In the gradient of x, grad_y takes that
    of x, here all of it at once.
    """
    if pass_ == "grad_x":
        levels = tile_pairs(problem, "grad_x", dtype, x.shape)[1]
        return np.full(x.shape, 7 * levels * norm([grad]) * (2 * norm([kernel]) + abs(kernel).sum()))
    pads = reference.explicit_padding(problem.padding, x.shape, kernel.shape, 1, 1)
    padded = reference.pad_plane(x, pads, problem.padding_mode)
    pairs, levels = tile_pairs(problem, "forward" if pass_ == "forward" else "grad_kernel", dtype, grad.shape)
    norms = [norm(under(problem, padded, tile) for tile in pair) for pair in pairs]
    if pass_ == "forward":
        bound = np.empty(grad.shape)
        for pair, of_x in zip(pairs, norms, strict=True):
            for tile in pair:
                bound[tile] = 7 * levels * of_x * (2 * norm([kernel]) + abs(kernel).sum())
        return bound
    of_grad = [(norm(grad[t] for t in pair), sum(abs(grad[t]).sum() for t in pair)) for pair in pairs]
    terms = ((14 * levels + len(pairs)) * two + 7 * levels * one for two, one in of_grad)
    return np.full(kernel.shape, sum(of_x * term for of_x, term in zip(norms, terms, strict=True)))


def bound(pass_, problem, arrays, dtype, exact):
    """What the error of every element is within; `exact`: the results."""
    x, kernel, bias, grad = (a.astype(np.float64) for a in arrays)
    total = abs(np.asarray(exact, np.float64)) + (abs(bias) if pass_ == "forward" else 0)
    for n, c in np.ndindex(problem.n, problem.c):
        plane = plane_bound(pass_, problem, dtype, x[n, ..., c], kernel[..., 0, c], grad[n, ..., c])
        if pass_ == "grad_kernel":
            total[..., 0, c] += plane
        else:
            total[n, ..., *([0] if pass_ == "per_sample" else []), c] += plane
    return np.finfo(dtype).eps / 2 * total


def assert_bounded(problem, arrays, dtype):
    exact = by_matrices("forward", problem, wide(arrays, dtype))
    y = run("forward", problem, arrays, algorithm="fft")
    excess = abs(y - exact) - bound("forward", problem, arrays, dtype, exact)
    assert not (excess > 0).any(), f"beyond the bound by {excess.max()} at {np.argwhere(excess > 0)[:3].tolist()}"


def assert_close(pass_, problem, arrays, dtype, **options):
    """Within some units of the largest results of the direct sum."""
    exact = expected(pass_, problem, wide(arrays, dtype))
    result = run(pass_, problem, arrays, algorithm="fft", **options)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, exact, rtol=0, atol=60 * np.finfo(dtype).eps * abs(exact).max())


# The smallest transforms have 16 and 32 rows: 3 taps leave 14 and 30 outputs.
SIZES = [
    *(depthwise(h=h, w=w, kw=4) for h, w in ((3, 4), (15, 17), (16, 16), (17, 15), (31, 33), (33, 30), (47, 64))),
    *(depthwise(h=9, w=w, kh=1, kw=16, padding="same") for w in (1, 15, 16, 17, 32, 33, 100)),
    *(depthwise(h=h, w=9, kh=16, kw=1, padding="same") for h in (1, 15, 17, 33, 150)),
    *(depthwise(c, n=2, h=20, w=23, kh=5, kw=7, padding=2) for c in (2, 3, 8, 17, 40)),
    *(depthwise(2, h=14, w=11, kh=5, kw=6, padding=p) for p in (((0, 4), (9, 1)), 7, "same_lower")),
    depthwise(h=5, w=4, kh=9, kw=9, padding=4),
    depthwise(n=3, h=130, w=141, kh=33, kw=31, padding=16),
    depthwise(h=150, w=20, kh=120, kw=3, padding=(30, 0)),
]


@pytest.mark.parametrize("problem", SIZES, ids=str)
@pytest.mark.parametrize("pass_", PASSES)
def test_sizes(pass_, problem, isa, dtype):
    assert_close(pass_, problem, problem.arrays(dtype), dtype)


@pytest.mark.parametrize("side", [16, 31, 33, 48, 63, 79, 95, 127, 159, 191, 255])
def test_every_size_of_transform(side, isa, dtype):
    """A kernel of that many rows or columns leaves no smaller one."""
    for kh, kw in ((side, 2), (3, side)):
        problem = depthwise(h=kh + 4, w=kw + 3, kh=kh, kw=kw)
        for pass_ in ("forward", "grad_x", "grad_kernel"):
            assert_close(pass_, problem, problem.arrays(dtype), dtype)


@pytest.mark.parametrize("side", [300, 330, 400])
def test_large_transforms(side, dtype):
    problem = depthwise(h=side + 9, w=40, kh=side, kw=5, padding=(3, 2))
    for pass_ in ("forward", "grad_x", "grad_kernel"):
        assert_close(pass_, problem, problem.arrays(dtype), dtype)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", [3, ((4, 0), (1, 9)), ((9, 8), (3, 3))])
@pytest.mark.parametrize("pass_", ["forward", "grad_x", "grad_kernel"])
def test_padding_modes(pass_, padding, mode, dtype):
    problem = depthwise(2, n=2, h=13, w=40, kh=7, kw=6, padding=padding, padding_mode=mode)
    assert_close(pass_, problem, problem.arrays(dtype), dtype)


@pytest.mark.parametrize("problem", [SIZES[-3], depthwise(3, n=2, h=30, w=41, kh=9, kw=7)], ids=str)
def test_bias_and_activation(problem, isa, dtype):
    """The activation sees what the plain call gives, once."""
    x, kernel, bias, _ = arrays = problem.arrays(dtype)
    y = run("forward", problem, arrays, algorithm="fft")
    fused = chanconv.conv(x, kernel, bias=bias, activation="relu", algorithm="fft", **problem.options)
    assert same_bits(fused, np.maximum(y, 0) + dtype.type(0))
    assert not same_bits(fused, y)


def test_a_slice_of_the_channels(dtype):
    problem = depthwise(2, n=2, h=26, w=31, kh=9, kw=8)
    x, kernel, bias, grad = problem.arrays(dtype)
    stack = np.repeat(x, 3, -1)
    y = chanconv.conv(stack[..., ::3], kernel, groups=2, bias=bias, algorithm="fft")
    assert same_bits(y, run("forward", problem, (x, kernel, bias, grad), algorithm="fft"))


def test_a_transposed_convolution(dtype):
    """Which takes it where the gradient of x does: with bias and activation."""
    problem = depthwise(h=90, w=101, kh=25, kw=31, padding=7)
    x, kernel, bias, grad = problem.arrays(dtype)
    assert chanconv.explain(x.shape, kernel.shape, what="grad_x", dtype=dtype, **problem.options).algorithm == "fft"
    result = chanconv.conv_transpose(grad, kernel, padding=7, bias=bias, activation="relu")
    exact = np.maximum(run("grad_x", problem, wide((x, kernel, bias, grad), dtype), reference) + bias, 0)
    np.testing.assert_allclose(result, exact.astype(np.float64), rtol=0, atol=2000 * np.finfo(dtype).eps)


# ---- Errors ----------------------------------------------------------------------------------------------------------


def adversarial(values):
    def draw(rng, shape):
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
            return 1e4 + normal
        return normal * (1e-15 if values == "tiny" else 1)

    return draw


UNKIND = [depthwise(n=2, h=100, w=90, kh=21, kw=23), depthwise(2, h=170, w=150, kh=41, kw=37)]


@pytest.mark.parametrize("problem", UNKIND, ids=str)
@pytest.mark.parametrize("values", ["normal", "one sign", "checkerboard", "single", "scales", "cancelling", "tiny"])
def test_error_bound(values, problem, isa, dtype):
    """Signs that add up along the transforms, values that drown their neighbours, sums that cancel."""
    assert_bounded(problem, problem.arrays(dtype, adversarial(values)), dtype)


@pytest.mark.parametrize(("side", "most"), [(9, 2.2), (15, 1.6), (31, 0.8), (63, 0.5)])
@pytest.mark.parametrize("values", ["normal", "one sign", "cancelling"])
def test_error_in_units_of_the_direct_sum(values, side, most, dtype):
    """As measured: docs/accuracy.md. The kernel's own sum is near zero where values are to cancel."""
    problem = depthwise(h=side + 60, w=side + 50, kh=side, kw=side)
    x, kernel, bias, grad = problem.arrays(np.float64, adversarial(values))
    kernel -= kernel.mean() if values == "cancelling" else 0
    arrays = [a.astype(dtype) for a in (x, kernel, 0 * bias, grad)]
    exact = by_matrices("forward", problem, wide(arrays, dtype))
    error = {a: np.sqrt(np.mean(np.float64(run("forward", problem, arrays, algorithm=a) - exact) ** 2))
             for a in ("fft", "direct")}
    assert 0 < error["fft"] < most * error["direct"]


# ---- Which problems it takes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (Problem(h=40, w=40, c=2, k=2), "one by one"),
        (Problem(h=40, w=40, c=2, k=4, groups=2), "one by one"),
        (depthwise(h=40, w=40, stride=(1, 2)), "stride 1"),
        (depthwise(h=40, w=40, dilation=2), "dilation 1"),
        (depthwise(h=600, w=9, kh=513, kw=1), "too large"),
    ],
    ids=str,
)
@pytest.mark.parametrize("pass_", PASSES)
def test_what_it_declines(pass_, problem, reason):
    with pytest.raises(ValueError, match='algorithm: "fft" cannot compute this shape; "auto", "gemm" and "im2col" can'):
        run(pass_, problem, problem.arrays(np.float32), algorithm="fft")
    plan = chanconv.explain(problem.x_shape, problem.kernel_shape, what=WHAT[pass_], **problem.options)
    assert reason in plan.declined["fft"]


@pytest.mark.parametrize("what", ["forward", "grad_x", "grad_kernel"])
def test_auto_takes_it_for_large_kernels(what, isa):
    """There is one crossover, and the explanation names it."""
    taken = []
    for side in range(1, 40, 2):
        plan = chanconv.explain((400, 500, 1), (side, side, 1, 1), padding="same", what=what)
        taken.append(plan.algorithm == "fft")
        if taken[-1]:
            assert plan.declined["direct"] == "another comes first"
            assert 0 < plan.workspace_bytes
        else:
            assert plan.algorithm == "direct"
            assert "direct is faster for kernels" in plan.declined["fft"]
    assert taken == sorted(taken)
    assert not taken[2]
    assert taken[12]


@pytest.mark.parametrize("pass_", PASSES)
def test_auto_takes_the_same_for_every_batch(pass_):
    sizes = {"h": 120, "w": 121, "kh": 21, "kw": 21}
    plans = [chanconv.explain((n, 120, 121, 1), (21, 21, 1, 1), what=WHAT[pass_]) for n in (1, 2, 64)]
    assert {plan.algorithm for plan in plans} == {"fft"}
    one, many = depthwise(**sizes), depthwise(n=2, **sizes)
    arrays = many.arrays(np.float32)
    both = run("forward", many, arrays)
    assert same_bits(both[:1], run("forward", one, [arrays[0][:1], arrays[1], arrays[2], None]))


@pytest.mark.parametrize("pass_", PASSES)
def test_strict_precision_forbids_it(pass_, strict):
    problem = depthwise(h=100, w=100, kh=31, kw=31)
    arrays = problem.arrays(np.float32)
    with pytest.raises(ValueError, match="algorithm"):
        run(pass_, problem, arrays, algorithm="fft")
    assert same_bits(run(pass_, problem, arrays), run(pass_, problem, arrays, algorithm="direct"))


@pytest.mark.parametrize("dtype_name", ["float32", "float64"])
@pytest.mark.parametrize("what", ["forward", "grad_x", "grad_kernel"])
def test_memory_does_not_grow(what, dtype_name):
    """8 MiB, and what the transformed kernel takes, for two threads, images and batches of any size."""
    with chanconv.num_threads(2):
        for side in (31, 127, 250):
            for shape in ((400, 400, 1), (4000, 9000, 1), (64, 1080, 1920, 1)):
                kernel, options = (side, side, 1, 1), {"what": what, "dtype": dtype_name, "algorithm": "fft"}
                assert chanconv.explain(shape, kernel, **options).workspace_bytes < 10 << 20


# ---- The same bits ---------------------------------------------------------------------------------------------------

LARGE = [
    depthwise(n=2, h=150, w=170, kh=21, kw=15, padding=9),
    depthwise(3, n=2, h=70, w=80, kh=13, kw=9, padding=5, padding_mode="reflect"),
    depthwise(24, n=2, h=30, w=40, kh=11, kw=11, padding=5),
]


@pytest.mark.parametrize("problem", LARGE, ids=str)
@pytest.mark.parametrize("pass_", PASSES)
def test_same_bits_for_every_number_of_threads(pass_, problem, threads, isa, dtype):
    arrays = problem.arrays(dtype)
    result = run(pass_, problem, arrays, algorithm="fft")
    with chanconv.num_threads(1):
        assert same_bits(run(pass_, problem, arrays, algorithm="fft"), result)


@pytest.mark.parametrize("problem", LARGE, ids=str)
@pytest.mark.parametrize("pass_", ["forward", "grad_x", "per_sample"])
def test_same_bits_alone_and_in_a_batch(pass_, problem, isa, dtype):
    x, kernel, bias, grad = problem.arrays(dtype)
    together = run(pass_, problem, (x, kernel, bias, grad), algorithm="fft")
    for i in range(problem.n):
        alone = run(pass_, problem, (x[i : i + 1], kernel, bias, grad[i : i + 1]), algorithm="fft")
        assert same_bits(alone[0], together[i])


# ---- Values that are not finite --------------------------------------------------------------------------------------

POISONED = [
    depthwise(n=2, h=6, w=5, padding=1),
    depthwise(2, h=4, w=18, kw=2),
    depthwise(h=3, w=4, kh=4, kw=5, padding=3),
    depthwise(2, h=5, w=6, padding=1, padding_mode="reflect"),
]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("problem", POISONED, ids=str)
@pytest.mark.parametrize(("pass_", "read"), [("forward", (0, 1, 2)), ("grad_x", (1, 3)), ("grad_kernel", (0, 3))])
def test_one_nonfinite_value_at_every_position(pass_, read, problem, value, dtype):
    """An output is NaN, Inf or finite as the sum over the padded input says; a finite one is right."""
    for argument in read:
        for index in range(problem.arrays(dtype)[argument].size):
            arrays = problem.arrays(np.float64, integers)
            arrays[argument].flat[index] = value
            with np.errstate(invalid="ignore"):
                exact = run(pass_, problem, arrays, reference)
            result = run(pass_, problem, [a.astype(dtype) for a in arrays], algorithm="fft")
            np.testing.assert_allclose(
                result, exact, rtol=0, atol=1000 * np.finfo(dtype).eps, err_msg=f"argument {argument}[{index}]"
            )


def test_a_nan_touches_only_its_tiles(isa, dtype):
    problem = depthwise(2, n=2, h=150, w=140, kh=15, kw=15)
    x, kernel, bias, grad = problem.arrays(dtype)
    clean = run("forward", problem, (x, kernel, bias, grad), algorithm="fft")
    x[1, 9, 100, 1] = np.nan
    y = run("forward", problem, (x, kernel, bias, grad), algorithm="fft")
    assert np.isnan(y[1, :10, 86:101, 1]).all()
    assert np.isnan(y).sum() == 10 * 15
    same = (y == clean) | np.isnan(y)
    assert same[0].all()
    assert same[..., 0].all()
    assert 0 < np.count_nonzero(~same) < same[1, ..., 1].size
    finite = ~np.isnan(y)
    np.testing.assert_allclose(y[finite], clean[finite], rtol=0, atol=500 * np.finfo(dtype).eps)


def test_nothing_but_nans(isa, threads):
    problem = depthwise(n=2, h=90, w=80, kh=15, kw=15)
    x, kernel, bias, grad = problem.arrays(np.float32)
    assert np.isnan(run("forward", problem, (x * np.nan, kernel, bias, grad), algorithm="fft")).all()
    assert np.isnan(run("grad_x", problem, (x, kernel, bias, grad * np.nan), algorithm="fft")).all()
    assert np.isnan(run("grad_kernel", problem, (x, kernel, bias, grad * np.nan), algorithm="fft")).all()


@pytest.mark.parametrize("pass_", ["forward", "grad_x", "grad_kernel"])
@pytest.mark.parametrize("scale", [0.9, 0.1, 1e-3])
def test_overflow_on_the_way_is_none_in_the_result(pass_, scale, isa, dtype):
    """Values near the largest, whose plain sums are finite: each output has one product of them."""
    largest = np.finfo(dtype).max
    problem = depthwise(h=20, w=31, kh=5, kw=7, padding=(2, 3))
    x, kernel, bias, grad = problem.arrays(dtype, lambda rng, shape: rng.choice([-1.0, 1.0], shape))
    one = np.zeros_like(kernel)
    one[2, 3] = 1
    single = np.zeros_like(grad)
    single[0, 9, 10] = 1
    x = x * (dtype.type(scale) * largest)
    grad = single if pass_ == "grad_kernel" else x
    arrays = x, one, bias * 0, grad
    exact = run(pass_, problem, arrays, algorithm="gemm")
    assert np.isfinite(exact).all()
    assert abs(exact).max() == dtype.type(scale) * largest
    result = run(pass_, problem, arrays, algorithm="fft")
    np.testing.assert_allclose(result / largest, exact / largest, rtol=0, atol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("pass_", ["forward", "grad_x"])
def test_a_huge_kernel(pass_, isa, dtype):
    """Its transform overflows; the sums are finite."""
    problem = depthwise(h=20, w=31, kh=9, kw=7)
    x, kernel, bias, grad = problem.arrays(dtype)
    kernel *= np.finfo(dtype).max / 2 / abs(kernel).max()
    x, grad = x * dtype.type(1e-3), grad * dtype.type(1e-3)
    arrays = x, kernel, bias * 0, grad
    exact = run(pass_, problem, arrays, algorithm="direct")
    assert np.isfinite(exact).all()
    result = run(pass_, problem, arrays, algorithm="fft")
    np.testing.assert_allclose(result, exact, rtol=0, atol=1e-4 * abs(exact).max())


@pytest.mark.parametrize("sign", [1, -1])
def test_overflow_is_an_infinity_of_the_right_sign(sign, isa, dtype):
    x = np.full((9, 9, 1), sign * np.finfo(dtype).max, dtype)
    y = chanconv.conv(x, np.ones((5, 5, 1, 1), dtype), algorithm="fft")
    np.testing.assert_array_equal(y, np.full((5, 5, 1), sign * np.inf))
