# SPDX-License-Identifier: BSD-3-Clause
"""One pass of one layer in chanconv and its peers: first checked, then timed side by side, as one record for JSON."""
from dataclasses import dataclass
from functools import partial
from statistics import median

from check import Error, compare
from layers import Problem
from peak import PROBE_FLOPS
from peers import Chanconv, Job
from timing import CLOCKS, interleave, seconds_of

STATISTICS = {"median": median, "best": min}
TRIAL_FLOPS, TRIAL_PARTS = 3e9, 64  # layers above this are first tried on one of so many parts
LONG = 2  # seconds; a longer call is not repeated


@dataclass(frozen=True)
class Entrant:
    """A call whose result was right, and the seconds that it took to find out."""

    job: Job
    error: Error
    seconds: float


class TooLong(Exception):
    """A call that nobody wants to wait for."""


def expected_seconds(engine, problem, clock):
    """How long a call of `engine` would take, by a call on a part of the problem; None for small problems."""
    layer = problem.layer
    if layer.flops < TRIAL_FLOPS:
        return None
    part = Problem.random(layer.part(TRIAL_PARTS), problem.what, problem.dtype)
    job = engine.prepare(part)
    return job and seconds_of(job.call, clock) * layer.flops / part.layer.flops


def _checked(engine, problem, right, options):
    """The Entrant of an engine, or None if it does not do such problems. May raise TooLong, WrongResult, anything."""
    clock = CLOCKS[options.clock]
    if engine.name != Chanconv.name:
        seconds = expected_seconds(engine, problem, clock)
        if seconds and seconds > options.limit:
            raise TooLong(f"would take some {seconds:.0f} s, more than --limit {options.limit:g}")
    job = engine.prepare(problem)
    if job is None:
        return None
    start = clock()
    result = job.call()
    seconds = clock() - start
    return Entrant(job, compare(job.result(result), right, problem), seconds)


def checked(problem, right, engines, options, say):
    """Entrants by the engine's name. A line for a peer that is wrong, fails or would take too long."""
    entrants = {}
    for engine in engines:
        try:
            entrants[engine.name] = _checked(engine, problem, right, options)
        except Exception as error:  # whatever a peer raises, as PyTorch does for some shapes
            if engine.name == Chanconv.name:
                raise
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            say(f"{problem.layer.name} {problem.what}: {engine.name} {text}; not timed")
    return {name: entrant for name, entrant in entrants.items() if entrant}


def _samples(entrants, peak, threads, options):
    """Seconds of each call in every round. Long ones have the one sample that their check was."""
    calls = {name: entrant.job.call for name, entrant in entrants.items() if entrant.seconds < LONG}
    if peak:
        calls["peak"] = partial(peak.gflops, options.dtype, threads)
    samples = interleave(calls, options.rounds, options.sample, threads > 1, CLOCKS[options.clock])
    return {name: samples.get(name) or [entrants[name].seconds] for name in [*entrants, *samples]}


def bound(layer, dtype, threads, peak_gflops, bandwidth):
    """Seconds that the machine needs at least for the multiplications of the direct sum, and for the arrays' bytes.

    `bandwidth` has pairs of the bytes that each thread works on and the rate in GB/s. A layer gets the rate of the
    largest that is no larger than its own, so that the bound is one.
    """
    size = layer.array_bytes(dtype)
    rates = [rate for bytes_, rate in bandwidth if bytes_ <= size / threads] or [bandwidth[0][1]]
    return {"arithmetic": 1e-9 * layer.valid_flops / peak_gflops, "memory": 1e-9 * size / rates[-1]}


def measure(problem, right, engines, threads, options, peak, bandwidth, say):
    """The record of one layer and pass with one number of threads: a dict that is ready for JSON.

    `peak` measures multiply-adds, `bandwidth` is what Peak.bandwidth() gave; both None: no bound.
    """
    layer, what = problem.layer, problem.what
    for engine in engines:
        engine.set_threads(threads)
    entrants = checked(problem, right, engines, options, say)
    samples = _samples(entrants, peak, threads, options)
    seconds = {name: STATISTICS[options.by](values) for name, values in samples.items()}
    peak_seconds = seconds.pop("peak", None)
    peak_gflops = 1e-9 * PROBE_FLOPS * threads / peak_seconds if peak else None
    plan = engines[0].explain(layer, what, options.dtype)
    return {
        "layer": layer.name, "shape": layer.shape, "pass": what, "threads": threads, "dtype": options.dtype,
        "batch": layer.n, "algorithm": plan.algorithm, "workspace_bytes": plan.workspace_bytes,
        "im2col_bytes": layer.im2col_bytes(options.dtype), "flops": layer.flops, "peak_gflops": peak_gflops,
        "bound": bound(layer, options.dtype, threads, peak_gflops, bandwidth) if peak else None,
        "seconds": seconds, "samples": samples,
        "error_rms": {name: entrant.error.rms for name, entrant in entrants.items()},
        "error_largest": {name: entrant.error.largest for name, entrant in entrants.items()},
    }
