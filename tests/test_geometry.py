# SPDX-License-Identifier: BSD-3-Clause
"""chanconv.geometry by itself: what an int, a pair or a name stands for, which axes arrays have, the shapes that follow."""

import numpy as np
import pytest

import chanconv
from chanconv import geometry
from chanconv.arrays import FLOAT32, FLOAT64
from chanconv.geometry import COLUMNS, IMAGES, PLANES, TRANSPOSED

DEFAULT = geometry.options(1, 0, 1)


@pytest.mark.parametrize("value", [-(2**63), -1, 0, 2**63 - 1, np.int8(5), np.uint64(2**63 - 1), np.array(3)])
def test_an_index(value):
    number = geometry.index("stride", value)
    assert type(number) is int
    assert number == value


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30, np.uint64(2**63)])
def test_an_index_of_too_many_bits(value):
    with pytest.raises(ValueError, match=r"^stride: expected an int of 64 bits, got one of "):
        geometry.index("stride", value)


@pytest.mark.parametrize("value", [True, np.False_, 1.0, "1", b"1", None, [1], np.array([1.0])])
def test_what_is_no_index(value):
    with pytest.raises(TypeError, match=r"^stride: expected an int, got "):
        geometry.index("stride", value)


@pytest.mark.parametrize("value", [(1, 2), [1, 2], np.array([1, 2]), range(1, 3), (np.int8(1), 2)])
def test_a_pair(value):
    assert geometry.pair("stride", value) == (1, 2)


def test_a_pair_of_one_number():
    assert geometry.pair("stride", 3) == geometry.pair("stride", np.array(3)) == (3, 3)


@pytest.mark.parametrize("value", [(), (1,), [1, 2, 3]])
def test_a_pair_of_another_length(value):
    with pytest.raises(ValueError, match=rf"^stride: expected an int or a pair .*, got {len(value)} values"):
        geometry.pair("stride", value)


@pytest.mark.parametrize("value", ["12", b"12", bytearray(b"12"), memoryview(b"12"), {1, 2}, iter([1, 2])])
def test_texts_and_sets_are_no_pairs(value):
    with pytest.raises(TypeError, match=r"^stride: expected an int, got "):
        geometry.pair("stride", value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, ((5, 5), (5, 5))),
        ((1, 2), ((1, 1), (2, 2))),
        (((1, 2), (3, 4)), ((1, 2), (3, 4))),
        ([1, (3, 4)], ((1, 1), (3, 4))),
        ("valid", ((0, 0), (0, 0))),
        ("same", "same"),
        ("same_lower", "same_lower"),
    ],
)
def test_pads(value, expected):
    assert geometry.pads(value) == expected


@pytest.mark.parametrize("value", ["SAME", "", (1,), (1, 2, 3), ((1, 2, 3), 1)])
def test_bad_pads(value):
    with pytest.raises(ValueError, match=r"^padding: expected "):
        geometry.pads(value)


def test_names():
    assert geometry.name_of("what", "b", ("a", "b")) == "b"
    with pytest.raises(ValueError, match=r"^what: expected one of a, b, got 'c'"):
        geometry.name_of("what", "c", ("a", "b"))
    with pytest.raises(TypeError, match=r"^what: expected a str, got int"):
        geometry.name_of("what", 0, ("a", "b"))


@pytest.mark.parametrize("value", [(), (0,), (0, 2**63 - 1), (3, 4)])
def test_a_tuple_of_sizes_is_a_shape_as_it_is(value):
    assert geometry.shape("x_shape", value) is value


@pytest.mark.parametrize("value", [[0, 3], np.array([0, 3]), (np.int64(0), 3), (0, np.uint8(3))])
def test_other_shapes(value):
    sizes = geometry.shape("x_shape", value)
    assert sizes == (0, 3)
    assert set(map(type, sizes)) == {int}


@pytest.mark.parametrize("value", [(-1,), [3, -1], (2**63,), (3, 2**64)])
def test_bad_sizes(value):
    with pytest.raises(ValueError, match=r"^x_shape: expected "):
        geometry.shape("x_shape", value)


@pytest.mark.parametrize("value", [5, "12", (1.0, 2), (True,), None])
def test_what_is_no_shape(value):
    with pytest.raises(TypeError, match=r"^x_shape: expected "):
        geometry.shape("x_shape", value)


def test_options():
    assert DEFAULT == (1, 0, 1, 1, "zeros", "auto")
    assert geometry.options([1, 2], [3, 4], np.int8(2), np.int8(3), np.str_("reflect"), "gemm") == (
        (1, 2), ((3, 3), (4, 4)), (2, 2), 3, "reflect", "gemm")  # fmt: skip


@pytest.mark.parametrize("padding", [(3, 4), ((3, 3), (4, 5)), (3, (4, 5)), "same", 2])
def test_plain_options_stay_as_they_are(padding):
    given = geometry.options((1, 2), padding, (2, 2))
    assert given == ((1, 2), padding, (2, 2), 1, "zeros", "auto") and given[1] is padding
    x, kernel = np.ones((9, 8, 1)), np.ones((2, 3, 1, 1))
    pads = padding if padding == "same" else geometry.pads(padding)
    assert np.array_equal(chanconv.conv(x, kernel, padding=padding), chanconv.conv(x, kernel, padding=pads))


@pytest.mark.parametrize("padding", [(3, True), ((3, 3), (4, 5.0)), (3, (np.float32(4), 5)), (3, 4, 5), (3, (4, 5, 6))])
def test_pads_that_are_not_plain_are_checked(padding):
    with pytest.raises((TypeError, ValueError), match="^padding: expected an int"):
        geometry.options(1, padding, 1)


