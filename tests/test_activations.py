# SPDX-License-Identifier: BSD-3-Clause
"""Activations: accuracy against mpmath, special values, kinks, every instruction set, layouts, threads, by name."""

import copy
import functools
import inspect
import pickle
import sys

import numpy as np
import pytest
from mpmath import mp, mpf
from oracle import same_bits

import chanconv
from chanconv import _chanconv, activations
from chanconv.activations import Activation, get

FORMULAS = {}  # by (name, parameters): the exact function and its derivative


def formula(name, **parameters):
    """Registers a pair of functions of x and the parameters, as the formulas of the module for these parameters."""

    def register(function, derivative):
        FORMULAS[Activation(name, **parameters)] = (
            functools.partial(function, **parameters),
            functools.partial(derivative, **parameters),
        )

    return register


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def softplus(x):
    return mp.log1p(mp.exp(x))


def normal(x):
    return mp.ncdf(max(x, -2000))  # where it is far below all floats; mpmath has no mind for much less


def gelu_tanh_argument(x):
    return 2 * mp.sqrt(2 / mp.pi) * (x + mpf("0.044715") * x**3)


def gelu_tanh_slope(x):
    w = gelu_tanh_argument(x)
    return sigmoid(w) + x * sigmoid(w) * sigmoid(-w) * 2 * mp.sqrt(2 / mp.pi) * (1 + 3 * mpf("0.044715") * x**2)


def mish_slope(x):
    t = mp.tanh(softplus(x))
    return t + x * sigmoid(x) * (1 - t**2)


with mp.workprec(100):
    SCALE, SCALE_ALPHA = (mpf(s) for s in ("1.0507009873554804934193349852946", "1.7580993408473768599402175208123"))

formula("identity")(lambda x: x, lambda x: 1)
formula("relu")(lambda x: max(x, 0), lambda x: x > 0)
formula("relu6")(lambda x: min(max(x, 0), 6), lambda x: 0 < x < 6)
for slope in (0.01, -1.5, 0.0):
    formula("leaky_relu", negative_slope=slope)(
        lambda x, negative_slope: x if x > 0 else negative_slope * x,
        lambda x, negative_slope: 1 if x > 0 else negative_slope,
    )
for alpha in (1.0, 0.25, -1.0):
    formula("elu", alpha=alpha)(
        lambda x, alpha: x if x > 0 else alpha * mp.expm1(x), lambda x, alpha: 1 if x > 0 else alpha * mp.exp(x)
    )
formula("selu")(
    lambda x: SCALE * x if x > 0 else SCALE_ALPHA * mp.expm1(x), lambda x: SCALE if x > 0 else SCALE_ALPHA * mp.exp(x)
)
for alpha in (1.0, 0.3125, 3.0):
    formula("celu", alpha=alpha)(
        lambda x, alpha: x if x > 0 else alpha * mp.expm1(x / alpha),
        lambda x, alpha: 1 if x > 0 else mp.exp(x / alpha),
    )
formula("gelu")(lambda x: x * normal(x), lambda x: normal(x) + x * mp.npdf(x))
formula("gelu", approximate="tanh")(
    lambda x, approximate: x * sigmoid(gelu_tanh_argument(x)), lambda x, approximate: gelu_tanh_slope(x)
)
formula("silu")(lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * sigmoid(-x)))
formula("mish")(lambda x: x * mp.tanh(softplus(x)), mish_slope)
formula("sigmoid")(sigmoid, lambda x: sigmoid(x) * sigmoid(-x))
formula("log_sigmoid")(lambda x: -softplus(-x), lambda x: sigmoid(-x))
formula("hard_sigmoid")(lambda x: min(max(x + 3, 0), 6) / mpf(6), lambda x: mpf(-3 < x < 3) / 6)
formula("hard_silu")(
    lambda x: x * min(max(x + 3, 0), 6) / 6, lambda x: 0 if x <= -3 else 1 if x >= 3 else x / 3 + mpf(0.5)
)
formula("tanh")(mp.tanh, lambda x: mp.sech(x) ** 2)
for low, high in ((-1.0, 1.0), (0.5, 0.5), (-2.0, np.inf)):
    formula("hard_tanh", low=low, high=high)(
        lambda x, low, high: min(max(x, low), high), lambda x, low, high: low < x < high
    )
for beta, threshold in ((1.0, 20.0), (2.5, 1000.0), (-0.75, 20.0)):
    formula("softplus", beta=beta, threshold=threshold)(
        lambda x, beta, threshold: x if beta * x > threshold else softplus(beta * x) / beta,
        lambda x, beta, threshold: 1 if beta * x > threshold else sigmoid(beta * x),
    )
formula("softsign")(lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2)
formula("softshrink", threshold=0.75)(
    lambda x, threshold: mp.sign(x) * max(abs(x) - threshold, 0), lambda x, threshold: abs(x) > threshold
)
formula("hardshrink", threshold=0.75)(
    lambda x, threshold: x if abs(x) > threshold else 0, lambda x, threshold: abs(x) > threshold
)
formula("tanhshrink")(lambda x: x - mp.tanh(x), lambda x: mp.tanh(x) ** 2)
formula("threshold", threshold=0.25, value=-7.0)(
    lambda x, threshold, value: x if x > threshold else value, lambda x, threshold, value: x > threshold
)

ELEMENTWISE = list(FORMULAS)
ALONG_AXIS = [Activation("softmax"), Activation("log_softmax"), Activation("glu")]
EVERY = ELEMENTWISE + ALONG_AXIS
RNG = np.random.default_rng(3)


def backward(activation, x, **out):
    return activation.backward(np.ones_like(x), x, **out)


# ---- Accuracy --------------------------------------------------------------------------------------------------------


@functools.cache
def points(dtype):
    """Everywhere: the bends, all magnitudes, both tails down to the smallest results, places around the kinks."""
    rng = np.random.default_rng(7)
    tails = 120 if dtype == np.float32 else 800
    info = np.finfo(dtype)
    kinks = np.array([0, 0.25, 0.5, 0.75, 1, 3, 6, 20, 0.6, 0.6397112, 1.25, 0.7517915, 2], dtype)
    special = np.array([info.tiny, info.smallest_subnormal, info.tiny / 3, info.eps, info.max, 1e20, 88.8, 104], dtype)
    scales = 2.0 ** rng.uniform(np.log2(float(info.smallest_subnormal)), 10, 60)
    around = [np.nextafter(kinks, np.array(end, dtype)) for end in (-np.inf, np.inf)]
    ranges = [rng.uniform(0, end, count).astype(dtype) for end, count in ((3, 80), (20, 60), (tails, 40))]
    x = np.concatenate([kinks, *around, special, scales.astype(dtype), *ranges])
    return np.concatenate([x, -x])


@functools.cache
def exact(activation, dtype, which):
    """What the formula (0) or its derivative (1) gives for `points`."""
    function = FORMULAS[activation][which]
    numbers = {k: mpf(float(dtype.type(v))) if k != "approximate" else v for k, v in function.keywords.items()}
    with mp.workprec(1300 if activation.name == "tanhshrink" else 200):  # x - tanh(x) cancels
        return [+mpf(function.func(mpf(float(x)), **numbers)) for x in points(dtype)]


