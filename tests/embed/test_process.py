# SPDX-License-Identifier: BSD-3-Clause
"""chanconv in a process with others: imports, threads, other packages, other interpreters; from the wheel."""

import importlib.util
import json
import subprocess
import sys
import textwrap
import zipfile

import pytest
from downstream import new_environment, run


def script(environment, text, *arguments, **options):
    return environment.run("-W", "error", "-c", textwrap.dedent(text), *arguments, **options)


# ---- Import ----------------------------------------------------------------------------------------------------------


def test_import_starts_nothing(environment):
    """[38] No threads, no files beside Python's own and the processor's description, no sockets."""
    script(
        environment,
        """
        import os, sys, numpy
        threads, opened = len(os.listdir("/proc/self/task")), []  # NumPy's BLAS has some
        sys.addaudithook(lambda event, args: opened.append((event, args)))
        import chanconv, chanconv.ops
        watched = ("socket", "subprocess", "os.exec", "os.fork", "os.posix_spawn", "ctypes.dlopen")
        assert not [e for e, _ in opened if e.startswith(watched)], opened
        files = [str(args[0]) for e, args in opened if e == "open" and isinstance(args[0], str)]
        assert not [name for name in files if "chanconv" not in name and "/lib/python" not in name], files
        assert len(os.listdir("/proc/self/task")) == threads
        """,
    )


def test_import_without_numpy(environment):
    """[37] What build systems ask for does not need NumPy."""
    script(
        environment,
        """
        import sys
        sys.modules["numpy"] = None
        import runpy, io, contextlib
        for option in ("--cflags", "--libs", "--include", "--library-dir", "--cmake-dir", "--pkgconfig-dir", "--json"):
            sys.argv = ["chanconv", option]
            with contextlib.redirect_stdout(io.StringIO()) as answer:
                runpy.run_module("chanconv", run_name="__main__")
            assert "chanconv" in answer.getvalue()
        import chanconv
        try:
            chanconv.conv
        except ImportError:
            pass
        else:
            raise AssertionError
        """,
    )


def test_command_imports_little(environment):
    """[37] The answers come without NumPy and what it brings."""
    modules = environment.run("-X", "importtime", "-m", "chanconv", "--cflags")
    assert "numpy" not in modules and "ctypes" not in modules


def test_json(environment):
    """[37] The schema of python -m chanconv --json."""
    config = json.loads(environment.ask("--json"))
    kinds = {
        "version": str, "abi": str, "compiler": str, "instruction_sets": dict, "caches": dict, "threads": dict,
        "precision": str, "environment": dict, "ignored": list, "embedding": dict,
    }  # fmt: skip
    assert {name: type(value) for name, value in config.items()} == kinds
    assert set(config["embedding"]) == {"include", "library", "library_dir", "cmake_dir", "pkgconfig_dir"}
    for option in ("include", "library_dir", "cmake_dir", "pkgconfig_dir"):
        assert environment.ask("--" + option.replace("_", "-")) == config["embedding"][option]


def test_paths(environment):
    script(
        environment,
        """
        import chanconv, os, subprocess, sys
        assert os.path.isfile(os.path.join(chanconv.get_include(), "chanconv.h"))
        assert os.path.isfile(os.path.join(chanconv.get_library_dir(), "libchanconv.a"))
        assert os.path.isfile(chanconv.get_library())
        assert os.path.isfile(os.path.join(chanconv.get_cmake_dir(), "chanconvConfig.cmake"))
        assert os.path.isfile(os.path.join(chanconv.get_pkgconfig_dir(), "chanconv.pc"))
        """,
    )


# ---- Threads ---------------------------------------------------------------------------------------------------------


def test_gil_is_released(environment):
    """[27] Another thread of Python goes on while a call computes."""
    script(
        environment,
        """
        import threading, numpy as np, chanconv
        chanconv.set_num_threads(1)
        x, kernel = np.ones((64, 64, 64, 64), np.float32), np.ones((3, 3, 64, 64), np.float32)
        counted, inside, done = [0], [], threading.Event()
        def count():
            while not done.is_set():
                counted[0] += 1
        thread = threading.Thread(target=count)
        thread.start()
        for _ in range(5):
            before = counted[0]
            chanconv.conv(x, kernel)
            inside.append(counted[0] - before)
            done.wait(0.01)
        done.set()
        thread.join()
        assert max(inside) > 100, inside
        """,
        timeout=120,
    )


