# SPDX-License-Identifier: BSD-3-Clause
"""Layers: gradients by finite differences, what is kept between the passes, descriptions, copies and files."""

import ast
import copy
import inspect
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import chanconv
from chanconv import activations
from chanconv.layers import Activation, Conv2D, ConvTranspose2D, DepthwiseConv2D, Layer, PReLU, Sequential


def images(*shape, dtype=np.float64, seed=1):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def small_network(dtype="float64", rng=0):
    return Sequential(
        Conv2D(2, 4, 3, padding="same", activation="silu", dtype=dtype, rng=rng),
        Sequential(DepthwiseConv2D(4, 3, 2, "same", dtype=dtype, rng=rng), PReLU(4, dtype=dtype)),
        ConvTranspose2D(4, 3, 2, 2, activation="tanh", dtype=dtype, rng=rng),
        Activation("leaky_relu", negative_slope=0.2),
    )


F64 = {"dtype": "float64", "rng": 3}
# How to make a layer, in float64, and the shape of an input.
LAYERS = {
    "conv": (lambda: Conv2D(3, 4, 3, **F64), (2, 5, 6, 3)),
    "conv unbatched": (lambda: Conv2D(3, 4, 3, **F64), (5, 6, 3)),
    "conv same stride": (lambda: Conv2D(2, 3, (3, 2), (2, 1), "same", **F64), (2, 5, 6, 2)),
    "conv groups dilation": (lambda: Conv2D(4, 6, 2, padding=(1, 2), dilation=2, groups=2, **F64), (1, 5, 4, 4)),
    "conv no bias": (lambda: Conv2D(2, 3, 1, bias=False, **F64), (2, 3, 3, 2)),
    "conv gelu": (lambda: Conv2D(2, 3, 3, padding=1, activation="gelu", **F64), (2, 4, 4, 2)),
    "conv softmax": (lambda: Conv2D(2, 3, 3, activation="softmax", **F64), (2, 4, 4, 2)),
    "conv object": (lambda: Conv2D(2, 3, 3, activation=activations.get("elu", alpha=0.5), **F64), (2, 4, 4, 2)),
    **{
        f"conv {mode}": (
            lambda mode=mode: Conv2D(2, 2, 3, padding=((1, 2), (0, 1)), padding_mode=mode, **F64),
            (1, 4, 5, 2),
        )
        for mode in ("reflect", "replicate", "circular", "symmetric")
    },
    "depthwise": (lambda: DepthwiseConv2D(3, 3, padding="same", **F64), (2, 4, 5, 3)),
    "depthwise multiplier": (lambda: DepthwiseConv2D(2, 3, 2, 1, multiplier=3, activation="tanh", **F64), (2, 5, 5, 2)),
    "transpose": (lambda: ConvTranspose2D(3, 2, 3, **F64), (2, 3, 4, 3)),
    "transpose unbatched": (lambda: ConvTranspose2D(3, 2, 2, 2, "same", **F64), (3, 4, 3)),
    "transpose stride": (
        lambda: ConvTranspose2D(2, 3, 3, 2, 1, output_padding=1, activation="mish", **F64),
        (2, 3, 3, 2),
    ),
    "transpose groups": (lambda: ConvTranspose2D(4, 6, 2, 3, dilation=2, groups=2, bias=False, **F64), (1, 2, 3, 4)),
    "activation": (lambda: Activation("softplus", beta=2), (2, 3, 3, 2)),
    "activation glu": (lambda: Activation("glu"), (2, 3, 3, 4)),
    "prelu": (lambda: PReLU(3, dtype="float64"), (2, 3, 4, 3)),
    "network": (small_network, (2, 4, 6, 2)),
}


@pytest.fixture(params=LAYERS)
def case(request):
    """A layer and an input."""
    make, shape = LAYERS[request.param]
    return make(), images(*shape)