def ulps(result, expected, dtype):
    """Errors in units in the last place of what is expected."""
    info = np.finfo(dtype)
    largest = mpf(float(info.max)) * (1 + mpf(float(info.eps)) / 4)
    errors = []
    for got, value in zip(result.tolist(), expected, strict=True):
        if abs(value) > largest or not np.isfinite(got):
            errors.append(0.0 if abs(value) > largest and got == np.inf * mp.sign(value) else np.inf)
            continue
        exponent = max(mp.mag(value) - 1, info.minexp) if value else info.minexp
        errors.append(float(mp.ldexp(abs(mpf(got) - value), info.nmant - exponent)))
    return np.array(errors)


@pytest.mark.parametrize("activation", ELEMENTWISE, ids=repr)
def test_values(activation, isa, dtype):
    x = points(dtype)
    errors = ulps(activation.forward(x), exact(activation, dtype, 0), dtype)
    assert errors.max() <= (2 if activation.name in ("sigmoid", "tanh") else 4), x[errors.argmax()]


@pytest.mark.parametrize("activation", ELEMENTWISE, ids=repr)
def test_derivatives(activation, isa, dtype):
    x = points(dtype)
    result, expected = backward(activation, x), exact(activation, dtype, 1)
    errors = ulps(result, expected, dtype)
    if activation.name in ("silu", "mish", "gelu", "hard_silu"):  # a difference of terms of about 1/4 crosses zero
        distance = np.array([float(mpf(got) - value) for got, value in zip(result.tolist(), expected, strict=True)])
        crossing = np.where((x < -0.5) & (x > -2), np.abs(distance) * 32 / np.finfo(dtype).eps, np.inf)
        errors = np.minimum(errors, crossing)
    assert errors.max() <= 8, x[errors.argmax()]


# ---- Special values and kinks ----------------------------------------------------------------------------------------

INF, NAN = np.inf, np.nan
LIMITS = {  # values and derivatives at minus infinity and at infinity
    get("identity"): ((-INF, INF), (1, 1)),
    get("relu"): ((0, INF), (0, 1)),
    get("relu6"): ((0, 6), (0, 0)),
    get("leaky_relu", negative_slope=0.25): ((-INF, INF), (0.25, 1)),
    get("leaky_relu", negative_slope=0): ((NAN, INF), (0, 1)),
    get("elu"): ((-1, INF), (0, 1)),
    get("elu", alpha=2): ((-2, INF), (0, 1)),
    get("selu"): ((-float(SCALE_ALPHA), INF), (0, float(SCALE))),
    get("celu", alpha=2): ((-2, INF), (0, 1)),
    get("gelu"): ((0, INF), (0, 1)),
    get("gelu", approximate="tanh"): ((0, INF), (0, 1)),
    get("silu"): ((0, INF), (0, 1)),
    get("mish"): ((0, INF), (0, 1)),
    get("sigmoid"): ((0, 1), (0, 0)),
    get("log_sigmoid"): ((-INF, 0), (1, 0)),
    get("hard_sigmoid"): ((0, 1), (0, 0)),
    get("hard_silu"): ((0, INF), (0, 1)),
    get("tanh"): ((-1, 1), (0, 0)),
    get("hard_tanh"): ((-1, 1), (0, 0)),
    get("softplus"): ((0, INF), (0, 1)),
    get("softplus", beta=3, threshold=INF): ((0, INF), (0, 1)),
    get("softsign"): ((-1, 1), (0, 0)),
    get("softshrink"): ((-INF, INF), (1, 1)),
    get("hardshrink"): ((-INF, INF), (1, 1)),
    get("tanhshrink"): ((-INF, INF), (1, 1)),
    get("threshold", threshold=1, value=5): ((5, INF), (0, 1)),
}

KINKS = [  # x, value, derivative; open intervals are flat at their ends
    (get("relu"), 0, 0, 0),
    (get("relu6"), 0, 0, 0),
    (get("relu6"), 6, 6, 0),
    (get("leaky_relu", negative_slope=0.25), 0, 0, 0.25),
    (get("elu", alpha=0.5), 0, 0, 0.5),
    (get("selu"), 0, 0, float(SCALE_ALPHA)),
    (get("celu"), 0, 0, 1),
    (get("hard_sigmoid"), -3, 0, 0),
    (get("hard_sigmoid"), 3, 1, 0),
    (get("hard_silu"), -3, 0, 0),
    (get("hard_silu"), 3, 3, 1),
    (get("hard_tanh"), -1, -1, 0),
    (get("hard_tanh"), 1, 1, 0),
    (get("softshrink"), -0.5, 0, 0),
    (get("softshrink"), 0.5, 0, 0),
    (get("hardshrink"), -0.5, 0, 0),
    (get("hardshrink"), 0.5, 0, 0),
    (get("threshold", threshold=0.5, value=9), 0.5, 9, 0),
    (get("softplus", beta=2, threshold=1), 0.5, np.log1p(np.e) / 2, 1 / (1 + np.exp(-1))),
]


@pytest.mark.parametrize("activation", LIMITS, ids=repr)
def test_infinities(activation, isa, dtype):
    values, derivatives = LIMITS[activation]
    x = np.array([-INF, INF], dtype)
    np.testing.assert_array_equal(activation.forward(x), np.array(values, dtype))
    np.testing.assert_array_equal(backward(activation, x), np.array(derivatives, dtype))


@pytest.mark.parametrize("activation", ELEMENTWISE, ids=repr)
def test_nan_gives_nan(activation, isa, dtype):
    x = np.array([NAN, 1, -NAN, -1], dtype)
    np.testing.assert_array_equal(np.isnan(activation.forward(x)), np.isnan(x))
    if activation.name != "identity":
        np.testing.assert_array_equal(np.isnan(backward(activation, x)), np.isnan(x))


