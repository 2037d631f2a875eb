#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks, then times, chanconv and its peers over the layers of well-known networks: see README.md."""
import argparse
from functools import partial
from itertools import product
import json
import os
from pathlib import Path
import platform
from statistics import median
import sys

from check import WrongResult, compare, expected
from layers import PASSES, Problem, select
import memory
from peak import PROBE_FLOPS, find as find_peak
from peers import PEERS, Chanconv, installed
import report
from timing import CLOCKS, interleave

STATISTICS = {"median": median, "best": min}
ONEDNN_ISA = {"generic": "SSE41", "avx2": "AVX2", "avx512": "AVX512_CORE"}


def parse(argv):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--layers", nargs="+", default=["*"], metavar="GLOB", help="names of layers.py (default: all)")
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
    add("--json", type=Path, metavar="FILE", help="write everything there")
    options = parser.parse_args(argv)
    if options.peers is None:
        options.peers = [peer.name for peer in PEERS if peer.follows_isa or not options.isa]
    if options.clock == "cpu" and options.threads != [1]:
        parser.error("--clock cpu is for one thread")
    return options


def hold_isa(isa):
    """Holds libraries that are not yet imported to an instruction set."""
    if isa:
        os.environ["CHANCONV_ISA"] = isa
        if isa in ONEDNN_ISA:
            os.environ["ONEDNN_MAX_CPU_ISA"] = ONEDNN_ISA[isa]
            os.environ["ATEN_CPU_CAPABILITY"] = "default" if isa == "generic" else isa


def checked_jobs(problem, right, engines, say):
    """Jobs whose results are right, and their errors; a line for a peer that is wrong, WrongResult for chanconv."""
    jobs, errors = {}, {}
    for engine in engines:
        job = engine.prepare(problem)
        if job is None:
            continue
        try:
            errors[engine.name] = compare(job.result(job.call()), right, problem)
            jobs[engine.name] = job
        except WrongResult as error:
            if engine.name == Chanconv.name:
                raise
            say(f"{problem.layer.name} {problem.what}: {engine.name} {error}; not timed")
    return jobs, errors


def measure(problem, right, engines, threads, options, peak, say):
    """The record of one layer and pass with one number of threads: a dict that is ready for JSON."""
    layer, what = problem.layer, problem.what
    for engine in engines:
        engine.set_threads(threads)
    jobs, errors = checked_jobs(problem, right, engines, say)
    calls = {name: job.call for name, job in jobs.items()}
    if peak:
        calls["peak"] = partial(peak.gflops, options.dtype, threads)
    samples = interleave(calls, options.rounds, options.sample, threads > 1, CLOCKS[options.clock])
    seconds = {name: STATISTICS[options.by](values) for name, values in samples.items()}
    peak_seconds = seconds.pop("peak", None)
    plan = engines[0].explain(layer, what, options.dtype)
    return {
        "layer": layer.name, "pass": what, "threads": threads, "dtype": options.dtype, "batch": layer.n,
        "algorithm": plan.algorithm, "workspace_bytes": plan.workspace_bytes,
        "im2col_bytes": layer.im2col_bytes(options.dtype), "flops": layer.flops,
        "peak_gflops": 1e-9 * PROBE_FLOPS * threads / peak_seconds if peak else None,
        "seconds": seconds, "samples": samples,
        "error_rms": {name: error.rms for name, error in errors.items()},
        "error_largest": {name: error.largest for name, error in errors.items()},
    }


def roofs(options, peak):
    """The best of a few samples of the machine's multiply-add and copy rates, per number of threads."""
    rates = {"isa": peak.isa, "peak_gflops": {}, "copy_gbytes": {}}
    for threads in options.threads:
        calls = {"peak": partial(peak.gflops, options.dtype, threads)}
        least = min(interleave(calls, 5, 0, clock=CLOCKS[options.clock])["peak"])
        rates["peak_gflops"][threads] = 1e-9 * PROBE_FLOPS * threads / least
        rates["copy_gbytes"][threads] = max(peak.copy(threads) for _ in range(3))
    return rates


def describe(options, engines, peak):
    """What was measured, on what."""
    return {"machine": platform.machine(), "processor": report.processor(), "system": platform.platform(),
            "python": platform.python_version(), "versions": {e.name: e.version for e in engines},
            "dtype": options.dtype, "rounds": options.rounds, "by": options.by, "clock": options.clock,
            "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
            **(roofs(options, peak) if peak else {})}


def problems(options, progress):
    """The chosen problems, one after the other, each with its float64 result."""
    for layer, what in progress(list(product(select(options.layers, options.batch), options.passes))):
        problem = Problem.random(layer, what, options.dtype)
        yield problem, expected(problem)


def suite(options, engines, peak, progress):
    """Measures all that was asked for; returns the records and what chanconv got wrong."""
    records, wrong = [], []
    for problem, right in problems(options, progress):
        for threads in options.threads:
            try:
                records.append(measure(problem, right, engines, threads, options, peak, progress.say))
                progress.say(report.row(records[-1]))
            except WrongResult as error:
                wrong.append(f"{problem.layer.name} {problem.what}, {threads} threads: chanconv {error}")
                progress.say(f"WRONG {wrong[-1]}")
            except ValueError as error:  # an algorithm asked for by name that cannot do this shape
                progress.say(f"{problem.layer.name} {problem.what}: {error}")
    return records, wrong


def main(argv=None):
    """Runs the command line `argv`; returns 1 if a result of chanconv was wrong, else 0."""
    options = parse(argv)
    hold_isa(options.isa)
    engines = [Chanconv(options.algorithm, options.reuse_output), *installed(options.peers)]
    peak, why_not = find_peak(options.isa)
    about = describe(options, engines, peak)
    print(report.heading(about), *([why_not] if why_not else []), report.columns(), sep="\n")
    records, wrong = suite(options, engines, peak, report.Progress())
    print(report.summary(records))
    use = memory.in_child(options) if options.memory else []
    if use:
        print(memory.table(use))
    if options.json:
        written = {"about": about, "records": records, "memory": use, "wrong": wrong}
        options.json.write_text(json.dumps(written, indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
