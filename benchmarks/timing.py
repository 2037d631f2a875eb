# SPDX-License-Identifier: BSD-3-Clause
"""Timing of calls side by side: every round samples each of them once, so that a slow spell of the machine hits all."""
from time import perf_counter, process_time, sleep

# "cpu": time that this process computes; what other processes take does not count. For calls of one thread.
CLOCKS = {"wall": perf_counter, "cpu": process_time}
SETTLE = 0.08  # seconds; worker threads that spin after a call (OpenMP, ONNX Runtime) have gone to sleep by then
# Seconds of calls that are not timed. Where another's threads have spun on all processors, Linux leaves a worker that wakes
# on the processor of the thread that woke it, and moves it to the idle one only after some 20 ms.
WARM = 0.04


def seconds_of(call, clock=perf_counter):
    """Seconds of one call."""
    return _sample(call, 1, clock)


def _sample(call, repeats, clock):
    start = clock()
    for _ in range(repeats):
        call()
    return (clock() - start) / repeats


def _repeats(call, sample_seconds, clock):
    """How often to repeat `call` in one sample, from calls that also warm it up; long ones need no more than one."""
    once = _sample(call, 1, clock)
    if once < sample_seconds:
        once = min(once, _sample(call, 1, clock))
    return max(1, round(sample_seconds / max(once, 1e-7)))


def _settle(call):
    """Lets the threads of other calls fall asleep, and those of this one find their processors."""
    sleep(SETTLE)
    warm = perf_counter() + WARM
    while perf_counter() < warm:
        call()


def interleave(calls, rounds, sample_seconds, settle=False, clock=perf_counter, limit=2):
    """Seconds of one call in every round, per key of `calls`, a dict of functions without arguments.

    With `settle` each sample begins after a pause and calls that are not timed, so that no call pays for the threads of
    another. A call whose samples have taken more than `limit` seconds misses the rounds that remain.
    """
    repeats = {name: _repeats(call, sample_seconds, clock) for name, call in calls.items()}
    samples = {name: [] for name in calls}
    order = list(calls)
    for _ in range(rounds):
        for name in order:
            if repeats[name] * sum(samples[name]) < limit:
                if settle:
                    _settle(calls[name])
                samples[name].append(_sample(calls[name], repeats[name], clock))
        order = order[1:] + order[:1]
    return samples
