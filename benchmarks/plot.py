#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Draws what `run.py --json` wrote: for each pass, over all layers, the ratio to the best peer and how near chanconv comes
to what the machine allows."""
import argparse
import json
from math import log2

import matplotlib
from matplotlib.figure import Figure
from PIL import Image  # which Matplotlib needs as well

from layers import PASSES
import report

matplotlib.use("Agg")
FASTER, SLOWER, BOUND, MORE = "#2a7f62", "#b3432b", "#7a93b8", "#c8902f"
TITLES = {"forward": "forward", "grad_x": "gradient of x", "grad_kernel": "gradient of the kernel"}
RATIO_MAX = 16  # longer bars end here, with their value
RATIO_TICKS = [0.5, 1, 2, 4, 8, 16]
PERCENT_MAX = 130  # likewise
SMALL = {"fontsize": 6.5, "verticalalignment": "center"}


def draw_ratios(axes, rows, ratios):
    """Bars from 1 to the ratio, on a logarithmic axis: to the right of 1 chanconv is faster."""
    for row, ratio in zip(rows, ratios, strict=True):
        if ratio is None:
            axes.text(1.04, row, "no peer", color="grey", **SMALL)
            continue
        end = min(ratio, RATIO_MAX)
        axes.barh(row, end - 1, left=1, height=0.75, color=FASTER if ratio >= 1 else SLOWER)
        inside = log2(end) > 2.8
        axes.text(end / 1.04 if inside else max(end, 1) * 1.04, row, f"{ratio:.{2 if ratio < 10 else 0}f}",
                  color="white" if inside else "black", horizontalalignment="right" if inside else "left", **SMALL)
    axes.set_xscale("log", base=2)
    axes.set_xlim(0.5, RATIO_MAX)
    axes.set_xticks(RATIO_TICKS, [f"{tick:g}" for tick in RATIO_TICKS])
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("times as fast as the best peer", fontsize=8)


def draw_percent(axes, rows, records):
    """Bars in percent of the machine's bound; Winograd and Fourier transforms, which need less than the direct sum, may
    pass 100."""
    for row, record in zip(rows, records, strict=True):
        percent = report.percent_of_bound(record)
        if percent is None:
            continue
        end = min(percent, PERCENT_MAX)
        axes.barh(row, end, height=0.75, color=MORE if record["algorithm"] in ("winograd", "fft") else BOUND)
        axes.text(3, row, f"{percent:.0f}", **SMALL)
    axes.set_xlim(0, PERCENT_MAX)
    axes.set_xticks([0, 50, 100])
    axes.axvline(100, color="black", linewidth=1)
    axes.set_xlabel("% of bound", fontsize=8)


def draw_pass(pair, records, names, what):
    """The two panels of one pass; a layer that was not measured leaves a gap."""
    found = {record["layer"]: record for record in records if record["pass"] == what}
    rows = [row for row, name in enumerate(names) if name in found]
    some = [found[names[row]] for row in rows]
    ratios = [report.ratio(record) for record in some]
    draw_ratios(pair[0], rows, ratios)
    draw_percent(pair[1], rows, some)
    known = [ratio for ratio in ratios if ratio]
    mean = f": {report.geometric_mean(known):.2f} in the geometric mean" if known else ""
    pair[0].set_title(TITLES[what] + mean, loc="left", fontsize=10)


def heading(about, threads):
    """What was measured, on what, in two lines."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if name != "chanconv")
    return (f"chanconv {about['versions']['chanconv']}, {about['dtype']}, {threads} thread{'s' if threads > 1 else ''}, "
            f"{about['processor']} ({about.get('isa', 'no peak')}), {about['clock']} time, {about['date']}\n"
            f"against {versions}")


LEGEND = (f"Wide columns: time of the fastest peer by chanconv's, on a logarithmic axis; green: chanconv is faster, red: "
          f"slower; cut at {RATIO_MAX}.\nNarrow columns: percent of what the machine's multiply-adds and memory allow the "
          f"direct sum; brown: Winograd or Fourier transforms, which need less; cut at {PERCENT_MAX}.")


def picture(written, threads):
    """A figure of the records with that number of threads."""
    records = [record for record in written["records"] if record["threads"] == threads]
    names = list(dict.fromkeys(record["layer"] for record in records))
    passes = [what for what in PASSES if any(record["pass"] == what for record in records)]
    figure = Figure(figsize=(1.5 + 4 * len(passes), 1.4 + 0.16 * len(names)), layout="constrained")
    panels = figure.subplots(1, 2 * len(passes), sharey=True, squeeze=False, width_ratios=[5, 3] * len(passes))[0]
    for i, what in enumerate(passes):
        draw_pass(panels[2 * i:2 * i + 2], records, names, what)
    panels[0].set_yticks(range(len(names)), names, fontsize=7.5)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    for axes in panels:
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
        axes.tick_params(axis="x", labelsize=7)
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(heading(written["about"], threads), fontsize=10)
    figure.supxlabel(LEGEND, fontsize=7.5)
    return figure


def save(written, path, threads=None):
    """The picture as a file."""
    picture(written, threads or written["records"][0]["threads"]).savefig(path, dpi=100)
    if str(path).endswith(".png"):  # few colours suffice, for a file of a third of the size
        with Image.open(path) as image:
            few = image.convert("RGB").quantize(128)
        few.save(path, optimize=True)


def main(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", help="written by run.py --json")
    parser.add_argument("image", help="to be written; the ending tells the format")
    parser.add_argument("--threads", type=int, help="which of the thread counts (default: the first)")
    options = parser.parse_args(argv)
    with open(options.json) as file:
        written = json.load(file)
    save(written, options.image, options.threads)


if __name__ == "__main__":
    main()
