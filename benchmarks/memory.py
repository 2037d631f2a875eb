#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Memory that a call takes beyond its arguments and its result: what `explain` says and what the system sees.

Each call is measured in a process of its own, forked for it: the growth of the peak resident size during the call (the
"high-water mark" of Linux), once threads run and code is loaded. Blind below some 200 KiB.
"""
import argparse
import ctypes
from dataclasses import replace
from itertools import product
import json
from multiprocessing import get_context
from pathlib import Path
import subprocess
import sys

from layers import LAYERS, PASSES, Problem, select
from peers import Chanconv, installed

BATCHES = (1, 8)
MIB = 2 ** 20
LIBC = ctypes.CDLL(None)


def _status(field):
    """A size from /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))


def _peak_growth(queue, job, warm_up):
    """Puts by how much the resident size rises during job.call at most, less the result if the call made it."""
    warm_up.call()
    if hasattr(LIBC, "malloc_trim"):
        LIBC.malloc_trim(0)  # gives back what was freed, which would be taken again unseen
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew at the present size
    before = _status("VmRSS")
    job.call()
    queue.put(_status("VmHWM") - before)


def measured(engine, problem, first):
    """Peak memory in bytes that engine's call takes, measured in a child process after a call on problem `first`."""
    context = get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_peak_growth, args=(queue, engine.prepare(problem), engine.prepare(first)))
    child.start()
    child.join()
    if child.exitcode:
        raise RuntimeError(f"{engine.name} {problem.layer.name} {problem.what}: child ended with {child.exitcode}")
    return queue.get()


def record(ours, peers, layer, what, dtype):
    """One line of the table as a dict.

    chanconv keeps workspace for the next call, so a tiny layer goes first; with the peers, which load and generate code
    for each kind of layer, the same problem does.
    """
    problem, tiny = Problem.random(layer, what, dtype), Problem.random(LAYERS[0], what, dtype)
    result_bytes = int(problem.dtype.itemsize) * _count(problem.result_shape)
    sizes = {engine.name: max(0, measured(engine, problem, problem) - result_bytes) for engine in peers}
    return {"layer": layer.name, "pass": what, "batch": layer.n, "dtype": dtype,
            "im2col_bytes": layer.im2col_bytes(dtype),
            "workspace_bytes": ours.explain(layer, what, dtype).workspace_bytes,
            "measured_bytes": {ours.name: measured(ours, problem, tiny), **sizes}}


def _count(shape):
    """Number of elements."""
    count = 1
    for size in shape:
        count *= size
    return count


def table(records):
    """The records as text, in MiB."""
    names = list(records[0]["measured_bytes"])
    form = "{:<17} {:<11} {:>3} {:>9} {:>9}" + " {:>12}" * len(names)
    lines = ["", "memory beyond arguments and result, MiB",
             form.format("layer", "pass", "N", "im2col", "explain", *names)]
    for r in records:
        sizes = [r["im2col_bytes"], r["workspace_bytes"], *r["measured_bytes"].values()]
        lines.append(form.format(r["layer"], r["pass"], r["batch"], *(f"{size / MIB:.2f}" for size in sizes)))
    return "\n".join(lines)


def in_child(options):
    """Records for run.py, from a fresh process, which has not yet called anything."""
    command = [sys.executable, __file__, "--layers", *options.layers, "--passes", *options.passes,
               "--dtype", options.dtype, "--threads", str(max(options.threads)), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", nargs="+", default=["*"], metavar="GLOB")
    parser.add_argument("--passes", nargs="+", default=PASSES, choices=PASSES)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peers", nargs="*", default=[], help="for comparison, for example torch-nhwc")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(argv)
    ours, peers = Chanconv(reuse_output=True), installed(options.peers)
    for engine in (ours, *peers):
        engine.set_threads(options.threads)
    records = [record(ours, peers, replace(layer, n=batch), what, options.dtype)
               for layer, what, batch in product(select(options.layers), options.passes, BATCHES)]
    print(json.dumps(records) if options.json else table(records))


if __name__ == "__main__":
    main()
