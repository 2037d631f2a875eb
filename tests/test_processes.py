# SPDX-License-Identifier: BSD-3-Clause
"""Threads, processes, signals and the end of the interpreter, line by line as the list of bad inputs has them (I1 ..)."""

import multiprocessing
import os
import subprocess
import sys
import sysconfig
import threading

import numpy as np
import pytest

import chanconv

RNG = np.random.default_rng(8)
# Enough work for several threads.
X = RNG.standard_normal((4, 30, 31, 16)).astype(np.float32)
KERNEL = RNG.standard_normal((3, 3, 16, 24)).astype(np.float32)
GRAD = RNG.standard_normal((4, 30, 31, 24)).astype(np.float32)

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def passes():
    """All passes, as bytes."""
    gradients = chanconv.conv_backward(GRAD, X, KERNEL, padding=1)
    return b"".join(a.tobytes() for a in (chanconv.conv(X, KERNEL, padding=1), *gradients))


@pytest.fixture(scope="module")
def expected():
    with chanconv.num_threads(1):
        return passes()


def in_threads(count, function):
    """Runs function(i) in so many threads at once; their exceptions are the test's."""
    start, errors = threading.Barrier(count), []

    def run(i):
        try:
            start.wait()
            function(i)
        except BaseException as error:  # noqa: BLE001 - to be raised by the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def in_a_new_process(code, **environment):
    """The code, with this module's arrays as SETUP makes them; it must end well within a minute."""
    done = subprocess.run(
        [sys.executable, "-c", SETUP + code], env=os.environ | environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


SETUP = """
import os, signal, sys, threading, time
import numpy as np
import chanconv
rng = np.random.default_rng(8)
x = rng.standard_normal((4, 30, 31, 16)).astype(np.float32)
kernel = rng.standard_normal((3, 3, 16, 24)).astype(np.float32)
def conv():
    return chanconv.conv(x, kernel, padding=1).tobytes()
"""


def test_I1_thirty_two_threads(expected):
    def call(i):
        for _ in range(3):
            assert passes() == expected

    with chanconv.num_threads(3):
        in_threads(32, call)


def test_I2_I3_an_output_and_an_input_that_others_write(expected):
    """The values are unspecified; afterwards all is as before."""
    x, out = X.copy(), np.empty((4, 30, 31, 24), np.float32)

    def call(i):
        for _ in range(20):
            if i % 3:
                chanconv.conv(x, KERNEL, padding=1, out=out)
            else:
                x[:] = np.nan if i else np.inf

    in_threads(8, call)
    assert passes() == expected


def test_settings_and_shared_objects_raced(expected):
    """16 threads compute with one layer, small calls that come again and activations, while the number of threads changes."""
    layer = chanconv.layers.Conv2D(16, 24, 3, padding=1, rng=1)
    small, few = X[0, :8, :8], KERNEL[..., :8]
    tasks = [
        passes, lambda: layer(X).tobytes(), lambda: chanconv.conv(small, few).tobytes(),
        lambda: chanconv.activations.gelu(X).tobytes(),
    ]  # fmt: skip
    results = [expected, *(task() for task in tasks[1:])]

    def call(i):
        for j in range(10):
            chanconv.set_num_threads(1 + (i + j) % 4)
            task = (i + j) % len(tasks)
            assert tasks[task]() == results[task]

    with chanconv.num_threads(2):
        in_threads(16, call)


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has its lock")
def test_calls_that_come_again_raced():
    """Threads keep a call anew, which frees what was kept of it before, while others make it: in a process that may crash.

    Without a reference of one's own 3 runs of 10 did.
    """
    in_a_new_process(
        "from chanconv import _chanconv, geometry\n"
        "x, kernel = np.ones((6, 6, 2), np.float32), np.ones((3, 3, 2, 2), np.float32)\n"
        "given = geometry.options(1, 0, 1)\n"
        "problem = geometry.problem(geometry.IMAGES, x.dtype, x.shape, kernel.shape, given, False)\n"
        "calls, start, errors = _chanconv.Calls('forward'), threading.Barrier(4), []\n"
        "def keep():\n"
        "    calls.keep(1, problem.convolution, problem.y_shape, (x, kernel, None))\n"
        "def make():\n"
        "    y = calls.again(1, x, kernel)\n"
        "    assert y is None or (y == 18).all()\n"
        "def often(task):\n"
        "    start.wait()\n"
        "    try:\n"
        "        for _ in range(200000):\n"
        "            task()\n"
        "    except BaseException as error:\n"
        "        errors.append(error)\n"
        "threads = [threading.Thread(target=often, args=(task,)) for task in (keep, make) * 2]\n"
        "[t.start() for t in threads], [t.join() for t in threads]\n"
        "assert not errors, errors\n"
    )


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has its lock")
def test_free_threaded_python_stays_free():
    """Neither the import nor a call brings the lock back, which Python would do for a module that does not say it is safe."""
    in_a_new_process("conv()\nassert not sys._is_gil_enabled()\n")


def test_I4_arrays_are_held_during_a_call():
    """x.resize(refcheck=False) by another thread is the caller's error; letting go of the last name is not."""
    expected = chanconv.conv(X, KERNEL, padding=1)

    def call(i):
        for _ in range(10):
            y = chanconv.conv(X.copy(), KERNEL.copy(), padding=1)
            assert (y == expected).all()

    in_threads(4, call)


def test_I5_the_first_call_raced():
    """64 threads do the first call of a process; every result is that of a later one."""
    code = (
        "start, results = threading.Barrier(64), []\n"
        "def first():\n    start.wait()\n    results.append(conv())\n"
        "threads = [threading.Thread(target=first) for _ in range(64)]\n"
        "[t.start() for t in threads], [t.join() for t in threads]\n"
        "assert len(results) == 64 and set(results) == {conv()}\n"
    )
    for _ in range(5):
        in_a_new_process(code, CHANCONV_NUM_THREADS="4")


@posix
def test_I6_I7_fork_before_during_and_after_calls():
    in_a_new_process(
        "def child(expected):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        signal.alarm(20)\n"
        "        os._exit(expected is not None and conv() != expected)\n"
        "    assert os.waitpid(pid, 0)[1] == 0\n"
        "child(None)\n"
        "expected = conv()\n"
        "child(expected)\n"
        "stop = False\n"
        "def call():\n    while not stop:\n        assert conv() == expected\n"
        "threads = [threading.Thread(target=call) for _ in range(3)]\n"
        "[t.start() for t in threads]\n"
        "for _ in range(30):\n    child(expected)\n"
        "stop = True\n[t.join() for t in threads]\n",
        CHANCONV_NUM_THREADS="3",
        PYTHONWARNINGS="ignore",
    )


def convolve_often(times):
    return [chanconv.conv(X, KERNEL, padding=1).tobytes() for _ in range(times)][-1]


@posix
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_I8_multiprocessing(method):
    with chanconv.num_threads(3):
        expected = convolve_often(1)
    with multiprocessing.get_context(method).Pool(4) as pool:
        results = pool.map_async(convolve_often, [25] * 4).get(timeout=60)
    assert set(results) == {expected}


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="sets a limit for another user, as root")
def test_I9_no_more_threads():
    """RLIMIT_NPROC does not hold for root: the process becomes another user first."""
    in_a_new_process(
        "import resource\nexpected = conv()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    signal.alarm(20)\n"
        "    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))\n"
        "    os.setuid(54321)\n"
        "    try:\n"
        "        threading.Thread(target=print).start()\n"
        "        os._exit(2)\n"
        "    except RuntimeError:\n"
        "        pass\n"
        "    chanconv.set_num_threads(4)\n"
        "    os._exit(conv() != expected)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n",
        PYTHONWARNINGS="ignore",
    )


