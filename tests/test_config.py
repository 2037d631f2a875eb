# SPDX-License-Identifier: BSD-3-Clause
"""Threads, precision and the configuration; what the environment says is read in processes of their own."""

import contextvars
import json
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

import chanconv
from chanconv import _chanconv, config

SHOW = "import json, chanconv; print(json.dumps(chanconv.show_config('dicts')))"


@pytest.fixture
def restored():
    """Leaves threads and precision as they were."""
    threads, precision = chanconv.get_num_threads(), chanconv.get_precision()
    yield
    chanconv.set_num_threads(threads)
    chanconv.set_precision(precision)


def run(code, *options, prefix=(), **variables):
    """Runs Python code with no variables of ours but these; returns the finished process."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("CHANCONV_") and k != "OMP_NUM_THREADS"}
    command = [*prefix, sys.executable, *options, "-c", code]
    return subprocess.run(command, env=inherited | variables, capture_output=True, text=True, timeout=60, check=False)


def shown(prefix=(), **variables):
    """The configuration of a process with these variables, and its standard error."""
    process = run(SHOW, prefix=prefix, **variables)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout), process.stderr


# ---- Threads --------------------------------------------------------------------------------------------------------


def test_set_num_threads(restored):
    for n in (1, 3, np.int8(2), np.uint64(5), np.array(4)):
        chanconv.set_num_threads(n)
        assert chanconv.get_num_threads() == int(n)


@pytest.mark.parametrize("n", [10**9, 10**30, 2**31, 2**63])
def test_huge_numbers_of_threads_are_limited(restored, n):
    chanconv.set_num_threads(n)
    assert 1 <= chanconv.get_num_threads() <= 4096


@pytest.mark.parametrize("n", [0, -1, -(2**31), -(2**63), -(10**30), np.int64(0)])
def test_fewer_than_one_thread(n):
    before = chanconv.get_num_threads()
    with pytest.raises(ValueError, match=f"n: expected at least 1 thread, got {n}"):
        chanconv.set_num_threads(n)
    with pytest.raises(ValueError, match="n: expected"), chanconv.num_threads(n):
        pass
    assert chanconv.get_num_threads() == before


@pytest.mark.parametrize("n", [2.5, 2.0, True, np.True_, None, "2", [2], np.float32(2), np.array([2, 3])])
def test_not_a_number_of_threads(n):
    before = chanconv.get_num_threads()
    with pytest.raises(TypeError, match="n: expected an int, got"):
        chanconv.set_num_threads(n)
    assert chanconv.get_num_threads() == before


def test_num_threads_is_restored(restored):
    before = chanconv.get_num_threads()
    with chanconv.num_threads(3):
        assert chanconv.get_num_threads() == 3
        with chanconv.num_threads(5):
            assert chanconv.get_num_threads() == 5
        assert chanconv.get_num_threads() == 3
    assert chanconv.get_num_threads() == before
    with pytest.raises(KeyError), chanconv.num_threads(7):
        raise KeyError
    assert chanconv.get_num_threads() == before


def test_default_is_the_processors_allowed():
    settings, errors = shown()
    threads = settings["threads"]
    assert threads["number"] == threads["processors"] <= len(os.sched_getaffinity(0))
    assert threads["source"] == "processors"
    assert errors == ""


@pytest.mark.skipif(not shutil.which("taskset"), reason="needs taskset")
def test_affinity():
    cpu = min(os.sched_getaffinity(0))
    settings, _ = shown(prefix=("taskset", "-c", str(cpu)))
    assert settings["threads"] == {"number": 1, "source": "processors", "processors": 1}


@pytest.mark.parametrize(
    ("own", "omp", "number", "source"),
    [
        ("3", None, 3, "CHANCONV_NUM_THREADS"),
        ("3", "5", 3, "CHANCONV_NUM_THREADS"),
        (None, "5", 5, "OMP_NUM_THREADS"),
        (None, "4,2", 4, "OMP_NUM_THREADS"),
        ("zero", "5", 5, "OMP_NUM_THREADS"),
    ],
)
def test_order_of_variables(own, omp, number, source):
    variables = {"CHANCONV_NUM_THREADS": own, "OMP_NUM_THREADS": omp}
    settings, _ = shown(**{name: value for name, value in variables.items() if value is not None})
    assert (settings["threads"]["number"], settings["threads"]["source"]) == (number, source)


@pytest.mark.parametrize("value", ["abc", "", "-1", "0", "1.5", "3 4", "99999999999999999999", "\N{SNOWMAN}"])
def test_bad_number_of_threads_in_the_environment(value):
    settings, errors = shown(CHANCONV_NUM_THREADS=value)
    assert settings["threads"]["source"] == "processors"
    assert errors.count("RuntimeWarning") == 1
    assert f'CHANCONV_NUM_THREADS is ignored: expected a whole number of at least 1, got "{value}"' in errors
    assert len(settings["ignored"]) == 1


@pytest.mark.parametrize("value", ["x" + 50 * "\N{SNOWMAN}", os.fsdecode(b"\xff\xfe"), 5000 * "9"])
def test_odd_text_in_the_environment(value):
    settings, errors = shown(CHANCONV_NUM_THREADS=value, CHANCONV_ISA=value)
    assert errors.count("RuntimeWarning") == 2
    assert len(settings["ignored"]) == 2


def test_setting_threads_says_so():
    process = run(f"import chanconv; chanconv.set_num_threads(3); {SHOW}", CHANCONV_NUM_THREADS="2")
    assert json.loads(process.stdout)["threads"]["source"] == "set_num_threads"


# ---- Instruction sets -----------------------------------------------------------------------------------------------


def test_instruction_sets():
    available = _chanconv.isa_available()
    assert available[-1] == "generic"
    assert set(available) <= set(_chanconv.isa_compiled())
    assert _chanconv.isa() in available


@pytest.mark.parametrize("name", _chanconv.isa_available())
def test_instruction_set_of_the_environment(name):
    settings, errors = shown(CHANCONV_ISA=name)
    assert settings["instruction_sets"]["in_use"] == name
    assert errors == ""


@pytest.mark.parametrize(
    "name", ["sse9", "AVX2", "", "\N{SNOWMAN}", *sorted({"neon", "avx512"} - {*_chanconv.isa_available()})]
)
def test_instruction_set_that_cannot_be_had(name):
    settings, errors = shown(CHANCONV_ISA=name)
    assert settings["instruction_sets"]["in_use"] == settings["instruction_sets"]["available"][0]
    assert errors.count("RuntimeWarning") == 1
    assert f'CHANCONV_ISA is ignored: "{name}" is not an instruction set' in errors


def test_set_isa_refuses_what_is_not_there():
    before = _chanconv.isa()
    with pytest.raises(ValueError, match="isa: expected one of .*generic, got 'sse9'"):
        _chanconv.set_isa("sse9")
    with pytest.raises(TypeError):
        _chanconv.set_isa(None)
    assert _chanconv.isa() == before


# ---- Precision ------------------------------------------------------------------------------------------------------


def test_precision(restored):
    for name in ("strict", "fast"):
        chanconv.set_precision(name)
        assert chanconv.get_precision() == name
        assert config.strict() == (name == "strict")


def test_precision_within_a_with_statement(restored):
    chanconv.set_precision("fast")
    with chanconv.precision("strict"):
        assert chanconv.get_precision() == "strict"
        with chanconv.precision("fast"):
            assert chanconv.get_precision() == "fast"
        assert chanconv.get_precision() == "strict"
    with pytest.raises(KeyError), chanconv.precision("strict"):
        raise KeyError
    assert chanconv.get_precision() == "fast"


def test_precision_within_a_with_statement_is_of_one_thread(restored):
    chanconv.set_precision("fast")
    seen = []
    fresh = contextvars.Context()
    thread = threading.Thread(target=fresh.run, args=(lambda: seen.append(chanconv.get_precision()),))
    with chanconv.precision("strict"):
        thread.start()
        thread.join()
    assert seen == ["fast"]


@pytest.mark.parametrize(
    ("name", "error"), [("exact", ValueError), ("FAST", ValueError), (1, TypeError), (None, TypeError)]
)
def test_bad_precision(name, error):
    before = chanconv.get_precision()
    with pytest.raises(error, match="precision: expected"):
        chanconv.set_precision(name)
    with pytest.raises(error, match="precision: expected"), chanconv.precision(name):
        pass
    assert chanconv.get_precision() == before


def test_precision_of_the_environment():
    assert shown(CHANCONV_PRECISION="strict")[0]["precision"] == "strict"
    settings, errors = shown(CHANCONV_PRECISION="exact")
    assert settings["precision"] == "fast"
    assert errors.count("RuntimeWarning") == 1
    assert "CHANCONV_PRECISION is ignored: expected one of fast, strict, got 'exact'" in errors


# ---- show_config ----------------------------------------------------------------------------------------------------


def test_show_config(capsys):
    settings = chanconv.show_config("dicts")
    assert settings == json.loads(json.dumps(settings))
    assert settings["version"] == chanconv.__version__
    caches = settings["caches"]
    assert 0 < caches["l1_bytes"] <= caches["l2_bytes"] <= caches["l3_bytes"]
    assert chanconv.show_config() is None
    printed = capsys.readouterr().out
    for part in (settings["version"], settings["compiler"], settings["instruction_sets"]["in_use"], "threads"):
        assert part in printed
    with pytest.raises(ValueError, match="mode: expected"):
        chanconv.show_config("html")


def module(*options, **variables):
    """Runs ``python -m chanconv``."""
    return subprocess.run(
        [sys.executable, "-m", "chanconv", *options],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


def test_command():
    assert module().startswith(f"chanconv {chanconv.__version__}, C ABI 1.0, compiled by")
    assert "environment      CHANCONV_NUM_THREADS=3" in module(CHANCONV_NUM_THREADS="3")
    assert json.loads(module("--json", CHANCONV_NUM_THREADS="3"))["threads"]["number"] == 3


# ---- The process ----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")
def test_import_starts_no_thread():
    process = run("""
