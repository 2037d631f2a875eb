#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Draws docs/activations.png: every elementwise activation and its derivative, as chanconv computes them.

``python scripts/plot_activations.py [FILE]``. Needs matplotlib.
"""

import argparse
import pathlib

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

from chanconv import activations

FILE = pathlib.Path(__file__).parents[1] / "docs" / "activations.png"

# In the order of docs/activations.md; with parameters where the default would not show what they do.
SHOWN = [
    ("relu", {}), ("relu6", {}), ("leaky_relu", {"negative_slope": 0.1}), ("elu", {}), ("selu", {}),
    ("celu", {"alpha": 2.0}), ("gelu", {}), ("gelu", {"approximate": "tanh"}), ("silu", {}), ("mish", {}),
    ("sigmoid", {}), ("log_sigmoid", {}), ("hard_sigmoid", {}), ("hard_silu", {}), ("tanh", {}),
    ("hard_tanh", {}), ("softplus", {}), ("softsign", {}), ("tanhshrink", {}), ("softshrink", {"threshold": 1.0}),
    ("hardshrink", {"threshold": 1.0}), ("threshold", {"threshold": 1.0, "value": -1.0}),
]  # fmt: skip
COLUMNS, WIDTH = 6, 7.0  # plots in a row; x goes from -WIDTH to WIDTH
VALUE, DERIVATIVE = "#1f5fa8", "#d9792b"


def pieces(x, y):
    """y with gaps where it jumps, so that no line is drawn there."""
    y = y.copy()
    y[1:][np.abs(np.diff(y)) > 0.1] = np.nan
    return x, y


def draw(axes, name, parameters):
    """One activation with its derivative."""
    activation = activations.get(name, **parameters)
    x = np.linspace(-WIDTH, WIDTH, 1401)
    axes.axhline(0, color="0.75", linewidth=0.6, zorder=0)
    axes.axvline(0, color="0.75", linewidth=0.6, zorder=0)
    axes.plot(*pieces(x, activation.backward(np.ones_like(x), x)), color=DERIVATIVE, linewidth=1.1)
    axes.plot(*pieces(x, activation.forward(x)), color=VALUE, linewidth=1.6)
    values = ", ".join(str(value) if isinstance(value, str) else f"{value:g}" for value in parameters.values())
    axes.set_title(f"{name}({values})" if values else name, fontsize=8.5, family="monospace", pad=3)
    axes.set(xlim=(-WIDTH, WIDTH), ylim=(-2.2, 4.2), xticks=(-5, 0, 5), yticks=(-2, 0, 2, 4))
    axes.tick_params(labelsize=6.5, length=2, width=0.5, pad=1.5)
    for side in axes.spines.values():
        side.set_color("0.8")


def sheet():
    """The figure."""
    rows = -(-len(SHOWN) // COLUMNS)
    figure, grid = plt.subplots(rows, COLUMNS, figsize=(10.5, 1.78 * rows), sharex=True, sharey=True)
    for axes, (name, parameters) in zip(grid.flat, SHOWN, strict=False):
        draw(axes, name, parameters)
    for axes in grid.flat[len(SHOWN) :]:
        axes.axis("off")
    for axes in grid[-2, len(SHOWN) % COLUMNS :] if len(SHOWN) % COLUMNS else ():
        axes.tick_params(labelbottom=True)
    lines = [plt.Line2D([], [], color=VALUE, linewidth=1.6), plt.Line2D([], [], color=DERIVATIVE, linewidth=1.1)]
    grid.flat[len(SHOWN)].legend(lines, ["value", "derivative"], fontsize=9, frameon=False, loc="center left")
    figure.tight_layout(pad=0.5, h_pad=0.7, w_pad=0.5)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("file", nargs="?", type=pathlib.Path, default=FILE)
    file = parser.parse_args().file
    sheet().savefig(file, dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main()
