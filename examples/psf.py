# SPDX-License-Identifier: BSD-3-Clause
"""Blurs a photograph with a large point-spread function, that of a shaken camera, and undoes it as far as noise allows.

    python examples/psf.py

With kernels so large the convolution goes through Fourier transforms; the printed table shows from what size on. The
photograph is shipped beside this file (see data/README.md). One contact sheet is written to examples/output.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from filters import HERE, contact_sheet, gauss, load_photograph

import chanconv

SIZE = 61  # rows and columns of the point-spread function
NOISE = 0.002  # of the blurred photograph: half a step of eight bits
OPTIONS = {"padding": "same", "padding_mode": "reflect"}


def shaken_camera(size, seed=3):
    """The path of a point of light while the shutter is open, of sum 1: it swings about, a little out of focus."""
    rng = np.random.default_rng(seed)
    velocity = np.cumsum(rng.standard_normal((2000, 2)), 0)
    path = np.cumsum(velocity - velocity.mean(0), 0)
    path *= 0.36 * size / abs(path - path.mean(0)).max()
    image, _, _ = np.histogram2d(*(path - path.mean(0)).T, bins=size, range=[[-size / 2, size / 2]] * 2)
    image = chanconv.plane_conv(image, gauss(7, 0.8), padding="same")
    return (image / image.sum()).astype(np.float32)


def blur(planes, psf):
    """What a camera with this point-spread function sees: plane_conv does not flip, so the kernel is turned."""
    return chanconv.plane_conv(planes, psf[::-1, ::-1], **OPTIONS)


def blur_adjoint(planes, psf):
    """The transposed map: what the gradient of a plane convolution with respect to its image is."""
    turned = psf[::-1, ::-1]
    return chanconv.plane_conv_backward(planes, planes, turned, wrt="x", **OPTIONS).x


def unsharp_mask(planes, sigma, amount):
    """The image plus `amount` times what a Gaussian blur takes from it."""
    return planes + amount * (planes - blur(planes, gauss(SIZE, sigma)))


def richardson_lucy(seen, psf, iterations):
    """The image that most likely led to `seen`, by the method of Richardson and Lucy: positive, better step by step."""
    image = np.full_like(seen, seen.mean())
    weight = blur_adjoint(np.ones_like(seen), psf)
    for _ in range(iterations):
        image *= blur_adjoint(seen / blur(image, psf), psf) / weight
    return image


def best_time(planes, kernel, algorithm, rounds=5):
    """The least of some measurements, in milliseconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        chanconv.plane_conv(planes, kernel, algorithm=algorithm, **OPTIONS)
        times.append(1000 * (time.perf_counter() - start))
    return min(times)


def print_crossover(planes):
    """Which algorithm "auto" takes for kernels of growing size, and the time of each."""
    print("kernel    auto         direct          fft")
    for size in (3, 7, 11, 15, 31, 61):
        kernel, shape = gauss(size, size / 6), (*planes.shape[1:], 1)
        plan = chanconv.explain(shape, (size, size, 1, 1), **OPTIONS)
        times = (best_time(planes, kernel, algorithm) for algorithm in ("direct", "fft"))
        print(f"{size:3}x{size:<3}   {plan.algorithm:6} " + " ".join(f"{t:9.3f} ms" for t in times))


def error(planes, truth):
    """Root mean square difference, away from the edge, where the photograph does not say what lay beyond it."""
    inner = np.s_[:, SIZE // 2 : -(SIZE // 2), SIZE // 2 : -(SIZE // 2)]
    return float(np.sqrt(np.mean((planes[inner] - truth[inner]) ** 2)))


def panels(planes, psf, iterations):
    """(title, image) of each step from the photograph to its restoration."""
    rng = np.random.default_rng(0)
    seen = np.maximum(blur(planes, psf) + NOISE * rng.standard_normal(planes.shape, np.float32), 1e-4)
    few, many = (richardson_lucy(seen, psf, n) for n in (iterations // 8, iterations))
    rows = [("blurred, with noise", seen), ("unsharp mask, sigma 6", unsharp_mask(seen, 6, 1.5)),
            (f"Richardson-Lucy, {iterations // 8} steps", few), (f"Richardson-Lucy, {iterations} steps", many)]
    for title, image in rows:
        print(f"{title:32} error {error(image, planes):.4f}")
    larger = np.sqrt(np.kron(psf / psf.max(), np.ones((4, 4))))
    return [("photograph", planes), (f"point-spread function {SIZE}x{SIZE}, enlarged", larger), *rows]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", type=int, default=240, help="steps of the restoration")
    parser.add_argument("--output", type=Path, default=HERE / "output", help="folder for the picture")
    options = parser.parse_args(argv)

    planes = load_photograph()
    print_crossover(planes)
    start = time.perf_counter()
    steps = panels(planes, shaken_camera(SIZE), options.iterations)
    print(f"time: {time.perf_counter() - start:.1f} s")
    path = options.output / "psf.png"
    contact_sheet([steps[:3], steps[3:]], path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
