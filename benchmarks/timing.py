# SPDX-License-Identifier: BSD-3-Clause
"""Timing of calls side by side: every round samples each of them once, so that a slow spell of the machine hits all."""
from time import perf_counter, sleep

SETTLE = 0.005  # seconds; worker threads that spin after a call (OpenMP, ONNX Runtime) have gone to sleep by then


def _sample(call, repeats):
    start = perf_counter()
    for _ in range(repeats):
        call()
    return (perf_counter() - start) / repeats


def _repeats(call, sample_seconds):
    """How often to repeat `call` in one sample, from calls that also warm it up."""
    once = min(_sample(call, 1), _sample(call, 1))
    return max(1, round(sample_seconds / max(once, 1e-7)))


def interleave(calls, rounds, sample_seconds, settle, limit=2):
    """Seconds of one call in every round, per key of `calls`, a dict of functions without arguments.

    With `settle` each sample begins after a pause and an untimed call, so that no call pays for the threads of another.
    A call whose samples have taken more than `limit` seconds misses the rounds that remain.
    """
    repeats = {name: _repeats(call, sample_seconds) for name, call in calls.items()}
    samples = {name: [] for name in calls}
    order = list(calls)
    for _ in range(rounds):
        for name in order:
            if repeats[name] * sum(samples[name]) < limit:
                if settle:
                    sleep(SETTLE)
                    calls[name]()
                samples[name].append(_sample(calls[name], repeats[name]))
        order.append(order.pop(0))
    return samples
