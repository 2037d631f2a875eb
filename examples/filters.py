# SPDX-License-Identifier: BSD-3-Clause
"""Classic image filters over a photograph with chanconv.plane_conv, and what the padding modes do at the edge.

    python examples/filters.py

The photograph is shipped beside this file (see data/README.md). One contact sheet is written to examples/output.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import chanconv

HERE = Path(__file__).resolve().parent

SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
LAPLACE = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)
EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32)
PADDING_MODES = ("zeros", "reflect", "symmetric", "replicate", "circular")
BEYOND = 70  # pixels outside the photograph, to show what a padding mode puts there


def gauss(size, sigma):
    """The product of two bell curves, of sum 1."""
    curve = np.exp(-0.5 * (np.arange(size) - size // 2) ** 2 / sigma**2)
    return (np.outer(curve, curve) / curve.sum() ** 2).astype(np.float32)


def motion(size):
    """A diagonal line of sum 1: the blur of a camera that moves down to the right."""
    return np.eye(size, dtype=np.float32) / size


def load_photograph():
    """The photograph's three colours as a stack of planes, (3, H, W), in 0 .. 1."""
    import matplotlib.image

    image = matplotlib.image.imread(HERE / "data" / "pagoda.png")
    return np.moveaxis(image[..., :3], -1, 0)


def filtered(planes, kernel, padding="same", padding_mode="reflect"):
    """`plane_conv`, with a line about it."""
    start = time.perf_counter()
    result = chanconv.plane_conv(planes, kernel, padding=padding, padding_mode=padding_mode)
    milliseconds = 1000 * (time.perf_counter() - start)
    height, width = kernel.shape
    print(f"{planes.shape!s:13}  {height:2}x{width:<2}  {padding!s:7}  {padding_mode:9}  {milliseconds:8.3f} ms")
    return result


def filter_panels(planes):
    """(title, image) of each filter."""
    grey = np.tensordot(np.float32([0.299, 0.587, 0.114]), planes, 1)
    across, down = filtered(grey, SOBEL), filtered(grey, SOBEL.T)
    return [
        ("photograph", planes),
        ("Sobel 3x3: change to the right", 0.5 + across / 4),
        ("Sobel 3x3: strength of edges", np.hypot(across, down) / 2),
        ("Laplace 3x3: second derivative", 0.5 + filtered(grey, LAPLACE)),
        ("emboss 3x3", filtered(planes, EMBOSS)),
        ("Gauss 15x15, sigma 3", filtered(planes, gauss(15, 3))),
    ]


def padding_panels(planes):
    """(title, image) of the motion blur, and of what each padding mode lets it see beyond the edge."""
    kernel = motion(15)
    reach = BEYOND + len(kernel) // 2
    return [("motion blur 15x15", filtered(planes, kernel))] + [
        (f'{BEYOND} pixels beyond: "{mode}"', filtered(planes, kernel, reach, mode)) for mode in PADDING_MODES
    ]


def contact_sheet(rows, path):
    """Rows of (title, image) as one picture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns, width = len(rows[0]), rows[0][0][1].shape[-1]
    figure, grid = plt.subplots(len(rows), columns, figsize=(3 * columns, 3.3 * len(rows)), layout="constrained")
    for axes, (title, image) in zip(grid.flat, [panel for row in rows for panel in row], strict=True):
        image = np.clip(image, 0, 1)
        axes.imshow(np.moveaxis(image, 0, -1) if image.ndim == 3 else image, cmap="gray", vmin=0, vmax=1)
        axes.set_title(title, fontsize=11)
        axes.set_axis_off()
        if image.shape[-1] > width:
            axes.add_patch(plt.Rectangle((BEYOND, BEYOND), width, width, fill=False, color="white", linestyle=":"))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE / "output", help="folder for the picture")
    options = parser.parse_args(argv)

    planes = load_photograph()
    print("planes         kernel padding  mode               time")
    rows = [filter_panels(planes), padding_panels(planes)]
    path = options.output / "filters.png"
    contact_sheet(rows, path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
