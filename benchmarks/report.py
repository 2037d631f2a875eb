#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Records of run.py as lines of text. As a program: what `run.py --json` wrote as a table of layers and passes."""
import argparse
import json
from math import exp, log
from pathlib import Path
import platform


class Progress:
    """``tqdm`` where it is installed: ``progress(items)`` is `items` with a bar, ``progress.say(text)`` prints."""

    def __init__(self):
        try:
            from tqdm import tqdm
        except ImportError:
            self._tqdm = None
        else:
            self._tqdm = tqdm

    def __call__(self, items):
        return self._tqdm(items, disable=None, leave=False) if self._tqdm else items

    def say(self, text):
        """Prints a line above the bar."""
        (self._tqdm.write if self._tqdm else print)(text)


def processor():
    """The processor's name for people."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def gflops(record, name="chanconv"):
    """GFLOP/s of engine `name` over nominal FLOPs."""
    return 1e-9 * record["flops"] / record["seconds"][name]


def percent_of_peak(record):
    """chanconv's rate in percent of the multiply-add peak measured beside it, or None."""
    return 100 * gflops(record) / record["peak_gflops"] if record["peak_gflops"] else None


def percent_of_bound(record):
    """What chanconv takes of the time that the machine needs at least for the direct sum, or None."""
    return 100 * max(record["bound"].values()) / record["seconds"]["chanconv"] if record["bound"] else None


def best_peer(record):
    """Name of the fastest peer, or None."""
    return min((name for name in record["seconds"] if name != "chanconv"), key=record["seconds"].get, default=None)


def ratio(record):
    """Time of the fastest peer by chanconv's time, or None: above 1 chanconv is faster."""
    peer = best_peer(record)
    return record["seconds"][peer] / record["seconds"]["chanconv"] if peer else None


def geometric_mean(values):
    """The geometric mean of positive numbers."""
    return exp(sum(map(log, values)) / len(values))


def heading(about):
    """What was measured, on what, in a few lines."""
    how = f"{about['clock']} time, {about['by']} of {about['rounds']} rounds"
    lines = [f"{about['processor']}, {about['dtype']}; {how}",
             ", ".join(f"{n} {v}" for n, v in about["versions"].items())]
    for threads, rate in about.get("peak_gflops", {}).items():
        lines.append(f"{threads} thread(s), {about['isa']}: multiply-adds {rate:.0f} GFLOP/s; memory in GB/s by what "
                     f"each works on: {_bandwidth(about['bandwidth'][threads])}")
    if about["load"] and about["load"][0] > 0.5:
        lines.append(f"NOTE: load {about['load'][0]:.1f}, others use this machine: distrust figures of several threads")
    return "\n".join(lines)


def _bandwidth(pairs):
    """Every other size in a few words."""
    return ", ".join(f"{size >> 10} KiB {rate:.0f}" for size, rate in pairs[::2])


COLUMNS = "{:<{width}} {:<11} {:>2} {:<9} {:>8} {:>7} {:>5} {:>6} {:>6} {:>6}  {}"
NAME_WIDTH = 17


def columns(width=NAME_WIDTH):
    """The line above the rows: all but the last column is chanconv's; `row` says what they are."""
    return COLUMNS.format("layer", "pass", "T", "algorithm", "us", "GFLOP/s", "%peak", "%bound", "MiB", "ratio",
                          "peers' GFLOP/s", width=width)


def _number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def row(record, width=NAME_WIDTH):
    """One record as a line; the best peer comes first. MiB: the workspace; ratio: best peer's time by chanconv's."""
    others = sorted((name for name in record["seconds"] if name != "chanconv"), key=record["seconds"].get)
    return COLUMNS.format(
        record["layer"], record["pass"], record["threads"], record["algorithm"],
        _number(1e6 * record["seconds"]["chanconv"], 1), _number(gflops(record), 1),
        _number(percent_of_peak(record), 0), _number(percent_of_bound(record), 0),
        _number(record["workspace_bytes"] / 2 ** 20, 2), _number(ratio(record), 2),
        ", ".join(f"{name} {gflops(record, name):.1f}" for name in others), width=width)


def summary(records):
    """Geometric means over the layers, per number of threads and pass."""
    lines = ["", "geometric means over the layers"]
    for threads in sorted({record["threads"] for record in records}):
        for what in dict.fromkeys(record["pass"] for record in records):
            some = [r for r in records if r["threads"] == threads and r["pass"] == what]
            lines.append(f"{what:<12} {threads} thread(s), {len(some)} layers: {_means(some)}")
    return "\n".join(lines)


def _cell(record):
    """Algorithm, percent of peak and ratio to the best peer in a word."""
    if record is None:
        return ""
    return f"{record['algorithm']} {_number(percent_of_peak(record), 0)} % {_number(ratio(record), 2)}"


def layer_table(records):
    """A Markdown table: a row per layer, in each pass the algorithm, percent of peak and ratio to the best peer."""
    passes = list(dict.fromkeys(record["pass"] for record in records))
    found = {(record["layer"], record["pass"]): record for record in records}
    rows = [["layer", *passes], ["---"] * (1 + len(passes))]
    for layer in dict.fromkeys(record["layer"] for record in records):
        rows.append([layer, *(_cell(found.get((layer, what))) for what in passes)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _means(records):
    """Means of `records` in words."""
    parts = [f"{geometric_mean([gflops(r) for r in records]):.1f} GFLOP/s"]
    if all(r["peak_gflops"] for r in records):
        parts.append(f"{geometric_mean([percent_of_peak(r) for r in records]):.0f} % of peak, "
                     f"{geometric_mean([percent_of_bound(r) for r in records]):.0f} % of the machine's bound")
    ratios = [ratio(r) for r in records if best_peer(r)]
    if ratios:
        parts.append(f"ratio to the best peer {geometric_mean(ratios):.2f} "
                     f"(faster in {sum(x > 1 for x in ratios)} of {len(ratios)})")
    return ", ".join(parts)


def main(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", type=Path, help="written by run.py --json")
    written = json.loads(parser.parse_args(argv).json.read_text())
    print(heading(written["about"]))
    for threads in dict.fromkeys(record["threads"] for record in written["records"]):
        some = [record for record in written["records"] if record["threads"] == threads]
        print(f"\n{threads} thread(s): algorithm, % of peak, ratio to the best peer\n")
        print(layer_table(some), summary(some), sep="\n")


if __name__ == "__main__":
    main()
