# SPDX-License-Identifier: BSD-3-Clause
"""What other programs ask of the package they run in; that they build against it is tested in tests/embed."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import chanconv
from chanconv import embedding


def test_every_path_is_there():
    paths = embedding.paths()
    assert paths == {
        "include": chanconv.get_include(),
        "library": chanconv.get_library(),
        "library_dir": chanconv.get_library_dir(),
        "cmake_dir": chanconv.get_cmake_dir(),
        "pkgconfig_dir": chanconv.get_pkgconfig_dir(),
    }
    assert all(Path(path).exists() for path in paths.values())
    assert Path(paths["include"], "chanconv.h").is_file()
    assert Path(paths["library_dir"], "libchanconv.a") == Path(paths["library"])
    assert Path(paths["cmake_dir"], "chanconvConfig.cmake").is_file()
    assert Path(paths["pkgconfig_dir"], "chanconv.pc").is_file()


def test_flags():
    assert embedding.cflags() == ["-I" + chanconv.get_include()]
    assert embedding.libs() == [chanconv.get_library(), "-lm", "-pthread"]


def test_the_command_within_a_process(monkeypatch, capsys):
    """An import runs nothing; `main` reads the process's arguments."""
    command = importlib.import_module("chanconv.__main__")
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(sys, "argv", ["chanconv", "--include", "--version"])
    command.main()
    assert capsys.readouterr().out == f"{chanconv.get_include()} {chanconv.__version__}\n"


def test_addresses():
    functions = embedding.c_functions()
    assert embedding.c_api_address() == embedding.c_api_address() > 0
    assert functions["version"] > 0
    assert len(set(functions.values())) == len(functions)


def test_names_of_the_package():
    assert {"conv", "layers", "get_include", "register_threadpoolctl"} < set(dir(chanconv))
    with pytest.raises(AttributeError, match="module 'chanconv' has no attribute 'convolve'"):
        _ = chanconv.convolve


def test_threadpoolctl_lists_and_limits_it():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    chanconv.register_threadpoolctl()
    chanconv.register_threadpoolctl()
    before = chanconv.get_num_threads()
    with chanconv.num_threads(3):
        (found,) = (pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "chanconv")
        assert found["num_threads"] == 3
        assert found["version"] == chanconv.__version__
        assert found["architecture"] == chanconv.show_config("dicts")["instruction_sets"]["in_use"]
        with threadpoolctl.threadpool_limits(1, user_api="chanconv"):
            assert chanconv.get_num_threads() == 1
        assert chanconv.get_num_threads() == 3
    assert chanconv.get_num_threads() == before


def test_registered_where_threadpoolctl_is_imported_first():
    pytest.importorskip("threadpoolctl")
    code = (
        "import {}; import {}; import threadpoolctl\n"
        "print(sum(pool['user_api'] == 'chanconv' for pool in threadpoolctl.threadpool_info()))"
    )
    for first, second, count in (("threadpoolctl", "chanconv", 1), ("chanconv", "threadpoolctl", 0)):
        done = subprocess.run([sys.executable, "-c", code.format(first, second)], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str(count)
