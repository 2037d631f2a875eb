# SPDX-License-Identifier: BSD-3-Clause
"""Forms of arrays that a test of a public function hardly meets: limits of memory, overlaps that are hard to tell."""

import contextvars
import copy
import os
import pickle
import resource
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

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


# ---- Memory of results ----------------------------------------------------------------------------------------------

LARGE = arrays._chanconv.ALIGNED_FROM + 5
try:
    from numpy._core.multiarray import get_handler_name
except ImportError:  # before NumPy 1.26
    from numpy.core.multiarray import get_handler_name


def large_results():
    x, kernel = np.ones((2, 64, 64, 8), np.float32), np.ones((3, 3, 8, 16), np.float32)
    grad = np.ones((2, 62, 62, 16), np.float32)
    yield from (chanconv.conv(x, kernel) for again in range(2))
    yield chanconv.conv(x.astype(np.float64), kernel, activation="gelu")
    yield chanconv.conv_grad_x(grad, kernel, x.shape)
    yield chanconv.conv_transpose(grad, kernel)
    yield chanconv.im2col(x, 3)
    yield from (activations.relu(x), activations.softmax(x), activations.glu(x, axis=0))
    yield activations.relu_backward(x, x)
    yield activations.prelu(x, np.float32(0.5))


def test_large_results_begin_at_a_cache_line():
    for result in large_results():
        assert result.size >= LARGE - 5
        assert result.ctypes.data % 64 == 0
        assert get_handler_name(result) == "chanconv"
        assert type(result) is np.ndarray
        assert result.base is None
        assert result.flags.num == np.empty((2, 2)).flags.num
    assert get_handler_name() == "default_allocator"


def test_a_large_result_is_resized_as_any_array():
    """Growing and shrinking move it to memory that begins elsewhere in a line."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        result = arrays.empty((LARGE,), arrays.FLOAT32)
        between = [bytearray(size) for size in rng.integers(1, 300, 5)]
        expected = np.arange(LARGE, dtype=np.float32)
        result[...] = expected
        for size in (*rng.integers(1, 12 * LARGE, 4), 0, 7):
            result.resize(size, refcheck=False)
            expected.resize(size, refcheck=False)
            np.testing.assert_array_equal(result, expected)
        del between


def test_a_large_result_is_copied_and_pickled_as_any_array():
    result = arrays.empty((3, LARGE), arrays.FLOAT64)
    result[...] = 1.5
    result += result
    for other in (pickle.loads(pickle.dumps(result)), pickle.loads(pickle.dumps(result, 5)), copy.deepcopy(result)):
        np.testing.assert_array_equal(other, np.full((3, LARGE), 3.0))


def test_memory_of_large_results_is_counted_and_given_back():
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = arrays.empty((LARGE,), arrays.FLOAT64)
        assert tracemalloc.get_traced_memory()[0] - before >= result.nbytes
        del result
        assert tracemalloc.get_traced_memory()[0] - before < LARGE
    finally:
        tracemalloc.stop()
    for warm in (True, False):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(100 if warm else 10_000):
            arrays.empty((LARGE,), arrays.FLOAT32).fill(0)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 10_000  # KiB; a leak of all would be 1.3 GB


def test_memory_of_a_large_result_is_kept_for_one_that_it_suits():
    def address(size):
        return arrays.empty((size,), arrays.FLOAT32).ctypes.data

    size = 1 << 20
    first, other = (arrays.empty((size,), arrays.FLOAT32) for _ in range(2))
    place = first.ctypes.data
    assert other.ctypes.data != place
    del first
    for fits in (size, size - 100_000, size):
        assert address(fits) == place
    half = arrays.empty((size // 2,), arrays.FLOAT32)
    assert half.ctypes.data != place
    assert address(2 * size) != place
    other_place = other.ctypes.data
    del half, other
    assert address(size) == other_place


def test_memory_that_cannot_be_had():
    with pytest.raises(MemoryError):
        arrays.empty((2**60,), arrays.FLOAT32)
    with pytest.raises(ValueError, match="larger than an array can be"):
        arrays.empty((2**62, 2), arrays.FLOAT32)
    assert get_handler_name() == "default_allocator"


def test_large_results_of_threads_and_contexts():
    def addresses():
        return [arrays.empty((LARGE,), arrays.FLOAT32).ctypes.data % 64 for _ in range(100)]

    with ThreadPoolExecutor(4) as pool:
        assert not any(map(any, pool.map(lambda _: addresses(), range(8))))
    assert not any(contextvars.copy_context().run(addresses))


def test_a_handler_of_the_program_stays_in_charge():
    """Set through NumPy's C API, as a program that manages memory would."""
    code = """
import ctypes
import numpy as np
from chanconv import arrays

class Handler(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("ctx", ctypes.c_void_p),
                *((name, ctypes.c_void_p) for name in ("malloc", "calloc", "realloc", "free"))]

pointer = ctypes.pythonapi.PyCapsule_GetPointer
pointer.argtypes, pointer.restype = (ctypes.py_object, ctypes.c_char_p), ctypes.c_void_p
table = ctypes.cast(pointer(arrays._numpy._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
default = ctypes.cast(table[306], ctypes.POINTER(ctypes.py_object))[0]
mine = Handler.from_buffer_copy(Handler.from_address(pointer(default, b"mem_handler")))
mine.name = b"mine"
new = ctypes.pythonapi.PyCapsule_New
new.argtypes, new.restype = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p), ctypes.py_object
capsule = new(ctypes.addressof(mine), b"mem_handler", None)
ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[304])(capsule)
from test_arrays import LARGE, get_handler_name
assert get_handler_name(arrays.empty((LARGE,), arrays.FLOAT32)) == get_handler_name() == "mine"
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=os.path.dirname(__file__))