THREADPOOLCTL = """
import chanconv
import threadpoolctl
if not any(pool["user_api"] == "chanconv" for pool in threadpoolctl.threadpool_info()):
    chanconv.register_threadpoolctl()
    chanconv.register_threadpoolctl()
(pool,) = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "chanconv"]
assert pool["num_threads"] == chanconv.get_num_threads() and pool["version"] == chanconv.__version__
chanconv.set_num_threads(3)
with threadpoolctl.threadpool_limits(1):
    assert chanconv.get_num_threads() == 1
assert chanconv.get_num_threads() == 3
with threadpoolctl.threadpool_limits(2, user_api="chanconv"):
    assert chanconv.get_num_threads() == 2
assert chanconv.get_num_threads() == 3
"""


@pytest.mark.parametrize("first", ["import threadpoolctl", ""])
def test_threadpoolctl(environment, first):
    """[24] Listed and limited; by itself if threadpoolctl comes first."""
    environment.install("threadpoolctl")
    script(environment, first + THREADPOOLCTL)


def test_numba(environment):
    """[13] Addresses from compiled Python, where Numba is installed beside the tests."""
    if not importlib.util.find_spec("numba"):
        pytest.skip("there is no numba")
    code = """
        import ctypes, numpy as np, numba, chanconv
        run = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.c_void_p, ctypes.c_int, *[ctypes.c_int64] * 2, ctypes.c_void_p, *[ctypes.c_int64] * 2,
            ctypes.c_void_p, *[ctypes.c_int64] * 2, ctypes.c_void_p, ctypes.c_void_p,
        )(chanconv.c_functions()["plane_conv"])
        @numba.njit
        def blur(x, kernel, y):
            return run(0, 1, x.shape[0], x.shape[1], x.ctypes.data, 3, 3, kernel.ctypes.data, 1, 1, y.ctypes.data, 0)
        x, kernel, y = np.random.default_rng(0).random((20, 30)), np.full((3, 3), 1 / 9), np.empty((20, 30))
        assert blur(x, kernel, y) == 0
        assert np.array_equal(y, chanconv.plane_conv(x, kernel, padding=1))
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=300)


def test_cffi(environment):
    """[13] The same by cffi."""
    environment.install("cffi")
    script(
        environment,
        """
        import cffi, chanconv, numpy as np
        ffi = cffi.FFI()
        kind = "int(*)(void *, int, int64_t, int64_t, const void *, int64_t, int64_t, const void *, int64_t, int64_t,"
        run = ffi.cast(kind + " void *, void *)", chanconv.c_functions()["plane_conv"])
        x, kernel, y = np.arange(12, dtype=np.float32).reshape(3, 4), np.ones((2, 2), np.float32), np.empty((2, 3), "f")
        pointer = lambda array: ffi.from_buffer(array)
        assert run(ffi.NULL, 0, 3, 4, pointer(x), 2, 2, pointer(kernel), 1, 0, pointer(y), ffi.NULL) == 0
        assert np.array_equal(y, chanconv.plane_conv(x, kernel))
        """,
    )


# ---- Others in the process -------------------------------------------------------------------------------------------

TOGETHER = """
import sys
for name in sys.argv[1:]:
    __import__(name)
import numpy as np, chanconv
chanconv.set_precision("strict")  # sums of integers are exact
x = np.random.default_rng(0).integers(-4, 5, (2, 30, 30, 32)).astype(np.float32)
kernel = np.random.default_rng(1).integers(-4, 5, (3, 3, 32, 48)).astype(np.float32)
assert np.array_equal(chanconv.conv(x, kernel), chanconv.conv(x, kernel, algorithm="im2col"))
if "torch" in sys.argv:
    import torch
    y = torch.conv2d(torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(kernel).permute(3, 2, 0, 1))
    assert np.array_equal(y.permute(0, 2, 3, 1).numpy(), chanconv.conv(x, kernel))
if "sklearn" in sys.argv:
    from sklearn.cluster import KMeans
    KMeans(2, n_init=1, random_state=0).fit(x[0, 0])
if "scipy.signal" in sys.argv:
    import scipy.signal
    y = scipy.signal.correlate2d(x[0, :, :, 0], kernel[:, :, 0, 0], "valid")
    assert np.array_equal(y, chanconv.plane_conv(x[0, :, :, 0], kernel[:, :, 0, 0]))
