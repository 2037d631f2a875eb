# SPDX-License-Identifier: BSD-3-Clause
"""Kernels that layers keep between inference calls: the bits of plain calls, whatever happens to the kernel."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import chanconv
from chanconv.layers import Conv2D, ConvTranspose2D, DepthwiseConv2D

LAYERS = {
    "winograd": (Conv2D, (32, 40, 3), {"padding": 1, "activation": "relu"}, (2, 20, 21, 32)),
    "gemm": (Conv2D, (20, 37, 5), {"stride": 2, "padding": "same"}, (2, 11, 12, 20)),
    "few kernels": (Conv2D, (64, 4, 3), {"padding": 1}, (2, 9, 20, 64)),
    "groups": (Conv2D, (64, 64, 4), {"groups": 2, "dilation": 2, "padding": 3}, (9, 10, 64)),
    "pointwise": (Conv2D, (32, 48, 1), {}, (3, 4, 5, 32)),
    "transposed": (ConvTranspose2D, (24, 32, 4), {"stride": 2, "padding": 1, "activation": "silu"}, (2, 7, 6, 24)),
    "transposed winograd": (ConvTranspose2D, (32, 32, 3), {"padding": 1}, (20, 20, 32)),
    "depthwise": (DepthwiseConv2D, (24, 3), {"padding": 1}, (9, 8, 24)),
}


@pytest.fixture(params=LAYERS)
def case(request, dtype):
    cls, sizes, options, shape = LAYERS[request.param]
    layer = cls(*sizes, **options, dtype=dtype, rng=0)
    if "bias" in layer.parameters:
        layer.parameters["bias"] += 0.5
    return layer, np.random.default_rng(1).standard_normal(shape).astype(dtype)


def plain(layer, x):
    """What training computes, which keeps nothing of the kernel."""
    return copy.deepcopy(layer).forward(x)


def packed_of(layer):
    return layer._kept._packed


def test_same_bits_in_every_call(case, isa):
    layer, x = case
    expected = plain(layer, x)
    for _ in range(3):
        np.testing.assert_array_equal(layer(x), expected)


def test_kept_until_the_kernel_changes(case):
    layer, x = case
    layer(x)
    kept = packed_of(layer)
    assert (kept is None) == isinstance(layer, DepthwiseConv2D)
    layer(x + 1)
    assert packed_of(layer) is kept
    layer(np.concatenate([x, x], axis=-3))  # twice the height
    assert kept is None or packed_of(layer) is not None


@pytest.mark.parametrize("change", ["one value", "assignment", "sign of a zero", "loaded"])
def test_changes_in_place_are_noticed(case, change, tmp_path):
    layer, x = case
    kernel = layer.parameters["kernel"]
    kernel.flat[-1] = 0
    layer(x)
    kept = packed_of(layer)
    if change == "one value":
        kernel.flat[kernel.size // 2] += 1
    elif change == "assignment":
        layer.parameters["kernel"] = kernel[::-1] * 2
    elif change == "sign of a zero":
        kernel.flat[-1] = -0.0
    else:
        other = copy.deepcopy(layer)
        other.parameters["kernel"] *= 3
        other.save(tmp_path / "layer.npz")
        layer.load(tmp_path / "layer.npz")
    np.testing.assert_array_equal(layer(x), plain(layer, x))
    assert kept is None or packed_of(layer) is not kept


def test_sizes_in_turn(case):
    layer, x = case
    images = [x, x[..., :9, :9, :], x[..., :4, :4, :], np.tile(x, (3, 2, 1))]
    expected = [plain(layer, image) for image in images]
    for _ in range(2):
        for image, result in zip(images, expected, strict=True):
            np.testing.assert_array_equal(layer(image), result)


def test_precision_in_turn(case):
    layer, x = case
    for precision in ("strict", "fast", "strict"):
        with chanconv.precision(precision):
            np.testing.assert_array_equal(layer(x), plain(layer, x))


def test_kernels_that_are_not_finite(case):
    layer, x = case
    layer.parameters["kernel"].flat[3] = np.inf
    np.testing.assert_array_equal(layer(x), plain(layer, x))
    layer.parameters["kernel"].flat[3] = np.nan
    np.testing.assert_array_equal(layer(x), plain(layer, x))


def test_copies_and_pickles_keep_their_own(case):
    layer, x = case
    layer(x)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert packed_of(other) is None
        other.parameters["kernel"] *= 2
        np.testing.assert_array_equal(other(x), plain(other, x))
        np.testing.assert_array_equal(layer(x), plain(layer, x))


def test_training_in_between(case):
    layer, x = case
    for _ in range(3):
        y = layer.forward(x)
        np.testing.assert_array_equal(layer(x), y)
        layer.backward(y)
        layer.parameters["kernel"] -= 1e-3 * layer.gradients["kernel"]


def test_inputs_of_another_dtype():
    layer = Conv2D(32, 32, 3, padding=1, rng=0)
    x = np.random.default_rng(0).standard_normal((12, 12, 32))
    for image in (x, x.astype(np.float32), x.astype(np.float16), x):
        np.testing.assert_array_equal(layer(image), plain(layer, image))


def test_threads_share_it(case):
    layer, x = case
    expected = plain(layer, x)
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(lambda _: layer(x), range(64)):
            np.testing.assert_array_equal(result, expected)
