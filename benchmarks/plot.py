#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Draws what `run.py --json` wrote: for each pass, over all layers, the ratio to the best peer and percent of peak."""
import argparse
import json

import matplotlib
from matplotlib.figure import Figure

from layers import PASSES
import report

matplotlib.use("Agg")
FASTER, SLOWER, PEAK = "#2a7f62", "#b3432b", "#4a6fa5"
TITLES = {"forward": "forward", "grad_x": "gradient of x", "grad_kernel": "gradient of the kernel"}


def draw_ratios(axes, rows, values):
    """Bars from 1 to the ratio, on a logarithmic axis: to the right of 1 chanconv is faster."""
    for row, value in zip(rows, values, strict=True):
        if value:
            axes.barh(row, value - 1, left=1, height=0.7, color=FASTER if value >= 1 else SLOWER)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("best peer's time / chanconv's")


def draw_percent(axes, rows, values):
    """Bars in percent of the multiply-add peak; Winograd may pass 100."""
    axes.barh(rows, [value or 0 for value in values], height=0.7, color=PEAK)
    axes.axvline(100, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlabel("% of multiply-add peak")


def draw_pass(pair, records, names, what):
    """The two panels of one pass; a layer that was not measured leaves a gap."""
    found = {record["layer"]: record for record in records if record["pass"] == what}
    rows = [row for row, name in enumerate(names) if name in found]
    some = [found[names[row]] for row in rows]
    draw_ratios(pair[0], rows, [report.ratio(record) for record in some])
    draw_percent(pair[1], rows, [report.percent_of_peak(record) for record in some])
    pair[0].set_title(TITLES[what], loc="left")


def picture(written, threads):
    """A figure of the records with that number of threads."""
    records = [record for record in written["records"] if record["threads"] == threads]
    names = list(dict.fromkeys(record["layer"] for record in records))
    passes = [what for what in PASSES if any(record["pass"] == what for record in records)]
    figure = Figure(figsize=(1.5 + 5 * len(passes), 1.6 + 0.17 * len(names)), layout="constrained")
    panels = figure.subplots(1, 2 * len(passes), sharey=True, squeeze=False)[0]
    for i, what in enumerate(passes):
        draw_pass(panels[2 * i:2 * i + 2], records, names, what)
    panels[0].set_yticks(range(len(names)), names, fontsize=7)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    for axes in panels:
        axes.grid(axis="x", alpha=0.3)
        axes.tick_params(axis="x", labelsize=7)
    about = written["about"]
    figure.suptitle(f"chanconv, {about['processor']}, {about.get('isa', '')} {about['dtype']}, {threads} thread(s), "
                    "against " + ", ".join(f"{n} {v}" for n, v in about["versions"].items() if n != "chanconv"))
    return figure


def main(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", help="written by run.py --json")
    parser.add_argument("image", help="to be written; the ending tells the format")
    parser.add_argument("--threads", type=int, help="which of the thread counts (default: the first)")
    options = parser.parse_args(argv)
    with open(options.json) as file:
        written = json.load(file)
    picture(written, options.threads or written["records"][0]["threads"]).savefig(options.image, dpi=110)


if __name__ == "__main__":
    main()