@pytest.mark.parametrize(("activation", "x", "value", "derivative"), KINKS, ids=repr)
def test_kinks(activation, x, value, derivative, isa, dtype):
    """The same in every place of a vector, and in its tail."""
    x = np.full(37, x, dtype)
    np.testing.assert_allclose(activation.forward(x), value, rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(backward(activation, x), derivative, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("sign", [1, -1])
def test_parameters_that_round_to_zero(sign, isa):
    """They may not be 0, and in float32 do not become it: celu and softplus would divide 0 by it."""
    x = np.array([-1, -0.0, 0, 1], np.float32)
    tiny = sign * np.finfo(np.float32).smallest_subnormal
    celu, softplus = get("celu", alpha=sign * 1e-300), get("softplus", beta=sign * 1e-300)
    np.testing.assert_array_equal(celu.forward(x), [-tiny if sign > 0 else -INF, 0, 0, 1])
    np.testing.assert_array_equal(backward(celu, x), [0 if sign > 0 else INF, 1, 1, 1])
    np.testing.assert_array_equal(softplus.forward(x), [sign * INF] * 4)
    np.testing.assert_array_equal(backward(softplus, x), [0.5] * 4)


FACTORS = [("leaky_relu", "negative_slope"), ("elu", "alpha"), ("celu", "alpha"), ("softplus", "beta")]
BOUNDS = [
    ("hard_tanh", "high"), ("softplus", "threshold"), ("softshrink", "threshold"), ("hardshrink", "threshold"),
    ("threshold", "threshold"), ("threshold", "value"),
]  # fmt: skip


def with_parameter(name, parameter, value):
    return get(name, **({"threshold": 0.5, "value": 7} if name == "threshold" else {}) | {parameter: value})


@pytest.mark.parametrize(("name", "parameter"), FACTORS + BOUNDS)
def test_parameters_that_a_dtype_cannot_hold(name, parameter, isa):
    """Rounded to infinity, they had given NaN: celu divided by it."""
    x = np.array([-1, -0.5, -0.0, 0, 0.5, 2])
    for huge in (1e300, 3.5e38) + ((-1e300,) if parameter != "high" and name != "softshrink" else ()):
        activation = with_parameter(name, parameter, huge)
        for short in (x.astype(np.float32), x.astype(np.float16), x.astype(np.float32)[::2]):
            for call in (activation.forward, lambda a, f=activation.backward: f(a, a)):
                with pytest.raises(ValueError, match=f"^{parameter}: expected a .*number that float32 can hold, got "):
                    call(short)
        with pytest.raises(ValueError, match=f"^{parameter}: "):
            chanconv.conv(np.ones((1, 1, 1), np.float32), np.ones((1, 1, 1), np.float32), activation=activation)
        assert not np.isnan(activation.forward(x)).any() and not np.isnan(backward(activation, x)).any()
    largest = with_parameter(name, parameter, float(np.finfo(np.float32).max))
    assert not np.isnan(largest.forward(x.astype(np.float32))).any()


@pytest.mark.parametrize(("name", "parameter"), FACTORS)
def test_factors_are_finite(name, parameter):
    for infinite in (INF, -INF):
        with pytest.raises(ValueError, match=f"^{parameter}: expected a finite number"):
            with_parameter(name, parameter, infinite)
        with pytest.raises(ValueError, match=f"^{parameter}: expected a finite number"):
            getattr(activations, name)(np.zeros(3), infinite)


@pytest.mark.parametrize("alpha", [1e30, -1e30, 1e38])
def test_celu_with_a_large_alpha(alpha, isa, dtype):
    """x / alpha is denormal, or 0, but the result is x."""
    alpha = alpha if dtype == np.float32 else alpha**8
    x = -np.geomspace(1e-37, 1e-3, 50, dtype=dtype)
    np.testing.assert_array_equal(activations.celu(x, alpha), x)
    np.testing.assert_array_equal(activations.celu_backward(np.ones_like(x), x, alpha), 1)


@pytest.mark.parametrize("name", ["relu", "relu6", "hard_sigmoid", "hard_tanh", "softshrink", "hardshrink"])
def test_a_flat_part_selects_zero(name, isa, dtype):
    """0 for the gradient, not 0 times it."""
    x = np.array([-0.25 if "shrink" in name else -10], dtype)
    for g in (INF, -INF, NAN):
        assert get(name).backward(np.array([g], dtype), x) == 0


def test_monotone(isa, dtype):
    x = points(dtype)
    x = np.sort(np.concatenate([x[np.abs(x) < 1e30], RNG.uniform(-110, 110, 3000).astype(dtype)]))
    without_cut = get("softplus", threshold=INF)  # the cut is a step down
    for activation in (*map(get, ("sigmoid", "log_sigmoid", "elu", "selu", "softsign")), without_cut):
        y = activation.forward(x)
        spacing = np.spacing(np.abs(y[1:]))
        assert (y[1:] >= y[:-1] - 4 * spacing).all(), activation


def test_sigmoid_saturates(isa, dtype):
    np.testing.assert_array_equal(activations.sigmoid(np.array([-1000, 1000, -INF, INF], dtype)), [0, 1, 0, 1])


# ---- Gradients -------------------------------------------------------------------------------------------------------


def finite_differences(function, x, step=1e-6):
    """d function / d x, for a function to scalars."""
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        there, back = x.copy(), x.copy()
        there[i] += step
        back[i] -= step
        gradient[i] = (function(there) - function(back)) / (2 * step)
    return gradient


OTHER_AXES = [get("softmax", axis=0), get("log_softmax", axis=1), get("glu", axis=1)]


@pytest.mark.parametrize("activation", [*EVERY, *OTHER_AXES], ids=repr)
def test_gradient_by_finite_differences(activation):
    x = RNG.normal(0, 2, (3, 4, 6))
    weights = RNG.normal(size=activation.forward(x).shape)
    expected = finite_differences(lambda x: (weights * activation.forward(x)).sum(), x)
    np.testing.assert_allclose(activation.backward(weights, x), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("slope", [0.25, -0.5, [0.25], [0.1, -0.5, 0.0, 2.0]], ids=repr)
def test_prelu_gradient_by_finite_differences(slope):
    x, slope = RNG.normal(0, 2, (3, 5, 4)), np.array(slope)
    weights = RNG.normal(size=x.shape)
    gradients = activations.prelu_backward(weights, x, slope)
    by_x = finite_differences(lambda x: (weights * activations.prelu(x, slope)).sum(), x)
    by_slope = finite_differences(lambda slope: (weights * activations.prelu(x, slope)).sum(), slope)
    np.testing.assert_allclose(gradients.x, by_x, atol=1e-8)
    np.testing.assert_allclose(gradients.slope, by_slope, rtol=1e-8)
    assert gradients.slope.shape == slope.shape


# ---- Tails, layouts, threads -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ELEMENTWISE, ids=repr)
def test_a_tail_has_the_bits_of_whole_vectors(activation, isa, dtype):
    x = RNG.normal(0, 5, 80).astype(dtype)
    g = RNG.normal(size=80).astype(dtype)
    forward, gradient = activation.forward(x), activation.backward(g, x)
    for length in range(68):
        start = length % 13
        part = slice(start, start + length)
        assert same_bits(activation.forward(x[part]), forward[part])
        assert same_bits(activation.backward(g[part], x[part]), gradient[part])


@pytest.mark.parametrize("activation", ELEMENTWISE, ids=repr)
def test_long_arrays_have_the_bits_of_their_parts(activation, isa, dtype):
    """Results that start anywhere in a vector, around the sizes from which on they are aligned, and the GIL is released."""
    x = RNG.normal(0, 5, 4200).astype(dtype)
    g = RNG.normal(size=4200).astype(dtype)
    forward, gradient = activation.forward(x), activation.backward(g, x)
    for start, stop in ((0, 16), (1, 513), (3, 1030), (5, 2048), (7, 2057), (11, 4107), (13, 4110), (15, 4200)):
        part = slice(start, stop)
        assert same_bits(activation.forward(x[part]), forward[part])
        results = np.full(4201, 7, dtype)
        activation.backward(g[part], x[part], out=results[part])
        assert same_bits(results[part], gradient[part])
        assert results[start - 1] == results[stop] == 7


@pytest.mark.parametrize("channels", [1, 3, 15, 16, 17, 70])
def test_fused_into_channels_of_a_larger_array(channels, isa, dtype):
    """Pixels of few channels are brought together for the activation: the same bits as on its own, and gaps untouched."""
    x = RNG.normal(size=(5, 9, 4)).astype(dtype)
    kernel = RNG.normal(size=(1, 1, 4, channels)).astype(dtype)
    expected = activations.gelu(chanconv.conv(x, kernel, algorithm="gemm"))
    for algorithm in ("gemm", "im2col"):
        whole = np.full((5, 9, channels + 3), 7, dtype)
        got = chanconv.conv(x, kernel, activation="gelu", algorithm=algorithm, out=whole[..., 2 : 2 + channels])
        assert (whole[..., :2] == 7).all() and (whole[..., -1] == 7).all()
        if algorithm == "gemm":
            assert same_bits(np.ascontiguousarray(got), expected)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", EVERY, ids=repr)
def test_number_of_threads(activation, threads, dtype):
    x = RNG.normal(0, 3, (300, 16, 64)).astype(dtype)
    g = RNG.normal(size=activation.forward(x).shape).astype(dtype)
    forward, gradient = activation.forward(x), activation.backward(g, x)
    with chanconv.num_threads(1):
        assert same_bits(forward, activation.forward(x))
        assert same_bits(gradient, activation.backward(g, x))


def layouts(x):
    """The same values in other forms."""
    wide = np.zeros((*x.shape, 2), x.dtype)
    wide[..., 0] = x
    shifted = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    shifted[...] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    return {
        "strided": wide[..., 0],
        "reversed": x[::-1].copy()[::-1],
        "Fortran": np.asfortranarray(x),
        "byte order": x.astype(x.dtype.newbyteorder()),
        "unaligned": shifted,
        "read-only": frozen,
        "list": x.tolist() if x.dtype == np.float64 else x,
        "subclass": x.view(np.recarray),
    }


@pytest.mark.parametrize("activation", EVERY, ids=repr)
def test_layouts(activation, dtype):
    x = RNG.normal(size=(5, 3, 4)).astype(dtype)
    g = RNG.normal(size=activation.forward(x).shape).astype(dtype)
    forward, gradient = activation.forward(x), activation.backward(g, x)
    for (kind, x_form), g_form in zip(layouts(x).items(), layouts(g).values(), strict=True):
        assert same_bits(activation.forward(x_form), forward), kind
        assert same_bits(activation.backward(g_form, x_form), gradient), kind


@pytest.mark.parametrize("activation", EVERY, ids=repr)
@pytest.mark.parametrize("form", ["new", "strided", "Fortran", "unaligned"])
def test_out(activation, form, dtype):
    x = RNG.normal(size=(5, 3, 4)).astype(dtype)
    g = RNG.normal(size=activation.forward(x).shape).astype(dtype)
    forms = layouts(np.full(g.shape, NAN, dtype)) | {"new": np.full(g.shape, NAN, dtype)}
    assert activation.forward(x, out=forms[form]) is forms[form]
    np.testing.assert_array_equal(forms[form], activation.forward(x))
    forms = layouts(np.full(x.shape, NAN, dtype)) | {"new": np.full(x.shape, NAN, dtype)}
    assert activation.backward(g, x, out=forms[form]) is forms[form]
    np.testing.assert_array_equal(forms[form], activation.backward(g, x))


@pytest.mark.parametrize("activation", ELEMENTWISE + ALONG_AXIS[:2], ids=repr)
@pytest.mark.parametrize("form", ["contiguous", "strided", "Fortran"])
def test_in_place(activation, form, dtype):
    x, g = RNG.normal(size=(2, 5, 3, 37)).astype(dtype)
    forward, gradient = activation.forward(x), activation.backward(g, x)

    def a_copy(array):
        return array.copy() if form == "contiguous" else layouts(array)[form]

    there = a_copy(x)
    assert activation.forward(there, out=there) is there
    np.testing.assert_array_equal(there, forward)
    for which in (0, 1):
        arrays = [a_copy(g), a_copy(x)]
        assert activation.backward(*arrays, out=arrays[which]) is arrays[which]
        np.testing.assert_array_equal(arrays[which], gradient)


def other_forms(x):
    """What the short way leaves to the long one."""
    forms = layouts(x)
    return [forms[kind] for kind in ("strided", "reversed", "Fortran", "byte order", "unaligned", "subclass")] + [
        x.tolist(), x.astype(np.float16), x.astype(np.int32), x[:, :0], None
    ]


def test_which_arrays_take_the_short_way():
    calls = []
    kind = _chanconv.Kind("elu", ("alpha",), lambda *a: calls.append(a), lambda *a: calls.append(a), True)
    x, g, y = RNG.normal(size=(3, 5, 4)).astype(np.float32)
    assert (kind.name, kind.parameters) == ("elu", ("alpha",))
    for out in (None, y, x.copy()):
        assert same_bits(kind.forward(x, out, 2.0), activations.elu(x, 2))
        assert same_bits(kind.backward(g, x, out, 2.0), activations.elu_backward(g, x, 2))
    empty = x[:0]
    assert same_bits(kind.forward(empty, None, 2.0), empty) and not calls
    frozen = layouts(x)["read-only"]
    assert same_bits(kind.forward(frozen, None, 2.0), kind.forward(x, None, 2.0)) and not calls

    memory = np.zeros(21, np.float32)
    overlapping = memory[:20].reshape(5, 4)
    expected = []
    for other in other_forms(x)[:-2]:
        for call in ((other, None, 2.0), (g, other, None, 2.0), (other, g, None, 2.0)):
            expected.append((kind, *call))
            (kind.forward if len(call) == 3 else kind.backward)(*call)
    for call in (
        (x, frozen, 2.0), (x, y.T, 2.0), (x, y[:3], 2.0), (x, y.astype(np.float64), 2.0), (x, [], 2.0), (x, None, 2),
        (overlapping, memory[1:].reshape(5, 4), 2.0), (x, None, np.float64(2)), (None, None, 2.0),
    ):
        expected.append((kind, *call))
        kind.forward(*call)
    for call in (
        (g[:3], x, None, 2.0), (g.astype(np.float64), x, None, 2.0), (g, x, frozen, 2.0), (g, x, y[:3], 2.0),
        (overlapping, x, memory[1:].reshape(5, 4), 2.0), (g, x, None, 2), (None, x, None, 2.0),
    ):
        expected.append((kind, *call))
        kind.backward(*call)
    assert [[id(a) for a in call] for call in calls] == [[id(a) for a in call] for call in expected]

    long = _chanconv.Kind("relu", (), lambda *a: "long", lambda *a: "long", False)
    assert long.forward(x) == long.backward(g, x) == "long"


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "glu"])
def test_which_arrays_take_the_short_way_along_an_axis(name):
    calls = []
    kind = _chanconv.AxisKind(name, lambda *a: calls.append(a), lambda *a: calls.append(a), True)
    x = RNG.normal(size=(6, 4)).astype(np.float32)
    for axis in (0, 1, -1, -2):
        y = get(name, axis=axis).forward(x)
        for out in (None, np.zeros_like(y)):
            assert same_bits(kind.forward(x, axis, out), y)
        for out in (None, np.zeros_like(x)):
            assert same_bits(kind.backward(y, x, axis, out), get(name, axis=axis).backward(y, x))
    assert not calls
    y = kind.forward(x, 1)
    forward = [(form, 1, None) for form in other_forms(x)] + [
        (x, 2, None), (x, -3, None), (x, 2**70, None), (x, True, None), (x, np.int64(1), None), (x, 1, y[:3]),
        (x, 1, y.astype(np.float64)), (x, 1, y.ravel()), (x[0, 0], 0, None), (x[:0], 1, None),
    ]
    backward = [(form, x, 1, None) for form in other_forms(y)] + [(y, form, 1, None) for form in other_forms(x)] + [
        (y, x, 2, None), (y[:3], x, 1, None), (y, x, 1, x[:3]), (y.ravel(), x, 1, None),
    ]
    if name == "glu":  # which has no place in x
        forward += [(x[:, :3], 1, None), (x[:5], 0, None), (x, 1, x[:, :2])]
        backward += [(y[:, :1], np.ascontiguousarray(x[:, :3]), 1, None), (x.ravel()[:12].reshape(6, 2), x, 1, x)]
    for call in forward:
        assert kind.forward(*call) is None
    for call in backward:
        assert kind.backward(*call) is None
    expected = [(name, *call) for call in forward + backward]
    assert [[id(a) for a in call] for call in calls] == [[id(a) for a in call] for call in expected]


def test_the_short_way_gives_buffers_back():
    x, g, y, slope = np.ones((3, 4)), np.ones((3, 4)), np.zeros((3, 4)), np.ones(4)

    def calls():
        for kind in (get("elu"), get("softmax")):
            kind.forward(x, out=y), kind.backward(g, x, out=y), kind.forward(x, out=x)
        activations.prelu(x, slope, out=y), activations.prelu_backward(g, x, slope)
        for wrong in (
            lambda: activations.relu(x, out=y[:2]),
            lambda: activations.relu_backward(g[:2], x),
            lambda: activations.celu(x, 0.0, out=y),
            lambda: activations.celu_backward(g, x, 0.0, out=y),
            lambda: activations.softmax(x, out=y[:2]),
            lambda: activations.softmax_backward(g, x, 2),
            lambda: activations.prelu(x, slope[:2], out=y),
            lambda: activations.prelu_backward(g, x, slope[:2]),
        ):
            with pytest.raises(ValueError):
                wrong()

    calls()
    held = [sys.getrefcount(array) for array in (x, g, y, slope)]
    for _ in range(5):
        calls()
    assert [sys.getrefcount(array) for array in (x, g, y, slope)] == held


def test_partial_overlap():
    memory = np.zeros(20)
    x, shifted = memory[:10], memory[1:11]
    for call in (
        lambda: activations.relu(x, out=shifted),
        lambda: activations.relu_backward(np.ones(10), x, out=shifted),
        lambda: activations.relu_backward(x, np.ones(10), out=shifted),
        lambda: activations.relu_backward(shifted, x, out=shifted),
        lambda: activations.softmax(x, out=x[::-1]),
        lambda: activations.glu(memory, out=x),
        lambda: activations.glu_backward(x, memory, out=memory),
        lambda: activations.prelu(x, x, out=x),
    ):
        with pytest.raises(ValueError, match="^out: .*overlap"):
            call()
    interleaved = np.arange(20.0)  # shares no element, though the ranges of addresses overlap
    np.testing.assert_array_equal(activations.identity(interleaved[::2], out=interleaved[1::2]), np.arange(0.0, 20, 2))


# ---- Forms of arguments ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (0,), (1,), (0, 3), (2, 0, 4), (1,) * 12, (2, 3, 2, 2, 2)])
def test_shapes(shape, dtype):
    for activation in ELEMENTWISE:
        x = np.full(shape, 0.375, dtype)
        assert activation.forward(x).shape == backward(activation, x).shape == shape
        assert activation.forward(x).dtype == backward(activation, x).dtype == dtype


@pytest.mark.parametrize("activation", EVERY, ids=repr)
def test_float16_is_rounded_once(activation):
    x = np.float16(RNG.normal(0, 3, (9, 8)))
    g = np.float16(RNG.normal(size=activation.forward(x).shape))
    with np.errstate(all="ignore"):
        assert same_bits(activation.forward(x), activation.forward(np.float32(x)).astype(np.float16))
        expected = activation.backward(np.float32(g), np.float32(x)).astype(np.float16)
        assert same_bits(activation.backward(g, x), expected)
        assert same_bits(activation.backward(g, x, out=np.empty_like(x)), expected)


def test_common_type():
    x, g = np.float32([1.0, -1.0]), np.float64([2.0, 2.0])
    assert activations.relu_backward(g, x).dtype == np.float64
    assert activations.relu_backward([1, 2], x).dtype == np.float64
    assert activations.prelu(x, 0.1).dtype == np.float32
    assert activations.prelu(x, np.float64(0.1)).dtype == np.float64
    assert activations.prelu_backward(x, x, np.float16(0.5)).slope.dtype == np.float32


@pytest.mark.parametrize(
    "x", [[1, 2], np.array([True]), np.array([1j]), np.array([1], np.longdouble), np.array(["a"]), None, "x",
          np.array([None]), np.ma.masked_array([1.0, 2.0], [True, False])], ids=repr)  # fmt: skip
def test_what_is_no_array_of_floats(x):
    for activation in EVERY:
        with pytest.raises(TypeError, match="^x: "):
            activation.forward(x)
    with pytest.raises(TypeError, match="^grad_output: "):
        activations.relu_backward(x, 1 if isinstance(x, (list, np.ndarray)) else np.ones(2))


def test_wrong_out():
    x, frozen = np.zeros((2, 3)), np.zeros((2, 3))
    frozen.flags.writeable = False
    for error, out in (
        (TypeError, [0.0]), (TypeError, np.zeros((2, 3), np.float32)), (TypeError, np.zeros((2, 3), ">f8")),
        (ValueError, np.zeros((3, 2))), (ValueError, np.zeros(6)), (ValueError, frozen),
        (ValueError, np.broadcast_to(np.zeros(3), (2, 3))),
    ):  # fmt: skip
        for call in (activations.tanh, functools.partial(activations.tanh_backward, x), activations.softmax):
            with pytest.raises(error, match="^out: "):
                call(x, out=out)
    with pytest.raises(ValueError, match="^out: expected shape .2, 2."):
        activations.glu(np.zeros((2, 4)), out=np.zeros((2, 4)))


def test_wrong_gradient_shape():
    x = np.zeros((2, 4))
    for call in (activations.relu_backward, activations.softmax_backward, activations.glu_backward):
        with pytest.raises(ValueError, match="^grad_output: expected shape"):
            call(np.zeros((4, 2)), x)
    with pytest.raises(ValueError, match=r"^grad_output: expected shape \(2, 2\)"):
        activations.glu_backward(x, x)
    with pytest.raises(ValueError, match="^grad_output: expected shape"):
        activations.prelu_backward(np.zeros(8), x, 0.5)


@pytest.mark.parametrize(("name", "parameters", "error", "text"), [
    ("leaky_relu", {"negative_slope": NAN}, ValueError, "negative_slope: .*NaN"),
    ("leaky_relu", {"negative_slope": "0.1"}, TypeError, "negative_slope: expected a number, got str"),
    ("leaky_relu", {"negative_slope": True}, TypeError, "negative_slope: expected a number, got bool"),
    ("leaky_relu", {"negative_slope": 1j}, TypeError, "negative_slope: expected a number"),
    ("leaky_relu", {"negative_slope": [0.1]}, TypeError, "negative_slope: expected a number"),
    ("leaky_relu", {"negative_slope": 10**400}, ValueError, "negative_slope: expected a number"),
    ("elu", {"alpha": None}, TypeError, "alpha: expected a number, got NoneType"),
    ("celu", {"alpha": 0}, ValueError, "alpha: expected a number other than 0"),
    ("softplus", {"beta": 0}, ValueError, "beta: expected a number other than 0"),
    ("softplus", {"threshold": NAN}, ValueError, "threshold: .*NaN"),
    ("hard_tanh", {"low": 2}, ValueError, "low: expected at most high, 1, got 2"),
    ("hard_tanh", {"high": NAN}, ValueError, "high: .*NaN"),
    ("softshrink", {"threshold": -1}, ValueError, "threshold: expected at least 0, got -1"),
    ("hardshrink", {"threshold": NAN}, ValueError, "threshold: .*NaN"),
    ("threshold", {"threshold": 0, "value": NAN}, ValueError, "value: .*NaN"),
    ("threshold", {"threshold": 0}, TypeError, "value: threshold needs"),
    ("gelu", {"approximate": "erf"}, ValueError, "approximate: expected 'none' or 'tanh'"),
    ("gelu", {"approximate": True}, TypeError, "approximate: expected 'none' or 'tanh'"),
    ("softmax", {"axis": 1.0}, TypeError, "axis: expected an int, got float"),
    ("softmax", {"axis": False}, TypeError, "axis: expected an int, got bool"),
    ("relu", {"slope": 1}, TypeError, "slope: relu has no such parameter, it has none"),
    ("elu", {"out": None}, TypeError, "out: elu has no such parameter, it has alpha"),
])  # fmt: skip
def test_wrong_parameters(name, parameters, error, text):
    with pytest.raises(error, match=f"^{text}"):
        get(name, **parameters)
    if error is ValueError:
        with pytest.raises(error, match=f"^{text}"):
            getattr(activations, name)(np.zeros(3), **parameters)


def test_numbers_of_all_kinds_are_parameters():
    expected = get("elu", alpha=2.0)
    for two in (2, np.float32(2), np.int8(2), np.array(2.0)):
        assert get("elu", alpha=two) == expected


# ---- prelu -----------------------------------------------------------------------------------------------------------

PRELU_CHANNELS = [1, 2, 3, 7, 8, 15, 16, 17, 64, 100, 127, 128, 129, 255, 256, 257, 300, 513]


@pytest.mark.parametrize("channels", PRELU_CHANNELS)
@pytest.mark.parametrize("shared", [False, True])
def test_prelu(channels, shared, isa, dtype):
    """Integers: sums are exact."""
    for pixels in (1, 2, 3, 40, 500):
        x = RNG.integers(-8, 9, (pixels, channels)).astype(dtype)
        g = RNG.integers(-8, 9, (pixels, channels)).astype(dtype)
        slope = RNG.integers(-3, 4, () if shared else channels).astype(dtype)
        np.testing.assert_array_equal(activations.prelu(x, slope), np.where(x > 0, x, slope * x))
        gradients = activations.prelu_backward(g, x, slope)
        np.testing.assert_array_equal(gradients.x, np.where(x > 0, g, slope * g))
        terms = np.where(x > 0, 0, g * x)
        np.testing.assert_array_equal(gradients.slope, terms.sum() if shared else terms.sum(axis=0))


@pytest.mark.parametrize(("pixels", "channels"), [(300_000, 1), (90_000, 3), (5_000, 64), (700, 513)])
def test_prelu_gradient_with_threads(pixels, channels, threads, dtype):
    x, g = RNG.normal(size=(2, pixels, channels)).astype(dtype)
    slope = RNG.normal(size=channels).astype(dtype)
    gradients = activations.prelu_backward(g, x, slope)
    with chanconv.num_threads(1):
        alone = activations.prelu_backward(g, x, slope)
    assert same_bits(gradients.x, alone.x) and same_bits(gradients.slope, alone.slope)
    terms = np.where(x > 0, 0, g.astype(np.longdouble) * x)  # a plain sum of doubles errs by more than the bound
    bound = 40 * np.finfo(dtype).eps * np.sqrt((terms**2).sum(axis=0))  # far below that of a sum from end to end
    assert (np.abs(gradients.slope - terms.sum(axis=0)) <= bound).all()


def test_prelu_special_values(isa, dtype):
    x = np.array([[NAN, INF, -INF, -0.0]], dtype)
    slope = np.array([0.5, 0.5, 0.5, 0.5], dtype)
    np.testing.assert_array_equal(activations.prelu(x, slope), [[NAN, INF, -INF, 0]])
    gradients = activations.prelu_backward(np.ones_like(x), x, slope)
    np.testing.assert_array_equal(gradients.x, [[NAN, 1, 0.5, 0.5]])
    np.testing.assert_array_equal(gradients.slope, [NAN, 0, -INF, 0])


@pytest.mark.parametrize("slope", [0.25, -1.5, 0.0, -0.0, INF, NAN, 2, np.float32(0.25)], ids=repr)
def test_prelu_with_a_number(slope, dtype):
    """A number has the dtype of x, as in NumPy, and gives what the array of it gives."""
    x, g = RNG.normal(size=(2, 9, 5)).astype(dtype)
    x[0] = [NAN, INF, -INF, 0, -0.0]
    array = np.array(slope, dtype)
    for form in (x, np.asfortranarray(x), x.astype(np.float16)):
        result = activations.prelu(form, slope)
        assert result.dtype == form.dtype or isinstance(slope, np.float32)
        np.testing.assert_array_equal(result, activations.prelu(form, array.astype(result.dtype)))
        gradients = activations.prelu_backward(g.astype(form.dtype), form, slope)
        expected = activations.prelu_backward(g.astype(form.dtype), form, array.astype(gradients.x.dtype))
        assert gradients.x.dtype == gradients.slope.dtype == result.dtype and gradients.slope.shape == ()
        np.testing.assert_array_equal(gradients.x, expected.x)
        np.testing.assert_array_equal(gradients.slope, expected.slope)
    there = x.copy()
    assert activations.prelu(there, slope, out=there) is there
    np.testing.assert_array_equal(there, activations.prelu(x, slope))


def test_prelu_shapes():
    assert activations.prelu(np.float64(-2.0), 0.5) == -1
    assert activations.prelu_backward(1.0, -2.0, 0.5) == (0.5, -2)
    gradients = activations.prelu_backward(np.zeros((0, 3)), np.zeros((0, 3)), np.ones(3))
    assert gradients.x.shape == (0, 3) and gradients.slope.tolist() == [0, 0, 0]
    for slope in (np.ones(2), np.ones((1, 3)), np.ones((3, 1))):
        with pytest.raises(ValueError, match="^slope: expected a scalar or shape"):
            activations.prelu(np.ones((2, 3)), slope)


# ---- Along an axis ---------------------------------------------------------------------------------------------------


def softmax_of(x, axis):
    x = x.astype(np.longdouble)
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100]


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_softmax(axis, isa, dtype):
    eps = np.finfo(dtype).eps
    for size in SIZES:
        shape = [(size, 3, 5), (3, size, 20), (3, 4, size)][axis]
        x, g = RNG.normal(0, 4, (2, *shape)).astype(dtype)
        y = softmax_of(x, axis)
        bound = (6 + size / 2 + x.max(axis, keepdims=True) - x) * eps * y  # x - max(x) is rounded, and so is each sum
        assert (np.abs(activations.softmax(x, axis) - y) <= bound).all()
        expected = y * (g - (g * y).sum(axis, keepdims=True))
        scale = y * (np.abs(g) + (np.abs(g) * y).sum(axis, keepdims=True))
        assert (np.abs(activations.softmax_backward(g, x, axis) - expected) <= 40 * eps * scale).all()


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_log_softmax(axis, isa, dtype):
    eps = np.finfo(dtype).eps
    for size in SIZES:
        shape = [(size, 3, 5), (3, size, 20), (3, 4, size)][axis]
        x, g = RNG.normal(0, 4, (2, *shape)).astype(dtype)
        y = softmax_of(x, axis)
        value = activations.log_softmax(x, axis)
        rounding = 4 + size / 2  # of the sum of exponentials: eps / 2 for each
        assert (np.abs(value - np.log(y)) <= rounding * eps * (1 + np.abs(np.log(y)))).all()
        expected = g - y * g.astype(np.longdouble).sum(axis, keepdims=True)
        scale = np.abs(g) + y * np.abs(g).sum(axis, keepdims=True)
        assert (np.abs(activations.log_softmax_backward(g, x, axis) - expected) <= 40 * eps * scale).all()


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_gradient_along_an_axis_from_the_output(name, axis, isa, dtype):
    for shape in ((3, 4, 5), (2, 70, 3), (1, 2, 300), (2, 3000, 1)):
        activation = get(name, axis=axis)
        x, g = RNG.normal(size=(2, *shape)).astype(dtype) * 3
        y = activation.forward(x)
        share = softmax_of(x, axis)
        if name == "softmax":
            expected = share * (g - (g * share).sum(axis, keepdims=True))
        else:
            expected = g - share * g.sum(axis, keepdims=True, dtype=np.longdouble)
        terms = 1 + np.abs(g).max() + np.abs(g).sum(axis, keepdims=True) / 20
        error = np.abs(activation.backward_from_output(g, y) - expected)
        assert (error <= 8 * np.finfo(dtype).eps * terms).all()
        for form in (np.asfortranarray, lambda a: np.repeat(a, 2, axis=0)[::2]):
            assert same_bits(activation.backward_from_output(form(g), form(y)), activation.backward_from_output(g, y))
        there = g.copy()
        assert activation.backward_from_output(there, y, out=there) is there
        assert same_bits(there, activation.backward_from_output(g, y))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_glu(axis, isa, dtype):
    for size in SIZES:
        shape = [(2 * size, 3, 5), (3, 2 * size, 20), (3, 4, 2 * size)][axis]
        x = RNG.normal(0, 9, shape).astype(dtype)
        a, b = np.split(x.astype(np.longdouble), 2, axis)
        gate = 1 / (1 + np.exp(-b))
        tolerance = {"rtol": 4 * np.finfo(dtype).eps, "atol": 0}
        np.testing.assert_allclose(activations.glu(x, axis), (a * gate).astype(float), **tolerance)
        g = RNG.normal(size=a.shape).astype(dtype)
        expected = np.concatenate([g * gate, g * a * gate * (1 / (1 + np.exp(b)))], axis).astype(float)
        tolerance["rtol"] *= 2
        np.testing.assert_allclose(activations.glu_backward(g, x, axis), expected, **tolerance)