def slope(function, array, step=1e-5):
    """The gradient of `function()` with respect to `array`, which is changed in place, by central differences."""
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        value = array[index]
        array[index] = value + step
        above = function()
        array[index] = value - step
        gradient[index] = (above - function()) / (2 * step)
        array[index] = value
    return gradient


# ---- The two passes -------------------------------------------------------------------------------------------------


def test_gradients_are_those_of_finite_differences(case):
    layer, x = case
    weights = images(*layer(x).shape, seed=2)

    def loss():
        return np.sum(weights * layer(x))

    layer.forward(x)
    grad_x = layer.backward(weights)
    np.testing.assert_allclose(grad_x, slope(loss, x), rtol=1e-6, atol=1e-8)
    assert grad_x.shape == x.shape
    for name, parameter in layer.parameters.items():
        np.testing.assert_allclose(layer.gradients[name], slope(loss, parameter), rtol=1e-6, atol=1e-8, err_msg=name)


def test_inference_is_forward(case):
    layer, x = case
    np.testing.assert_array_equal(layer(x), layer.forward(x))


def test_output_shape_is_the_shape_of_the_output(case):
    layer, x = case
    assert layer.output_shape(x.shape) == layer(x).shape
    assert layer.output_shape((7, *x.shape[-3:])) == (7, *layer(x).shape[-3:])


def test_accumulate_adds_to_the_gradients(case):
    layer, x = case
    grad_output = np.ones_like(layer.forward(x))
    layer.backward(grad_output)
    once = {name: gradient.copy() for name, gradient in layer.gradients.items()}
    grad_x = layer.backward(2 * grad_output, accumulate=True)
    np.testing.assert_allclose(grad_x, 2 * layer.backward(grad_output, accumulate=True), rtol=1e-13, atol=1e-14)
    for name, gradient in layer.gradients.items():
        np.testing.assert_allclose(gradient, 4 * once[name], rtol=1e-13, atol=1e-14)
    layer.backward(grad_output)
    for name, gradient in layer.gradients.items():
        np.testing.assert_array_equal(gradient, once[name])


def test_backward_needs_a_forward_pass(case):
    layer, x = case
    y = layer(x)  # inference does not count
    with pytest.raises(RuntimeError, match=f"call forward of {type(layer).__name__} first"):
        layer.backward(y)


def test_a_failed_forward_pass_is_not_differentiated():
    network = small_network()
    y = network.forward(images(1, 4, 4, 2))
    with pytest.raises(ValueError, match="x"):
        network.forward(images(1, 4, 4, 5))
    with pytest.raises(RuntimeError, match="forward"):
        network.backward(y)


def test_a_failed_backward_pass_changes_no_gradient():
    network = small_network()
    network.forward(images(1, 4, 4, 2))
    with pytest.raises(ValueError, match="grad_output"):
        network.backward(np.ones((1, 4, 4, 4)))
    assert not any(gradient.any() for gradient in network.gradients.values())


def test_a_gradient_of_the_wrong_shape_is_not_broadcast():
    layer = Conv2D(2, 3, 3, activation="relu")
    layer.forward(images(2, 5, 5, 2))
    for wrong in (np.float32(1), np.ones(3), np.ones((1, 3, 3, 3))):
        with pytest.raises(ValueError, match="grad_output"):
            layer.backward(wrong)


def test_parameters_are_float32_by_default_and_take_images_of_bytes():
    layer = Conv2D(3, 4, 3)
    y = layer.forward(np.full((2, 5, 5, 3), 7, np.uint8))
    layer.backward(np.ones_like(y))
    assert y.dtype == np.float32
    assert {array.dtype for array in (*layer.parameters.values(), *layer.gradients.values())} == {np.dtype("float32")}


