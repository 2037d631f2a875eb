# SPDX-License-Identifier: BSD-3-Clause
"""The examples run, print what they promise, and draw their pictures; their data is as its description says."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def load(name):
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name, *arguments):
    """What an example prints to (stdout, stderr)."""
    command = [sys.executable, EXAMPLES / f"{name}.py", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def picture_size(path):
    """Width and height from the header of a PNG file."""
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    return tuple(np.frombuffer(header[16:], ">u4"))


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("tqdm")
    return load("digits")


def test_digits_learns_in_a_few_epochs(tmp_path):
    pytest.importorskip("tqdm")
    pytest.importorskip("matplotlib")
    printed, progress = run("digits", "--epochs", 3, "--seed", 1, "--output", tmp_path / "new")
    assert re.search(r"epoch 3, loss 0\.\d+, accuracy \d\d\.\d\d%", progress)
    assert re.search(r"time per step: [\d.]+ ms", printed)
    accuracy = re.search(r"test accuracy: ([\d.]+)% \(\d+ of 359 images kept back\)", printed)
    assert float(accuracy[1]) > 85
    width, height = picture_size(tmp_path / "new" / "digits.png")
    assert width > 1000
    assert height > 400


def test_filters_draws_the_contact_sheet(tmp_path):
    pytest.importorskip("matplotlib")
    printed, _ = run("filters", "--output", tmp_path)
    for mode in ("zeros", "reflect", "symmetric", "replicate", "circular"):
        assert re.search(rf"15x15 .* {mode} +[\d.]+ ms", printed)
    assert min(picture_size(tmp_path / "filters.png")) > 600


def test_psf_restores_what_it_blurred(tmp_path):
    pytest.importorskip("matplotlib")
    printed, _ = run("psf", "--iterations", 16, "--output", tmp_path)
    algorithms = re.findall(r"^ *\d+x\d+ +(\w+) +[\d.]+ ms +[\d.]+ ms$", printed, re.MULTILINE)
    assert (algorithms[0], algorithms[-1]) == ("direct", "fft")
    blurred, *restored = (float(x) for x in re.findall(r"(?:noise|steps) +error ([\d.]+)", printed))
    assert blurred > restored[0] > restored[1] > 0
    assert min(picture_size(tmp_path / "psf.png")) > 600


def test_blur_and_its_adjoint(monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(EXAMPLES)
    psf = load("psf")
    kernel = psf.shaken_camera(31).astype(np.float64)
    assert kernel.sum() == pytest.approx(1)
    assert kernel.min() >= 0
    point = np.zeros((1, 80, 80))
    point[0, 40, 41] = 1
    np.testing.assert_allclose(psf.blur(point, kernel)[0, 25:56, 26:57], kernel, rtol=0, atol=1e-15)
    a, b = np.random.default_rng(0).random((2, 1, 70, 80))
    assert np.sum(psf.blur(a, kernel) * b) == pytest.approx(np.sum(a * psf.blur_adjoint(b, kernel)))


def test_the_digits_are_those_of_the_description(digits):
    with np.load(EXAMPLES / "data" / "digits.npz") as file:
        images, labels = file["images"], file["labels"]
    assert (images.shape, images.dtype, images.max()) == ((1797, 8, 8), np.uint8, 16)
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    (train, _), (test, _) = digits.load_digits(np.random.default_rng(0))
    assert (len(train), len(test)) == (1438, 359)
    together = np.concatenate([train, test]).reshape(1797, 64) * 16
    assert sorted(map(tuple, together)) == sorted(map(tuple, images.reshape(1797, 64)))


def test_moved_images_are_the_images_a_pixel_away(digits):
    image = np.zeros((1, 8, 8, 1), np.float32)
    image[0, 4, 4] = 1
    moved = digits.moved(np.repeat(image, 400, 0), np.random.default_rng(0))
    assert moved.shape == (400, 8, 8, 1)
    _, rows, columns, _ = np.nonzero(moved)
    assert set(zip(rows, columns, strict=True)) == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}
    assert 180 < np.count_nonzero((rows == 4) & (columns == 4)) < 270


def test_cross_entropy_and_its_gradient(digits):
    rng = np.random.default_rng(0)
    scores, labels = rng.standard_normal((3, 1, 1, 10)), np.array([2, 9, 2])
    loss, grad = digits.cross_entropy(scores, labels)
    p = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    assert loss == pytest.approx(-np.mean([np.log(p[i, 0, 0, label]) for i, label in enumerate(labels)]))
    direction, step = rng.standard_normal(scores.shape), 1e-6
    above, below = (digits.cross_entropy(scores + sign * step * direction, labels)[0] for sign in (1, -1))
    assert np.sum(grad * direction) == pytest.approx((above - below) / (2 * step), rel=1e-7)


def test_adam_takes_a_first_step_of_the_learning_rate(digits):
    network = digits.build(np.random.default_rng(0))
    optimiser = digits.Adam(network)
    before = {name: parameter.copy() for name, parameter in network.parameters.items()}
    for gradient in network.gradients.values():
        gradient[...] = np.where(np.arange(gradient.size).reshape(gradient.shape) % 2, -3, 7)
    optimiser.step(0.01)
    for name, parameter in network.parameters.items():
        step = -0.01 * np.sign(network.gradients[name])
        np.testing.assert_allclose(parameter - before[name], step, rtol=1e-3)


def test_the_filters_are_what_their_names_say():
    pytest.importorskip("matplotlib")
    filters = load("filters")
    assert filters.gauss(15, 3).sum() == pytest.approx(1)
    assert filters.motion(15).sum() == pytest.approx(1)
    row, column = np.mgrid[-1:2, -1:2].astype(np.float32)
    ramp = 3 * column + 5 * row + 7
    assert np.sum(filters.SOBEL * ramp) == 8 * 3
    assert np.sum(filters.SOBEL.T * ramp) == 8 * 5
    assert np.sum(filters.LAPLACE * ramp) == 0
    assert np.sum(filters.LAPLACE * column**2) == 2
    assert filters.EMBOSS.sum() == 1
    planes = filters.load_photograph()
    assert (planes.shape, planes.dtype) == ((3, 288, 288), np.float32)
    assert 0 <= planes.min() < planes.max() <= 1