def test_glu_of_rows(isa, dtype):
    """Rows of any width, many of which are computed together, give the bits of their elements in one long row."""
    for half in [*range(1, 36), 50, 63, 64, 65, 100, 127, 129, 500]:
        x, g = RNG.normal(0, 3, (7, 2, half)).astype(dtype), RNG.normal(size=(7, half)).astype(dtype)
        rows, long_row = x.reshape(7, 2 * half), x.transpose(1, 0, 2).reshape(-1)
        assert same_bits(activations.glu(rows).ravel(), activations.glu(long_row))
        gradient = activations.glu_backward(g, rows).reshape(x.shape).transpose(1, 0, 2)
        assert same_bits(gradient.reshape(-1), activations.glu_backward(g.ravel(), long_row))


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "glu"])
@pytest.mark.parametrize(
    "shape", [(2, 6, 1000), (1, 40000, 3), (1, 2, 50000), (70000, 2, 1), (3, 20000, 1), (2, 500, 300)]
)
def test_large_blocks(name, shape, threads):
    """Columns give the same bits in one array as by themselves, whatever the cut of the work."""
    x = RNG.normal(size=shape).astype(np.float32)
    y = get(name, axis=1).forward(x)
    gradient = get(name, axis=1).backward(y, x)
    inner = sorted({0, shape[2] // 2, shape[2] - 1})
    part = x[-1:, :, inner] if shape[2] > 1 else x[-1:]
    assert same_bits(get(name, axis=1).forward(part), y[-1:, :, inner])
    assert same_bits(get(name, axis=1).backward(y[-1:, :, inner], part), gradient[-1:, :, inner])


def test_long_columns(isa, dtype):
    """Longer than the part whose weights the gradients keep."""
    x, g = RNG.normal(size=(2, 2, 2500, 3)).astype(dtype)
    wide_g = g.astype(np.longdouble)
    y = softmax_of(x, 1)
    tolerance = {"rtol": 200 * np.finfo(dtype).eps, "atol": 200 * np.finfo(dtype).eps}
    softmax = y * (wide_g - (wide_g * y).sum(1, keepdims=True))
    log_softmax = wide_g - y * wide_g.sum(1, keepdims=True)
    for columns in (slice(None), slice(1)):  # side by side in a vector, and across it
        part, g_part = (np.ascontiguousarray(a[..., columns]) for a in (x, g))
        np.testing.assert_allclose(activations.softmax_backward(g_part, part, 1), softmax[..., columns], **tolerance)
        result = activations.log_softmax_backward(g_part, part, 1)
        np.testing.assert_allclose(result, log_softmax[..., columns], **tolerance)


def test_rows_with_infinities(isa, dtype):
    rows = np.array([[1, -INF, 1], [-INF] * 3, [INF, 0, 1], [NAN, 0, 0], [0, NAN, 0], [0, 0, NAN]], dtype)
    expected = np.array([[0.5, 0, 0.5]] + [[NAN] * 3] * 5)
    for x, y in ((rows, expected), (rows.T.copy(), expected.T)):
        axis = 1 if x is rows else 0
        np.testing.assert_array_equal(activations.softmax(x, axis), y)
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(activations.log_softmax(x, axis), np.log(y), rtol=1e-6)


def test_softmax_of_huge_and_of_far_values(isa, dtype):
    np.testing.assert_allclose(activations.softmax(np.full(5, 1e38, dtype)), 0.2, rtol=1e-6)
    np.testing.assert_array_equal(activations.softmax(np.array([0, -1e30, -2000], dtype)), [1, 0, 0])
    np.testing.assert_array_equal(activations.log_softmax(np.array([0, -2000], dtype)), [0, -2000])


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "glu"])
def test_axis_arguments(name):
    x = np.zeros((2, 4, 6))
    for axis in (3, -4, 2**70):
        for call in (get(name, axis=axis).forward, functools.partial(get(name, axis=axis).backward, x)):
            with pytest.raises(ValueError, match="^axis: expected one of the 3 axes"):
                call(x)
    with pytest.raises(ValueError, match="^axis: expected one of the 0 axes"):
        get(name).forward(1.0)
    for shape in ((0,), (0, 4), (3, 0), (2, 0, 6)):
        empty = np.zeros(shape)
        assert get(name).forward(empty).size == get(name).backward(get(name).forward(empty), empty).size == 0