def test_forward_keeps_no_more_than_its_backward_needs():
    def held(activation):
        """Bytes of the output and of what the layer keeps beside its input, by those of an array."""
        layer = Conv2D(8, 8, 3, padding="same", activation=activation, rng=0)
        x = images(4, 32, 32, 8, dtype=np.float32)
        layer.forward(x)
        tracemalloc.start()
        y = layer.forward(x)
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return size / y.nbytes

    for activation in (None, "identity", "relu", "relu6", "leaky_relu", "hard_tanh", "softmax"):  # the output tells enough
        assert held(activation) == pytest.approx(1, abs=0.1)
    for activation in ("gelu", "sigmoid", "hard_silu"):
        assert held(activation) == pytest.approx(2, abs=0.1)


def test_inference_in_many_threads():
    network = small_network()
    inputs = [images(2, 8, 8, 2, seed=seed) for seed in range(40)]
    expected = [network(x) for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        for y, alone in zip(pool.map(network, inputs), expected, strict=True):
            np.testing.assert_array_equal(y, alone)


def test_training_reduces_the_loss():
    """Another network of the same kind is the teacher."""
    network, x = small_network(rng=5), images(8, 6, 6, 2)
    wanted = small_network(rng=6)(x)
    losses = []
    for _ in range(100):
        error = network.forward(x) - wanted
        losses.append(np.mean(error**2))
        network.backward(error)
        for name, parameter in network.parameters.items():
            parameter -= 4e-3 * network.gradients[name]
    assert losses[-1] < 0.5 * losses[0]
    assert losses[-1] == min(losses)


# ---- Parameters -----------------------------------------------------------------------------------------------------


def test_parameters_have_these_shapes():
    def shapes(layer):
        return {name: array.shape for name, array in layer.parameters.items()}

    assert shapes(Conv2D(4, 6, (3, 2), groups=2)) == {"kernel": (3, 2, 2, 6), "bias": (6,)}
    assert shapes(DepthwiseConv2D(4, 3, multiplier=2)) == {"kernel": (3, 3, 1, 8), "bias": (8,)}
    assert shapes(ConvTranspose2D(4, 6, 3, groups=2)) == {"kernel": (3, 3, 3, 4), "bias": (6,)}
    assert shapes(Conv2D(1, 1, 1, bias=False)) == {"kernel": (1, 1, 1, 1)}
    assert shapes(PReLU(5)) == {"slope": (5,)}
    assert shapes(Activation("relu")) == {}


def test_gradients_have_the_keys_and_shapes_of_parameters(case):
    layer, _ = case
    assert list(layer.gradients) == list(layer.parameters)
    for name, parameter in layer.parameters.items():
        assert layer.gradients[name].shape == parameter.shape
        assert layer.gradients[name].dtype == parameter.dtype
        assert not layer.gradients[name].any()
    assert layer.parameter_count == sum(parameter.size for parameter in layer.parameters.values())


def test_parameters_updated_in_place_are_used():
    network, x = small_network(), images(1, 4, 4, 2)
    held = network.parameters["2.bias"]
    network[2].parameters["bias"] -= 100  # tanh of it is -1
    assert held[0] == -100
    np.testing.assert_array_equal(network(x), np.full((1, 4, 4, 3), -0.2))


def test_gradient_arrays_stay_the_same():
    network = small_network()
    held = network.gradients["1.0.kernel"]
    network.backward(network.forward(images(1, 4, 4, 2)))
    assert held.any()
    assert held is network.gradients["1.0.kernel"]


def test_assigning_a_parameter_writes_into_its_array():
    layer = Conv2D(1, 2, 1)
    held = layer.parameters["bias"]
    layer.parameters["bias"] = [1, 2]
    layer.parameters.update(bias=layer.parameters["bias"] + 1)
    np.testing.assert_array_equal(held, [2, 3])
    assert layer.parameters["bias"] is held
    with pytest.raises(ValueError, match="broadcast"):
        layer.parameters["bias"] = [1, 2, 3]


def test_names_of_parameters_are_fixed():
    parameters = Conv2D(1, 2, 1).parameters
    with pytest.raises(KeyError, match="weight"):
        parameters["weight"] = 1
    for change in (parameters.clear, parameters.popitem, lambda: parameters.pop("bias")):
        with pytest.raises(TypeError, match="fixed"):
            change()
    with pytest.raises(TypeError, match="fixed"):
        del parameters["bias"]
    assert list(parameters) == ["kernel", "bias"]


@pytest.mark.parametrize("make", [Conv2D, ConvTranspose2D])
def test_the_same_seed_gives_the_same_parameters(make):
    seeded, again, other = make(2, 3, 3, rng=7), make(2, 3, 3, rng=np.random.default_rng(7)), make(2, 3, 3, rng=8)
    np.testing.assert_array_equal(seeded.parameters["kernel"], again.parameters["kernel"])
    assert (seeded.parameters["kernel"] != other.parameters["kernel"]).any()
    wide = make(2, 3, 3, rng=7, dtype="float64").parameters["kernel"]
    np.testing.assert_array_equal(wide.astype(np.float32), seeded.parameters["kernel"])


def test_a_generator_goes_on_from_layer_to_layer():
    rng = np.random.default_rng(0)
    first, second = Conv2D(2, 2, 3, rng=rng), Conv2D(2, 2, 3, rng=rng)
    assert (first.parameters["kernel"] != second.parameters["kernel"]).any()


@pytest.mark.parametrize(
    ("call", "variance"),
    [
        ("Conv2D(64, 32, 3, activation='relu', rng=0)", 2 / (9 * 64)),
        ("Conv2D(64, 32, 3, groups=4, rng=0)", 2 / (9 * 16)),
        ("Conv2D(64, 32, 3, activation='tanh', rng=0)", 2 / (9 * 64 + 9 * 32)),
        ("DepthwiseConv2D(512, 5, rng=0)", 2 / 25),
        ("ConvTranspose2D(64, 32, 4, 2, activation='silu', rng=0)", 2 / (4 * 64)),
        ("ConvTranspose2D(64, 32, 4, activation='sigmoid', rng=0)", 2 / (16 * 64 + 16 * 32)),
    ],
)
def test_initial_kernels_have_the_variance_of_he_or_glorot(call, variance):
    layer = eval(call)
    kernel = layer.parameters["kernel"]
    assert kernel.var() == pytest.approx(variance, rel=0.1)
    assert abs(kernel.mean()) < 5 * np.sqrt(variance / kernel.size)
    assert not layer.parameters["bias"].any()
    assert ("tanh" in call or "sigmoid" in call) == (np.abs(kernel).max() <= np.sqrt(3 * variance))


def test_initial_kernels_keep_the_scale_through_a_deep_network():
    network = Sequential(
        *(Conv2D(16, 16, 3, padding=1, padding_mode="circular", activation="relu", rng=seed) for seed in range(12))
    )
    y = network(images(4, 8, 8, 16, dtype=np.float32))
    assert 0.1 < np.sqrt(np.mean(y**2)) < 10


# ---- Copies, files, descriptions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_compute_the_same_and_are_independent(case, duplicate):
    layer, x = case
    y = layer(x)
    layer.backward(layer.forward(x))
    twin = duplicate(layer)
    np.testing.assert_array_equal(twin(x), y)
    assert repr(twin) == repr(layer)
    for name, gradient in layer.gradients.items():
        np.testing.assert_array_equal(twin.gradients[name], gradient)
        twin.parameters[name] += 1
        twin.gradients[name] += 1
    np.testing.assert_array_equal(layer(x), y)
    with pytest.raises(RuntimeError, match="forward"):
        twin.backward(y)
    layer.backward(y)


def test_the_forward_state_is_not_pickled():
    layer = Conv2D(3, 4, 3, activation="relu")
    before = len(pickle.dumps(layer))
    layer.forward(images(4, 64, 64, 3))
    assert len(pickle.dumps(layer)) == before


def test_an_optimiser_of_a_copied_network_updates_the_copy():
    network = copy.deepcopy(small_network())
    network.parameters["0.bias"] += 1
    np.testing.assert_array_equal(network[0].parameters["bias"], 1)


def test_save_and_load(case, tmp_path):
    layer, x = case
    path = tmp_path / "parameters"
    layer.save(path)
    assert list(tmp_path.iterdir()) == [path]
    other = copy.deepcopy(layer)
    for parameter in other.parameters.values():
        parameter += 1
    held = dict(other.parameters)
    other.load(str(path))
    np.testing.assert_array_equal(other(x), layer(x))
    assert all(other.parameters[name] is array for name, array in held.items())


def test_a_saved_file_is_plain_npz(tmp_path):
    network = small_network()
    network.save(tmp_path / "network.npz")
    with np.load(tmp_path / "network.npz", allow_pickle=False) as file:
        assert set(file.files) == set(network.parameters)
        np.testing.assert_array_equal(file["1.1.slope"], np.full(4, 0.25))


def write_npz(path, **arrays):
    np.savez(path, **arrays)


GOOD = {"kernel": np.ones((1, 1, 2, 3), np.float32), "bias": np.ones(3, np.float32)}


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"kernel": GOOD["kernel"]}, r"expected the arrays \['bias', 'kernel'\], got \['kernel'\]"),
        ({**GOOD, "slope": GOOD["bias"]}, r"got \['bias', 'kernel', 'slope'\]"),
        ({**GOOD, "bias": np.ones(4, np.float32)}, r"'bias'.*expected shape \(3,\), got \(4,\)"),
        ({**GOOD, "kernel": GOOD["kernel"][0]}, r"'kernel'.*expected shape \(1, 1, 2, 3\), got \(1, 2, 3\)"),
        ({**GOOD, "bias": np.ones(3)}, "'bias'.*expected dtype float32, got float64"),
        ({**GOOD, "bias": np.array([1, None, "x"])}, "allow_pickle=False"),
    ],
)
def test_a_file_that_does_not_fit_changes_nothing(tmp_path, stored, message):
    path = tmp_path / "wrong.npz"
    write_npz(path, **stored)
    layer = Conv2D(2, 3, 1, rng=0)
    before = {name: array.copy() for name, array in layer.parameters.items()}
    with pytest.raises(ValueError, match=f"path: .*{message}"):
        layer.load(path)
    for name, array in layer.parameters.items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("damage", ["empty", "text", "npy", "half", "one byte"])
