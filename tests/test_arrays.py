# SPDX-License-Identifier: BSD-3-Clause
"""Forms of arrays that a test of a public function hardly meets: limits of memory, overlaps that are hard to tell."""

import os
import sys

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import chanconv
from chanconv import activations, arrays


def test_an_array_interface_that_tells_the_truth():
    class Described:
        def __init__(self, array):
            self.array = array
            self.__array_interface__ = {
                "shape": array.shape, "strides": array.strides, "typestr": array.dtype.str, "version": 3,
                "data": bytearray(array.tobytes()),
            }  # fmt: skip

    x, kernel = np.arange(50.0).reshape(5, 5, 2), np.ones((2, 2, 2, 3))
    np.testing.assert_array_equal(chanconv.conv(Described(x), kernel), chanconv.conv(x, kernel))
    np.testing.assert_array_equal(arrays.as_array("x", Described(x[:0])), x[:0])


class Interface:
    """Six float64 in a buffer of their own, described with this shape, strides and offset."""

    def __init__(self, shape, strides, offset):
        self.__array_interface__ = {
            "shape": shape, "strides": strides, "offset": offset, "typestr": "<f8", "version": 3,
            "data": bytearray(np.arange(6.0).tobytes()),
        }  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "expected"),
    [
        ((3, 2), (16, 8), 0, [[0, 1], [2, 3], [4, 5]]),
        ((3, 2), (-16, 8), 32, [[4, 5], [2, 3], [0, 1]]),
        ((3, 2), (-16, -8), 40, [[5, 4], [3, 2], [1, 0]]),
        ((1, 2), (10**6, 8), 32, [[4, 5]]),
        ((1, 2), (-(10**6), -8), 8, [[1, 0]]),
        ((1, 1), (8, 8), 40, [[5]]),
    ],
)
def test_an_array_interface_to_the_ends_of_its_memory(shape, strides, offset, expected):
    np.testing.assert_array_equal(arrays.as_array("x", Interface(shape, strides, offset)), expected)


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((3, 2), (16, 8), 8), ((4, 2), (16, 8), 0), ((3, 3), (16, 8), 0), ((3, 2), (-16, 8), 24), ((3, 2), (-16, 8), 40),
     ((3, 2), (-16, -8), 32), ((4, 2), (-16, 8), 32), ((1, 1), (8, 8), 48)],
)  # fmt: skip
def test_an_array_interface_beyond_its_memory(shape, strides, offset):
    with pytest.raises(TypeError, match=r"^x: its array interface describes more memory than the 48 bytes it has"):
        arrays.as_array("x", Interface(shape, strides, offset))


@pytest.mark.parametrize("error", [AttributeError, OSError, ValueError])
def test_a_system_that_does_not_tell_its_memory(error, monkeypatch):
    def refuse(name):
        raise error(name)

    monkeypatch.setattr(os, "sysconf", refuse)
    assert arrays._physical_memory() == sys.maxsize


def test_a_result_larger_than_the_memory(monkeypatch):
    """A system that overcommits gives the array."""
    monkeypatch.setattr(arrays, "PHYSICAL_MEMORY", 7999)
    assert arrays.empty((999,), arrays.FLOAT64).shape == (999,)
    with pytest.raises(MemoryError, match=r"shape \(1000,\) and dtype float64 needs 8000 bytes"):
        arrays.empty((1000,), arrays.FLOAT64)


def test_a_result_larger_than_an_array_can_be():
    with pytest.raises(ValueError, match=r"the result, of shape \(0, 1152921504606846976, 16\)"):
        arrays.empty((0, 2**60, 16), arrays.FLOAT32)


@pytest.fixture
def hard_to_tell():
    """Two arrays of one buffer; whether they share an element is a problem with large numbers."""
    x = np.zeros(192163377, np.int8)
    return (
        as_strided(x, (1049, 1049, 1049), (36674, 61119, 85569)),
        as_strided(x[64023025:], (1049, 1049, 1), (12223, 12224, 1)),
    )


@pytest.mark.parametrize("share", [arrays._overlap, activations._share_memory])
def test_overlap_in_doubt(share, hard_to_tell):
    assert share(*hard_to_tell)
    assert not share(hard_to_tell[0], np.zeros(3, np.int8))
    assert not share(hard_to_tell[0][0, 0, ::2], hard_to_tell[0][0, 0, 1::2])