def test_gradients_that_are_wanted():
    assert geometry.wanted("x", ("x", "bias")) == ("x",)
    assert geometry.wanted(iter(["bias", "x"]), ("x", "bias")) == ("bias", "x")
    for none in ((), []):
        with pytest.raises(ValueError, match=r"^wrt: expected one or more of x, bias, got none"):
            geometry.wanted(none, ("x", "bias"))
    with pytest.raises(ValueError, match=r"^wrt: expected one of x, bias, got 'kernel'"):
        geometry.wanted(["x", "kernel"], ("x", "bias"))
    with pytest.raises(TypeError, match=r"^wrt: expected names, got int"):
        geometry.wanted(5, ("x", "bias"))


@pytest.mark.parametrize(
    ("form", "shape", "expected"),
    [
        (PLANES, (4, 5), ((), (4, 5), ())),
        (PLANES, (2, 4, 5), ((2,), (4, 5), ())),
        (IMAGES, (4, 5, 3), ((), (4, 5), (3,))),
        (IMAGES, (2, 4, 5, 3), ((2,), (4, 5), (3,))),
        (TRANSPOSED, (4, 5, 3), ((), (4, 5), (3,))),
        (COLUMNS, (4, 5, 3), ((), (4, 5), (3,))),
        (COLUMNS, (2, 4, 5, 3), ((2,), (4, 5), (3,))),
    ],
)
def test_axes_of_x(form, shape, expected):
    assert form.split(shape) == expected
    for other in (shape[:1], shape[1:] if len(expected[0]) == 0 else (), (1, 1, *shape)):
        with pytest.raises(ValueError, match=r"^x: expected \(H, W"):
            form.split(other)


@pytest.mark.parametrize(("form", "axes"), [(PLANES, {2}), (IMAGES, {3, 4}), (TRANSPOSED, {4})])
def test_axes_of_kernels(form, axes):
    for count in range(7):
        if count in axes:
            form.check_kernel((1,) * count)
        else:
            with pytest.raises(ValueError, match=r"^kernel: expected \(KH, KW"):
                form.check_kernel((1,) * count)


def test_four_axes():
    assert geometry.four((), (4, 5), (3,)) == (1, 4, 5, 3)
    assert geometry.four((2,), (4, 5), ()) == (2, 4, 5, 1)


@pytest.mark.parametrize(
    ("form", "x", "kernel", "y", "inner"),
    [
        (PLANES, (6, 8), (3, 2), (4, 7), (3, 2, 1, 1)),
        (PLANES, (2, 6, 8), (3, 2), (2, 4, 7), (3, 2, 1, 1)),
        (IMAGES, (6, 8, 3), (3, 2, 3), (4, 7), (3, 2, 3, 1)),
        (IMAGES, (2, 6, 8, 3), (3, 2, 3, 5), (2, 4, 7, 5), (3, 2, 3, 5)),
    ],
)
def test_a_problem(form, x, kernel, y, inner):
    problem = geometry.problem(form, FLOAT32, x, kernel, DEFAULT, 0)
    assert (problem.x_shape, problem.kernel_shape, problem.y_shape) == (x, kernel, y)
    assert problem.convolution.kernel_shape == inner
    assert problem.bias_shape == kernel[3:]
    problem.check_grad_output(y)
    with pytest.raises(ValueError, match=r"^grad_output: expected shape "):
        problem.check_grad_output((*y[:-1], y[-1] + 1))


def test_a_bias_of_one_kernel_is_a_scalar():
    one = geometry.problem(IMAGES, FLOAT32, (6, 8, 3), (3, 2, 3), DEFAULT, 0)
    several = geometry.problem(IMAGES, FLOAT32, (6, 8, 3), (3, 2, 3, 5), DEFAULT, 0)
    for good in ((), (1,)):
        one.check_bias(good)
    several.check_bias((5,))
    for bad in ((0,), (2,), (1, 1)):
        with pytest.raises(ValueError, match=r"^bias: expected a scalar, got shape "):
            one.check_bias(bad)
    for bad in ((), (1,), (4,), (8,), (1, 5)):
        with pytest.raises(ValueError, match=r"^bias: expected shape \(5,\), got shape "):
            several.check_bias(bad)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("batch", [(), (3,)])
def test_a_transposed_problem(batch, groups):
    given = geometry.options(2, 1, 1, groups)
    problem = geometry.transposed_problem(FLOAT32, (*batch, 4, 5, 6), (3, 3, 7, 6), (1, 0), given, 0)
    assert problem.x_shape == (*batch, 8, 9, 7 * groups)
    assert problem.y_shape == (*batch, 4, 5, 6)
    assert problem.bias_shape == (7 * groups,)


@pytest.mark.parametrize(
    ("x", "columns"), [((6, 8), (28, 6)), ((6, 8, 3), (28, 18)), ((2, 6, 8, 3), (2, 28, 18))]
)  # fmt: skip
def test_columns(x, columns):
    problem = geometry.columns_problem(FLOAT64, x, (3, 2), DEFAULT)
    assert (problem.x_shape, problem.kernel_shape, problem.y_shape) == (x, (3, 2), columns)


@pytest.mark.parametrize("shape", [(4, 3), (2, 4, 5, 3)])
def test_a_sum_over_pixels(shape):
    whole = ((1,) * 4 + shape)[-4:]
    assert geometry.sum_problem(FLOAT32, whole, whole[-1]).y_shape == whole