assert np.float32(1e-40) / np.float32(2) != 0
"""


@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("other", ["numpy", "scipy.signal", "sklearn", "torch", "all"])
def test_together(other, order):
    """[18] With what is installed beside the tests, imported before and after."""
    wanted = ["numpy", "scipy.signal", "sklearn", "torch"] if other == "all" else [other]
    there = [name for name in wanted if importlib.util.find_spec(name.partition(".")[0])]
    if not there:
        pytest.skip(f"there is no {other}")
    names = ["chanconv.ops", *there] if order == "first" else [*there, "chanconv.ops"]
    subprocess.run([sys.executable, "-c", TOGETHER, *names], check=True, timeout=300)


def test_subinterpreter(environment):
    """[29] Another interpreter gets an ImportError; the first goes on."""
    script(
        environment,
        """
        import chanconv, numpy as np, _xxsubinterpreters as interpreters
        other = interpreters.create()
        text = '''
        try:
            import chanconv
        except ImportError as error:
            assert "interpreter" in str(error), error
        else:
            raise AssertionError("imported")
        '''
        interpreters.run_string(other, __import__("textwrap").dedent(text))
        interpreters.destroy(other)
        assert chanconv.plane_conv(np.ones((3, 3)), np.ones((3, 3)))[0, 0] == 9
        """
        if sys.version_info < (3, 13)
        else "pass",
    )


# ---- NumPy -----------------------------------------------------------------------------------------------------------

ZOO = """
import numpy as np, chanconv
for dtype in (np.float32, np.float64, np.float16):
    x = np.random.default_rng(0).integers(-4, 5, (2, 9, 8, 6)).astype(dtype)
    kernel = np.random.default_rng(1).integers(-2, 3, (3, 3, 6, 4)).astype(dtype)
    y = chanconv.conv(x, kernel, padding=1, bias=np.zeros(4, dtype), activation="relu")
    assert y.dtype == dtype
    assert np.array_equal(y, np.maximum(chanconv.reference.conv(x.astype(float), kernel.astype(float), padding=1), 0))
    chanconv.conv_backward(y, x, kernel, padding=1)
    chanconv.im2col(x[::-1, ::2], 3)
    chanconv.activations.softmax(x)
layer = __import__("chanconv.layers").layers.Conv2D(6, 4, 3)
layer.backward(layer.forward(x.astype(np.float32)))
print(np.__version__)
"""


@pytest.mark.parametrize("version", ["1.25.*", "1.26.*", "2.0.*", "newest"])
def test_numpy(wheel, tmp_path, version):
    """[33] One wheel for all NumPy from 1.25 on; warnings are errors."""
    numpy = "numpy" if version == "newest" else f"numpy=={version}"
    environment = new_environment(tmp_path / "environment", numpy, wheel)
    found = script(environment, ZOO)
    assert version == "newest" or found.startswith(version.rstrip("*"))


# ---- Types -----------------------------------------------------------------------------------------------------------


# What stubtest cannot see rightly: modules that are their own stubs, where it takes decorators and static methods for what
# they are not; classes of Cython; methods of a dict that are there to raise.
ALLOWED = r"""
chanconv\.__main__
chanconv\.(activations|geometry|ops|threadpools)\..*
chanconv\.layers\.conv\..*
chanconv\.layers\.ArrayDict\.(clear|popitem)
chanconv\._chanconv\.(AlongAxis|AxisKind|Calls|Convolution|Elementwise|KeptCall|Kind|PackedKernel)
chanconv\._chanconv\.__(reduce|setstate).*
chanconv\._chanconv.*__test__
"""


@pytest.mark.skipif(not importlib.util.find_spec("mypy"), reason="there is no mypy")
def test_stubs(wheel, tmp_path):
    """[36] The stubs say what there is at run time."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    allowed = tmp_path / "allowed"
    allowed.write_text(ALLOWED)
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nignore_missing_imports = True\n")
    run(sys.executable, "-m", "mypy.stubtest", "chanconv", "--allowlist", allowed, "--ignore-unused-allowlist",
        "--ignore-missing-stub", "--mypy-config-file", config, cwd=tmp_path, timeout=600)  # fmt: skip