def test_a_damaged_file_changes_nothing(tmp_path, damage):
    path = tmp_path / "damaged.npz"
    write_npz(path, **GOOD)
    whole = path.read_bytes()
    middle = whole.index(b"\x00\x00\x80?") + 2  # in the first array's data
    if damage == "npy":
        with open(path, "wb") as file:
            np.save(file, GOOD["bias"])
    else:
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        contents = {"empty": b"", "text": b"kernel", "half": whole[: len(whole) // 2], "one byte": flipped}
        path.write_bytes(contents[damage])
    layer = Conv2D(2, 3, 1, rng=0)
    before = layer.parameters["kernel"].copy()
    with pytest.raises(ValueError, match=r"path: .*damaged\.npz"):
        layer.load(path)
    np.testing.assert_array_equal(layer.parameters["kernel"], before)


def test_a_missing_file_and_byte_order(tmp_path):
    layer = Conv2D(2, 3, 1)
    with pytest.raises(FileNotFoundError):
        layer.load(tmp_path / "missing.npz")
    write_npz(tmp_path / "swapped.npz", **{name: array.astype(">f4") for name, array in GOOD.items()})
    layer.load(tmp_path / "swapped.npz")
    np.testing.assert_array_equal(layer.parameters["kernel"], 1)


@pytest.mark.parametrize(
    "text",
    [
        "Conv2D(1, 8, 3)",
        "Conv2D(1, 8, (3, 5), stride=2, padding='same', dilation=(1, 2), bias=False, activation='relu')",
        "Conv2D(4, 8, 3, padding=((1, 2), (3, 4)), groups=2, padding_mode='reflect', dtype='float64')",
        "DepthwiseConv2D(8, 3, padding=1, multiplier=2)",
        "ConvTranspose2D(4, 8, 4, stride=2, padding=(1, 0), output_padding=1, groups=2)",
        "Activation('relu')",
        "Activation('leaky_relu', negative_slope=0.2)",
        "PReLU(3)",
        "PReLU(3, dtype='float64')",
        "Sequential(Conv2D(1, 8, 3), Sequential(Activation('tanh')))",
        "Sequential()",
    ],
)
def test_the_repr_is_the_call_that_makes_the_layer(text):
    assert repr(eval(text)) == text


def test_an_activation_object_is_described():
    activation = activations.get("leaky_relu", negative_slope=0.2)
    assert repr(activation) in repr(Conv2D(1, 1, 1, activation=activation))
    assert repr(Activation(activation)) == f"Activation({activation!r})"


def test_summary_is_a_table():
    assert small_network("float32").summary((5, 8, 8, 2)).splitlines() == [
        "layer                                                    output shape  parameters",
        "---------------------------------------------------------------------------------",
        "0 Conv2D(2, 4, 3, padding='same', activation='silu')     (5, 8, 8, 4)          76",
        "1.0 DepthwiseConv2D(4, 3, stride=2, padding='same')      (5, 4, 4, 4)          40",
        "1.1 PReLU(4)                                             (5, 4, 4, 4)           4",
        "2 ConvTranspose2D(4, 3, 2, stride=2, activation='tanh')  (5, 8, 8, 3)          51",
        "3 Activation('leaky_relu', negative_slope=0.2)           (5, 8, 8, 3)           0",
        "---------------------------------------------------------------------------------",
        "total                                                                         171",
    ]


def test_summary_of_one_layer_counts_in_thousands():
    rows = Conv2D(64, 128, 3).summary((9, 9, 64)).splitlines()
    assert rows[2].split() == ["Conv2D(64,", "128,", "3)", "(7,", "7,", "128)", "73,856"]


# ---- Sequential -----------------------------------------------------------------------------------------------------


def test_sequential_is_a_sequence():
    network = small_network()
    assert len(network) == 4
    assert list(network) == [network[0], network[1], network[2], network[-1]]
    tail = network[1:]
    assert isinstance(tail, Sequential)
    assert tail[0] is network[1]
    x = images(1, 4, 4, 2)
    np.testing.assert_array_equal(tail(network[0](x)), network(x))
    with pytest.raises(IndexError):
        network[4]


def test_sequential_names_parameters_by_index():
    assert list(small_network().parameters) == [
        "0.kernel", "0.bias", "1.0.kernel", "1.0.bias", "1.1.slope", "2.kernel", "2.bias",
    ]  # fmt: skip


def test_an_empty_sequential_is_the_identity():
    network, x = Sequential(), images(1, 2, 2, 1)
    assert network.forward(x) is x
    assert network.backward(x) is x
    assert network.output_shape(x.shape) == x.shape


def test_sequential_says_which_layer_an_error_comes_from():
    network = small_network()

    def notes(function, *arguments):
        with pytest.raises(ValueError, match="x|grad_output") as caught:
            function(*arguments)
        return caught.value.__notes__

    wrong = Sequential(Conv2D(2, 4, 3), network)
    assert notes(network, images(1, 4, 4, 3)) == [f"in layer 0: {network[0]!r}"]
    assert notes(wrong.forward, images(1, 6, 6, 2)) == [f"in layer 0: {network[0]!r}", f"in layer 1: {network!r}"]
    assert notes(wrong.summary, (6, 6, 2)) == [f"in layer 0: {network[0]!r}", f"in layer 1: {network!r}"]
    network.forward(images(1, 4, 4, 2))
    assert notes(network.backward, np.ones(5)) == [f"in layer 3: {network[3]!r}"]


def test_sequential_takes_different_layers():
    layer = PReLU(2)
    with pytest.raises(ValueError, match="more than once"):
        Sequential(layer, Sequential(layer))
    with pytest.raises(TypeError, match=r"layers\[1\]: expected a Layer, got str"):
        Sequential(layer, "relu")


def test_a_layer_of_ones_own():
    class Scale(Layer):
        def __init__(self):
            super().__init__(factor=np.array(2.0))

        def __call__(self, x):
            return self.parameters["factor"] * x

        def _forward(self, x):
            return self(x), (x,)

        def _backward(self, saved, grad_output):
            return self.parameters["factor"] * grad_output, {"factor": np.sum(saved[0] * grad_output)}

    network = Sequential(Scale(), Scale())
    x = images(2, 2, 1)
    np.testing.assert_array_equal(network.forward(x), 4 * x)
    np.testing.assert_array_equal(network.backward(x), 4 * x)
    assert network.gradients["0.factor"] == pytest.approx(2 * np.sum(x * x))


# ---- Bad arguments --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ("Conv2D(0, 1, 3)", ValueError, "in_channels: expected an int of at least 1, got 0"),
        ("Conv2D(1, -1, 3)", ValueError, "out_channels: expected an int of at least 1, got -1"),
        ("Conv2D(1.0, 1, 3)", TypeError, "in_channels: expected an int, got float"),
        ("Conv2D(1, 1, 0)", ValueError, "kernel_size: expected"),
        ("Conv2D(1, 1, (3, 0))", ValueError, "kernel_size: expected"),
        ("Conv2D(1, 1, (3, 3, 3))", ValueError, "kernel_size: expected"),
        ("Conv2D(1, 1, '3')", TypeError, "kernel_size: expected"),
        ("Conv2D(1, 1, 3, 0)", ValueError, "stride: expected"),
        ("Conv2D(1, 1, 3, 1.5)", TypeError, "stride: expected"),
        ("Conv2D(1, 1, 3, padding=-1)", ValueError, "padding: expected"),
        ("Conv2D(1, 1, 3, padding='full')", ValueError, "padding: expected"),
        ("Conv2D(1, 1, 3, padding=(1, 2, 3))", ValueError, "padding: expected"),
        ("Conv2D(1, 1, 3, dilation=0)", ValueError, "dilation: expected"),
        ("Conv2D(4, 6, 3, groups=4)", ValueError, "groups: expected a divisor of out_channels=6, got 4"),
        ("Conv2D(6, 4, 3, groups=4)", ValueError, "groups: expected a divisor of in_channels=6, got 4"),
        ("Conv2D(4, 4, 3, groups=0)", ValueError, "groups: expected"),
        ("Conv2D(1, 1, 3, bias=np.zeros(1))", TypeError, "bias: expected True or False, got ndarray"),
        ("Conv2D(1, 1, 3, activation='rely')", ValueError, "relu"),
        ("Conv2D(1, 1, 3, activation=Activation('relu'))", TypeError, "activation: expected"),
        ("Conv2D(1, 1, 3, activation=np.tanh)", TypeError, "activation: expected"),
        ("Conv2D(1, 1, 3, padding_mode='zero')", ValueError, "padding_mode: expected"),
        ("Conv2D(1, 1, 3, dtype='float16')", TypeError, "dtype: expected float32 or float64, got 'float16'"),
        ("Conv2D(1, 1, 3, dtype='real')", TypeError, "dtype: expected float32 or float64, got 'real'"),
        ("Conv2D(1, 1, 3, dtype=None)", TypeError, "dtype: expected float32 or float64, got None"),
        ("Conv2D(1, 1, 3, rng='seed')", TypeError, "rng: expected"),
        ("Conv2D(1, 1, 3, rng=-1)", ValueError, "rng: expected"),
        ("DepthwiseConv2D(0, 3)", ValueError, "channels: expected"),
        ("DepthwiseConv2D(2, 3, multiplier=0)", ValueError, "multiplier: expected"),
        ("DepthwiseConv2D(2, 3, groups=2)", TypeError, "groups"),
        ("ConvTranspose2D(1, 1, 3, padding_mode='reflect')", ValueError, "padding_mode: "),
        ("ConvTranspose2D(1, 1, 3, output_padding=1)", ValueError, "output_padding: expected"),
        ("ConvTranspose2D(1, 1, 3, 2, output_padding=-1)", ValueError, "output_padding: expected"),
        ("Activation('rely')", ValueError, "relu"),
        ("Activation('relu', slope=1)", TypeError, "slope"),
        ("Activation(np.tanh)", TypeError, "name_or_object: expected"),
        ("Activation(activations.get('relu'), alpha=1)", TypeError, "name_or_object: expected"),
        ("PReLU(0)", ValueError, "channels: expected"),
        ("PReLU(2, dtype=int)", TypeError, "dtype: expected"),
        ("Conv2D(1, 1, 3).output_shape((4, 4))", ValueError, "input_shape: expected"),
        ("Conv2D(1, 1, 3).output_shape(4)", TypeError, "input_shape: expected"),
        ("Conv2D(1, 1, 3).output_shape((2, 2, 1))", ValueError, "kernel: larger"),
    ],
)
def test_a_bad_argument_is_named(call, error, message):
    with pytest.raises(error, match=message):
        eval(call)