def test_glu_of_odd_size():
    for call in (activations.glu, functools.partial(activations.glu_backward, np.zeros((2, 2)))):
        with pytest.raises(ValueError, match=r"^axis: expected an axis of even size, got axis 1 of shape \(2, 5\)"):
            call(np.zeros((2, 5)))


# ---- By name ---------------------------------------------------------------------------------------------------------


def test_every_function_is_documented_and_named():
    functions = [name for name in activations.__all__ if inspect.isfunction(getattr(activations, name))]
    names = {name.removesuffix("_backward") for name in functions} - {"get", "prelu"}
    assert {activation.name for activation in EVERY} == names
    for name in functions:
        function = getattr(activations, name)
        text = inspect.getdoc(function)
        for parameter in inspect.signature(function).parameters:
            assert any(form in text for form in (f"{parameter} : ", f"{parameter}, ")), (name, parameter)
        assert "Parameters\n---" in text and "Returns\n---" in text
    for name in names:
        forward = inspect.signature(getattr(activations, name)).parameters
        gradient = inspect.signature(getattr(activations, f"{name}_backward")).parameters
        assert list(gradient.values())[1:] == list(forward.values())


@pytest.mark.parametrize("activation", EVERY, ids=repr)
def test_activation_objects(activation):
    for other in (
        copy.deepcopy(activation), pickle.loads(pickle.dumps(activation)),
        eval(repr(activation), {"Activation": Activation, "inf": INF}), get(activation.name, **activation.parameters),
    ):  # fmt: skip
        assert other == activation and hash(other) == hash(activation) and repr(other) == repr(activation)
    assert activation != get("threshold", threshold=99, value=0) and activation != activation.name
    x = np.array([[-1.0, 2.0]])
    function = getattr(activations, activation.name)
    assert same_bits(activation.forward(x), function(x, **activation.parameters))
    assert (activation.fused is None) == (activation in ALONG_AXIS)


