# SPDX-License-Identifier: BSD-3-Clause
"""Arrays of others, by the buffer protocol, ``__array__`` or DLPack: taken without a copy where NumPy can view them."""

import array
import ctypes
import tracemalloc

import numpy as np
import pytest

import chanconv

KERNEL = np.random.default_rng(0).standard_normal((3, 3, 8, 4), np.float32)
X = np.random.default_rng(1).standard_normal((2, 64, 64, 8), np.float32)


class OnlyDLPack:
    """An array of a library that knows of NumPy nothing but DLPack."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


class OnDevice(OnlyDLPack):
    def __dlpack__(self, **options):
        raise BufferError("the memory is not the host's")


def peak(call):
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def check(x):
    """The result is the one of a NumPy array, and x is not copied."""
    assert np.array_equal(chanconv.conv(x, KERNEL, padding=1), chanconv.conv(X, KERNEL, padding=1))
    out = np.empty((2, 64, 64, 4), np.float32)
    assert peak(lambda: chanconv.conv(x, KERNEL, padding=1, out=out)) < X.nbytes / 10


@pytest.mark.parametrize("kind", [memoryview, lambda x: memoryview(x).toreadonly(), OnlyDLPack])
def test_images(kind):
    check(kind(X))


def test_ctypes_array():
    check((ctypes.c_float * 8 * 64 * 64 * 2).from_buffer(X.copy()))


def test_array_array():
    values = array.array("d", range(12))
    kernel = array.array("d", [1, 2])
    planes = memoryview(values).cast("B").cast("d", (3, 4))
    taps = memoryview(kernel).cast("B").cast("d", (1, 2))
    assert np.array_equal(chanconv.plane_conv(planes, taps), chanconv.plane_conv(np.asarray(planes), np.array([[1.0, 2]])))
    assert np.array_equal(chanconv.activations.relu(values), np.arange(12.0))


def test_read_only_dlpack():
    x = X.copy()
    x.flags.writeable = False
    try:
        x.__dlpack__()
    except BufferError:
        pytest.skip("this NumPy does not share read-only arrays")
    check(OnlyDLPack(x))


def test_memory_elsewhere():
    with pytest.raises(TypeError, match="x: OnDevice does not share its memory"):
        chanconv.conv(OnDevice(X), KERNEL)


def test_torch():
    torch = pytest.importorskip("torch")
    check(torch.from_numpy(X))
    check(torch.from_numpy(X.copy()).detach())
    channels_first = torch.from_numpy(X).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    check(channels_first.permute(0, 2, 3, 1))
    wide = torch.zeros(2, 64, 64, 20)
    wide[..., 5:13] = torch.from_numpy(X)
    check(wide[..., 5:13])
    with pytest.raises((TypeError, RuntimeError)):
        chanconv.conv(torch.zeros(2, 5, 5, 8, requires_grad=True), KERNEL)