import os, numpy
before = len(os.listdir("/proc/self/task"))
import chanconv
chanconv.get_num_threads()
assert len(os.listdir("/proc/self/task")) == before
""")
    assert process.returncode == 0, process.stderr


CALL = """
import numpy as np, chanconv
chanconv.set_num_threads(4)
rng = np.random.default_rng(0)
x = rng.standard_normal((4, 40, 40, 16), dtype=np.float32)
kernel = rng.standard_normal((3, 3, 16, 32), dtype=np.float32)
def call():
    return chanconv.conv(x, kernel, padding=1)
expected = call()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork():
    code = (
        CALL
        + """
import os, warnings
warnings.simplefilter("ignore")
for _ in range(20):
    child = os.fork()
    if not child:
        os._exit(0 if np.array_equal(call(), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0
"""
    )
    process = run(code)
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing(method, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        CALL
        + f"""
def work(i):
    return np.array_equal(call(), expected)
if __name__ == "__main__":
    import multiprocessing, warnings
    warnings.simplefilter("ignore")
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        assert all(pool.map(work, range(8)))
"""
    )
    subprocess.run([sys.executable, str(script)], timeout=60, check=True)


def test_exit_during_a_call():
    code = (
        CALL
        + """
import threading
def work():
    while True:
        call()
threading.Thread(target=work, daemon=True).start()
call()
"""
    )
    process = run(code)
    assert process.returncode == 0, process.stderr


def test_subnormals_survive_import_and_calls():
    code = (
        "import numpy as np\n"
        + CALL
        + """
import threading
tiny = np.float32(1e-40)
def check():
    call()
    assert tiny / np.float32(2) != 0
check()
thread = threading.Thread(target=check)
thread.start()
thread.join()
"""
    )
    process = run(code)
    assert process.returncode == 0, process.stderr
