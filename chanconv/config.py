# SPDX-License-Identifier: BSD-3-Clause
"""Threads, precision, and what the library makes of the machine it runs on."""

import operator
import os
import warnings
from contextlib import contextmanager
from contextvars import ContextVar

from chanconv import _chanconv

PRECISIONS = _chanconv.PRECISIONS
_INT_MAX = 2**31 - 1
_ignored = list(_chanconv.environment_warnings())


# ---- Threads --------------------------------------------------------------------------------------------------------


def get_num_threads():
    """The number of threads that one call may use.

    At first that is what ``CHANCONV_NUM_THREADS`` says, else ``OMP_NUM_THREADS``, else the number of processors that
    this process may use by its affinity mask and its control group's quota. Small calls use fewer.

    Returns
    -------
    int
    """
    return _chanconv.get_num_threads()


def set_num_threads(n):
    """Set the number of threads that one call may use, for the whole process.

    No result depends on it, to the bit.

    Parameters
    ----------
    n : int
        At least 1; a huge number is limited to what the library supports.
    """
    try:
        number = operator.index(n)
    except TypeError:
        number = None
    if number is None or isinstance(n, bool):
        raise TypeError(f"n: expected an int, got {type(n).__name__}")
    if number < 1:
        raise ValueError(f"n: expected at least 1 thread, got {number}")
    _chanconv.set_num_threads(min(number, _INT_MAX))


@contextmanager
def num_threads(n):
    """Set the number of threads within a ``with`` statement, for the whole process; see `set_num_threads`."""
    before = get_num_threads()
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(before)


# ---- Precision ------------------------------------------------------------------------------------------------------


def _from_environment():
    name = os.environ.get("CHANCONV_PRECISION", "fast")
    if name not in PRECISIONS:
        _ignored.append(f"CHANCONV_PRECISION is ignored: expected one of {', '.join(PRECISIONS)}, got {name!r}")
        return "fast"
    return name


def _checked(name):
    if not isinstance(name, str):
        raise TypeError(f"precision: expected a str, got {type(name).__name__}")
    if name not in PRECISIONS:
        raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, got {name!r}")
    return name


_of_process = _from_environment()
_of_context = ContextVar("chanconv.precision", default=None)


def get_precision():
    """The precision in force: "fast" or "strict"."""
    return _of_context.get() or _of_process


def set_precision(precision):
    """Set the precision for the whole process.

    Parameters
    ----------
    precision : {"fast", "strict"}
        "strict" keeps ``algorithm="auto"`` from algorithms that lose accuracy against the direct sum (Winograd,
        Fourier transforms), and forbids these where they are asked for. At first the precision is what
        ``CHANCONV_PRECISION`` says, else "fast".
    """
    global _of_process
    _of_process = _checked(precision)


@contextmanager
def precision(precision):
    """Set the precision within a ``with`` statement, for the current thread or asynchronous task (its context) alone.

    See `set_precision`.
    """
    token = _of_context.set(_checked(precision))
    try:
        yield
    finally:
        _of_context.reset(token)


def strict():
    """Whether the precision in force is "strict"."""
    return (_of_context.get() or _of_process) == "strict"


# ---- The machine ----------------------------------------------------------------------------------------------------


def _config():
    cpu = _chanconv.cpu_info()
    return {
        "version": _chanconv.version(),
        "abi": "{}.{}".format(*_chanconv.abi_version()),
        "compiler": _chanconv.compiler(),
        "instruction_sets": {
            "in_use": _chanconv.isa(),
            "available": list(_chanconv.isa_available()),
            "compiled": list(_chanconv.isa_compiled()),
        },
        "caches": {f"l{level}_bytes": cpu[f"l{level}_bytes"] for level in (1, 2, 3)},
        "threads": {
            "number": get_num_threads(),
            "source": _chanconv.num_threads_source().removeprefix("chanconv_"),
            "processors": cpu["processors"],
        },
        "precision": get_precision(),
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith("CHANCONV_") or name == "OMP_NUM_THREADS"
        },
        "ignored": list(_ignored),
    }


def _lines(config):
    isas, caches, threads = config["instruction_sets"], config["caches"], config["threads"]
    yield f"chanconv {config['version']}, C ABI {config['abi']}, compiled by {config['compiler']}"
    yield f"instruction set  {isas['in_use']}"
    yield f"  available      {', '.join(isas['available'])}"
    yield f"  compiled       {', '.join(isas['compiled'])}"
    yield f"caches           {', '.join(f'{name[:2].upper()} {size // 1024} KiB' for name, size in caches.items())}"
    yield f"processors       {threads['processors']}"
    yield f"threads          {threads['number']} (by {threads['source']})"
    yield f"precision        {config['precision']}"
    for name, value in config["environment"].items():
        yield f"environment      {name}={value}"
    yield from config["ignored"]


def show_config(mode="stdout"):
    """What was built in, which instruction set is in use, caches, threads and why.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print it, or return it as nested dicts that ``json`` can write.

    Returns
    -------
    dict or None
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f'mode: expected "stdout" or "dicts", got {mode!r}')
    config = _config()
    if mode == "dicts":
        return config
    print("\n".join(_lines(config)))
    return None


for _text in _ignored:
    warnings.warn(_text, RuntimeWarning, stacklevel=2)
