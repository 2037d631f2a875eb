#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks, then times, chanconv and its peers over the layers of well-known networks: see README.md."""
import argparse
from datetime import date
from functools import partial
from importlib import import_module
from itertools import product
import os
from pathlib import Path
import platform
import sys

from check import WrongResult, expected
from families import FAMILIES, draw
from layers import PASSES, Problem, select
from measure import STATISTICS, measure
import memory
from peak import PROBE_FLOPS, find as find_peak
from peers import PEERS, Chanconv, installed
import report
from results import Results
from timing import CLOCKS, interleave

ONEDNN_ISA = {"generic": "SSE41", "avx2": "AVX2", "avx512": "AVX512_CORE"}


def parse(argv):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--layers", nargs="+", default=["*"], metavar="GLOB",
        help="names of layers.py (default: all), or layers written as 1x56x56x64-128.k3s2p1d1g1")
    add("--random", type=int, metavar="COUNT", help="instead: so many layers, drawn from the kinds of families.py")
    add("--seed", type=int, default=0, help="of these; the same seed draws the same (default: 0)")
    add("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES, metavar="NAME", help="default: all")
    add("--passes", nargs="+", default=PASSES, choices=PASSES)
    add("--threads", nargs="+", type=int, default=[1], metavar="T", help="one or more thread counts (default: 1)")
    add("--dtype", default="float32", choices=["float32", "float64"])
    add("--batch", type=int, metavar="N", help="number of images instead of the layer's own")
    add("--rounds", type=int, default=9, help="samples per call (default: 9)")
    add("--sample", type=float, default=0.01, metavar="SECONDS", help="least length of a sample (default: 0.01)")
    add("--by", default="median", choices=STATISTICS, help="what of the samples counts (default: median)")
    add("--clock", default="wall", choices=CLOCKS, help="cpu: one thread's, for a machine that others use")
    add("--peers", nargs="*", choices=[peer.name for peer in PEERS], help="default: all; with --isa PyTorch alone")
    add("--algorithm", default="auto", help="chanconv's algorithm (default: auto)")
    add("--isa", choices=["generic", "avx2", "avx512", "neon"],
        help="hold chanconv, the peak and PyTorch, but for its matrix products, to an instruction set")
    add("--reuse-output", action="store_true", help="chanconv writes to one array; peers still allocate")
    add("--memory", action="store_true", help="also measure the memory that chanconv's calls take")
    add("--limit", type=float, default=20, metavar="SECONDS",
        help="peers whose call would take longer are left out (default: 20)")
    add("--json", type=Path, metavar="FILE", help="write everything there, after every line of the table")
    add("--resume", action="store_true", help="measure only what FILE does not have")
    add("--picture", metavar="FILE", help="draw it there at the end, as plot.py does")
    options = parser.parse_args(argv)
    if options.peers is None:
        options.peers = [peer.name for peer in PEERS if peer.follows_isa or not options.isa]
    if options.clock == "cpu" and options.threads != [1]:
        parser.error("--clock cpu is for one thread")
    if options.resume and not options.json:
        parser.error("--resume: expected --json FILE as well")
    return options


def hold_isa(isa):
    """Holds libraries that are not yet imported to an instruction set."""
    if isa:
        os.environ["CHANCONV_ISA"] = isa
        if isa in ONEDNN_ISA:
            os.environ["ONEDNN_MAX_CPU_ISA"] = ONEDNN_ISA[isa]
            os.environ["ATEN_CPU_CAPABILITY"] = "default" if isa == "generic" else isa


def roofs(options, peak):
    """The machine's multiply-add rate, the best of a few samples, and its rates of memory, per number of threads."""
    rates = {"isa": peak.isa, "peak_gflops": {}, "bandwidth": {}}
    for threads in options.threads:
        calls = {"peak": partial(peak.gflops, options.dtype, threads)}
        least = min(interleave(calls, 5, 0, clock=CLOCKS[options.clock])["peak"])
        rates["peak_gflops"][threads] = 1e-9 * PROBE_FLOPS * threads / least
        rates["bandwidth"][threads] = peak.bandwidth(threads)
    return rates


def describe(options, engines, peak):
    """What was measured, on what."""
    how = ("dtype", "rounds", "sample", "by", "clock", "algorithm", "reuse_output", "batch")
    return {"machine": platform.machine(), "processor": report.processor(), "system": platform.platform(),
            "date": date.today().isoformat(), "python": platform.python_version(),
            "versions": {e.name: e.version for e in engines},
            **{name: getattr(options, name) for name in how},
            "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
            **(roofs(options, peak) if peak else {})}


def chosen(options):
    """The layers that were asked for."""
    if options.random:
        return draw(options.random, options.seed, options.families)
    return select(options.layers, options.batch)


def missing(layers, options, results, progress):
    """Problem, its float64 result and the numbers of threads it is still to be measured with, one after the other."""
    for layer, what in progress(list(product(layers, options.passes))):
        threads = [count for count in options.threads if not results.has(layer, what, count)]
        if threads:
            problem = Problem.random(layer, what, options.dtype)
            yield problem, expected(problem), threads


def suite(layers, options, engines, peak, results, progress):
    """Measures what is missing in `results`, with a line for each record, those that are there first."""
    width = max([report.NAME_WIDTH, *(len(layer.name) for layer in layers)])
    bandwidth = results.about.get("bandwidth", {})
    print(report.columns(width), *(report.row(record, width) for record in results.records), sep="\n")
    for problem, right, counts in missing(layers, options, results, progress):
        for threads in counts:
            try:
                results.add(measure(problem, right, engines, threads, options, peak, bandwidth.get(threads),
                                    progress.say))
                progress.say(report.row(results.records[-1], width))
            except WrongResult as error:
                results.wrong.append(f"{problem.layer.name} {problem.what}, {threads} threads: chanconv {error}")
                results.write()
                progress.say(f"WRONG {results.wrong[-1]}")
            except ValueError as error:  # an algorithm asked for by name that cannot do this shape
                progress.say(f"{problem.layer.name} {problem.what}: {error}")


def main(argv=None):
    """Runs the command line `argv`; returns 1 if a result of chanconv was wrong, 130 if it was interrupted, else 0."""
    options = parse(argv)
    layers = chosen(options)
    plot = import_module("plot") if options.picture else None  # before all, lest it be missing after all
    hold_isa(options.isa)
    engines = [Chanconv(options.algorithm, options.reuse_output), *installed(options.peers)]
    peak, why_not = find_peak(options.isa)
    results = Results(describe(options, engines, peak), options.json, options.resume)
    print(report.heading(results.about), *([why_not] if why_not else []), sep="\n")
    interrupted = False
    try:
        suite(layers, options, engines, peak, results, report.Progress())
    except KeyboardInterrupt:
        interrupted = True
    print(report.summary(results.records))
    if options.memory and not interrupted:
        results.written["memory"] = memory.in_child(options)
        print(memory.table(results.written["memory"]))
    results.write()
    if plot:
        plot.save(results.written, options.picture)
    return 1 if results.wrong else 130 if interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