def test_the_geometry_is_checked_without_an_image():
    """Large kernels and dilations are no error; nor is padding that a small image could not have."""
    layer = Conv2D(1, 1, (1, 3), padding=1000, dilation=(1, 50_000), padding_mode="circular")
    assert layer.output_shape((1000, 200_000, 1)) == (3000, 102_000, 1)


def test_layers_are_found_in_the_package():
    assert chanconv.layers.Conv2D is Conv2D


@pytest.mark.parametrize("name", chanconv.layers.__all__)
def test_the_type_stub_has_the_constructor(name):
    tree = ast.parse(Path(chanconv.layers.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    (stub,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    for node in stub.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            defaults = [ast.literal_eval(default) for default in (*node.args.defaults, *node.args.kw_defaults)]
            parameters = inspect.signature(getattr(chanconv.layers, name)).parameters.values()
            named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
            assert [a.arg for a in (*node.args.args[1:], *node.args.kwonlyargs)] == [p.name for p in named]
            assert defaults == [p.default for p in named if p.default is not p.empty]


@pytest.mark.parametrize("use", [lambda layer: layer(1), lambda layer: layer.forward(1)])
def test_a_layer_without_passes(use):
    with pytest.raises(NotImplementedError):
        use(Layer())


def test_a_layer_without_a_backward_pass():
    class Identity(Layer):
        def __call__(self, x):
            return x

        def _forward(self, x):
            return x, ()

    layer = Identity()
    assert layer.forward(3) == layer(3) == 3
    with pytest.raises(NotImplementedError):
        layer.backward(1)


@pytest.mark.parametrize(
    ("layer", "fans"),
    [
        (Conv2D(4, 6, (3, 5), groups=2), (15 * 2, 15 * 3)),
        (Conv2D(4, 6, (5, 1), groups=2), (5 * 2, 5 * 3)),
        (ConvTranspose2D(4, 6, (3, 5), (2, 1), groups=2), (1.5 * 5 * 2, 15 * 3)),
        (ConvTranspose2D(4, 6, (4, 1), (2, 3), groups=2), (2 * 1 * 2, 4 * 3)),
        (ConvTranspose2D(4, 6, (1, 4), (3, 2), groups=2), (1 * 2 * 2, 4 * 3)),
    ],
    ids=str,
)
def test_fans(layer, fans):
    """How many values an output is the sum of, on average, and how many outputs a value goes to."""
    assert layer._fans() == fans