def test_I10_a_small_stack(expected):
    before = threading.stack_size(64 << 10)
    try:
        in_threads(2, lambda i: chanconv.conv(X, KERNEL, padding=1))
    finally:
        threading.stack_size(before)


def test_I11_inside_workers_of_others(expected):
    """The threads of another pool, each within a call of its own: no deadlock, the same bits."""
    from concurrent.futures import ThreadPoolExecutor

    with chanconv.num_threads(4), ThreadPoolExecutor(6) as pool:
        assert set(pool.map(lambda _: passes(), range(24))) == {expected}


@posix
def test_I12_signals_during_calls():
    """A handler that raises interrupts after the call, never within: results that are there are right."""
    in_a_new_process(
        "class Alarm(Exception):\n    pass\n"
        "def ring(*_):\n    raise Alarm\n"
        "expected, rung, calls = conv(), 0, 0\n"
        "signal.signal(signal.SIGALRM, ring)\n"
        "out = np.empty((4, 30, 31, 24), np.float32)\n"
        "end = time.monotonic() + 2\n"
        "while time.monotonic() < end:\n"
        "    try:\n"
        "        signal.setitimer(signal.ITIMER_REAL, 0.003)\n"
        "        for _ in range(1000):\n"
        "            chanconv.conv(x, kernel, padding=1, out=out)\n"
        "            calls += out.tobytes() == expected\n"
        "            out[:] = np.nan\n"
        "    except Alarm:\n"
        "        rung += 1\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "signal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
        "assert rung > 5, rung\n"
        "assert conv() == expected\n",
        CHANCONV_NUM_THREADS="3",
    )


def test_I13_at_exit_and_in_a_daemon_thread():
    code = (
        "import atexit\n"
        "atexit.register(lambda: print(len(conv())))\n"
        "def forever():\n    while True:\n        conv()\n"
        "threading.Thread(target=forever, daemon=True).start()\n"
        "time.sleep(0.1)\n"
    )
    assert in_a_new_process(code).strip() == str(X[..., 0].size * 24 * 4)


def test_I13_in_a_subinterpreter():
    """Cython's modules are of one interpreter: the second import raises ImportError, and the first goes on."""
    code = (
        "try:\n    import _interpreters as interpreters\n"
        "except ImportError:\n    import _xxsubinterpreters as interpreters\n"
        "expected = conv()\n"
        "other = interpreters.create()\n"
        "try:\n"
        "    result = interpreters.run_string(other, 'import chanconv')\n"
        "    print('refused' if result is not None else 'imported')\n"
        "except Exception as error:\n"
        "    print('refused', type(error).__name__)\n"
        "interpreters.destroy(other)\n"
        "assert conv() == expected\n"
    )
    in_a_new_process(code)