FROM_OUTPUT = [a for a in EVERY if a.from_output] + [
    get("leaky_relu", negative_slope=2.5), get("threshold", threshold=-1, value=-1), get("hardshrink", threshold=-1),
]  # fmt: skip


@pytest.mark.parametrize("activation", FROM_OUTPUT, ids=repr)
def test_backward_from_output(activation, dtype):
    """The very gradient that x gives, infinities and kinks included, where the output tells which side x is on."""
    x = np.concatenate([points(dtype), [INF, -INF]]).astype(dtype)
    g = RNG.normal(size=x.shape).astype(dtype)
    if activation.name in _chanconv.AXIS:
        x = x[:-2] % 7
    g = g[: len(x)]
    got = activation.backward_from_output(g, activation.forward(x))
    if activation.name in _chanconv.AXIS:
        np.testing.assert_allclose(got, activation.backward(g, x), rtol=1e-4, atol=1e-6)
    else:
        np.testing.assert_array_equal(got, activation.backward(g, x))
    with pytest.raises(ValueError, match="^grad_output: expected shape"):
        activation.backward_from_output(g[1:], x)


def test_what_has_no_gradient_from_its_output():
    """Those whose output loses what the gradient needs, and those whose gradient at the output is another one."""
    names = {a.name for a in FROM_OUTPUT}
    assert names == {"identity", "relu", "relu6", "leaky_relu", "hard_tanh", "hardshrink", "threshold", "softmax", "log_softmax"}
    others = [a for a in EVERY if a.name not in names]
    for activation in (*others, get("leaky_relu", negative_slope=0), get("leaky_relu", negative_slope=-0.5),
                       get("threshold", threshold=0, value=1)):  # fmt: skip
        assert not activation.from_output
        with pytest.raises(ValueError, match="^y: the gradient of Activation"):
            activation.backward_from_output(np.ones(3), np.ones(3))


def test_repr_and_defaults():
    assert repr(get("gelu", approximate="tanh")) == "Activation('gelu', approximate='tanh')"
    assert repr(get("elu")) == repr(get("elu", alpha=1)) == "Activation('elu')"
    assert get("elu") == get("elu", alpha=1) != get("elu", alpha=2)
    assert dict(get("softplus").parameters) == {"beta": 1.0, "threshold": 20.0}


@pytest.mark.parametrize("name", ["RELU ", "Relu", "", "prelu", "gelu_tanh", "get", "relu_backward"])
def test_unknown_names(name):
    with pytest.raises(ValueError, match="^activation: expected one of celu, elu, .*, got"):
        get(name)


@pytest.mark.parametrize("name", [7, None, b"relu", np.tanh, ["relu"], get("relu")], ids=repr)
def test_names_that_are_no_string(name):
    with pytest.raises(TypeError, match="^activation: expected a name, got"):
        get(name)
