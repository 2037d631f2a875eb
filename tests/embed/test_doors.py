# SPDX-License-Identifier: BSD-3-Clause
"""The doors for other compiled code: every example is built against the wheel in a fresh environment, and run.

Numbers in brackets are the rows of the checklist in docs/abi.md.
"""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from downstream import run

COMPARE = """
import numpy as np, chanconv
from sharpen import Image
image = Image(7, 9, 3)
x = np.asarray(image)
x[:] = np.random.default_rng(0).standard_normal(x.shape, np.float32)
blur = np.outer([1, 2, 1], [1, 2, 1]) / 16
identity = np.outer([0, 1, 0], [0, 1, 0])
kernel = np.repeat((identity * 1.5 - 0.5 * blur)[:, :, None, None], 3, axis=3).astype(np.float32)
expected = chanconv.conv(x, kernel, padding=1, groups=3, padding_mode="replicate")
assert np.array_equal(np.asarray(image.sharpened(0.5)), expected)
"""


def extension(environment, folder, *demo):
    environment.run("setup.py", "-q", "build_ext", "--inplace", cwd=folder)
    return environment.run("demo.py", cwd=folder)


def test_cython(environment, example):
    """[1] cimport, without NumPy's headers and with the Python API's results."""
    folder = example("cython")
    assert "3.5" in extension(environment, folder)
    assert "numpy" not in (folder / "sharpen.c").read_text().lower().replace("no numpy here", "")
    environment.run("-c", COMPARE, cwd=folder)


def test_cython_limited(environment, example):
    """[2] The same for the stable ABI."""
    folder = example("cython")
    setup = folder / "setup.py"
    setup.write_text(
        setup.read_text().replace(
            "include_dirs=", 'py_limited_api=True, define_macros=[("Py_LIMITED_API", "0x030B0000")], include_dirs='
        )
    )
    extension(environment, folder)
    assert list(folder.glob("sharpen.abi3.so"))


def test_c_extension(environment, example):
    """[3] The capsule, from C by hand."""
    assert "*###*" in extension(environment, example("c_extension"))


def test_c_extension_linked(environment, example):
    """The same source with the archive linked in, which then needs no capsule."""
    folder = example("c_extension")
    setup = folder / "setup.py"
    text = setup.read_text().replace("define_macros=[", 'define_macros=[("CHANCONV_LINKED", None), ')
    text = text.replace("py_limited_api=True", "py_limited_api=True, extra_objects=[chanconv.get_library()]")
    setup.write_text(text)
    assert "*###*" in extension(environment, folder)


@pytest.mark.skipif(not shutil.which("pkg-config"), reason="there is no pkg-config")
def test_pkg_config(environment, example):
    """[6] Plain C by the system's pkg-config; what comes out runs without a path to anything."""
    folder = example("pkgconfig")
    env = {"PKG_CONFIG_PATH": environment.ask("--pkgconfig-dir")}
    flags = run("pkg-config", "--cflags", "--libs", "chanconv", env=env).strip()
    subprocess.run(f"cc life.c {flags} -o life", shell=True, cwd=folder, check=True)
    assert "home" in run("./life", cwd=folder)


def test_relocatable(environment, example, tmp_path):
    """[6] chanconv.pc and the CMake package name no path: the package may be moved."""
    if not shutil.which("pkg-config"):
        pytest.skip("there is no pkg-config")
    package = environment.run("-c", "import chanconv; print(chanconv.__path__[0])").strip()
    moved = shutil.copytree(package, tmp_path / "elsewhere" / "chanconv")
    folder = example("pkgconfig")
    env = {"PKG_CONFIG_PATH": str(moved / "share" / "pkgconfig")}
    flags = run("pkg-config", "--cflags", "--libs", "chanconv", env=env)
    assert str(tmp_path) in flags and package not in flags
    run("make", env=env, cwd=folder)
    assert "home" in run("./life", cwd=folder)


def test_pkgconf_of_pypi(environment):
    """[7] PyPI's pkgconf finds chanconv by its entry point."""
    [found] = shlex.split(environment.run("-m", "pkgconf", "--variable=libdir", "chanconv"))
    assert Path(found).samefile(environment.run("-c", "import chanconv; print(chanconv.get_library_dir())").strip())
    version = environment.run("-c", "import chanconv; print(chanconv.__version__)")
    assert environment.run("-m", "pkgconf", "--modversion", "chanconv") == version


def test_flags(environment, example):
    """python -m chanconv gives what a compiler needs."""
    folder = example("pkgconfig")
    flags = environment.run("-m", "chanconv", "--cflags", "--libs").strip()
    subprocess.run(f"cc life.c {flags} -o life", shell=True, cwd=folder, check=True)
    assert "home" in run("./life", cwd=folder)


def cmake(environment, folder, *options, **expect):
    directory = f"-Dchanconv_DIR={environment.ask('--cmake-dir')}"
    return environment.tool("cmake", "-S", ".", "-B", "build", "-G", "Ninja", directory, *options, cwd=folder, **expect)


def test_cmake(environment, example):
    """[8] find_package, a C++ program."""
    folder = example("cmake")
    cmake(environment, folder)
    environment.tool("cmake", "--build", "build", cwd=folder)
    assert "found the filter" in run("build/filter", cwd=folder)


@pytest.mark.parametrize("wanted", ["99", "0.99", "1.0"])
def test_cmake_version(environment, example, wanted):
    """[8] A version that is not there is refused."""
    folder = example("cmake")
    lists = folder / "CMakeLists.txt"
    lists.write_text(lists.read_text().replace("chanconv 0.1 ", f"chanconv {wanted} "))
    assert "version" in cmake(environment, folder, fails=True)


def test_meson(environment, example):
    """[9] dependency('chanconv')."""
    folder = example("pkgconfig")
    env = {"PKG_CONFIG_PATH": environment.ask("--pkgconfig-dir"), "PKG_CONFIG": str(environment.path / "bin/pkgconf")}
    environment.tool("meson", "setup", "build", cwd=folder, env=env)
    environment.tool("meson", "compile", "-C", "build", cwd=folder, env=env)
    assert "home" in run("build/life", cwd=folder)


def test_ctypes(environment, example):
    """[12] Addresses, and slices of channels in place."""
    assert "layer 2" in environment.run("dense_block.py", cwd=example("ctypes"))


def test_own_threads(environment, example):
    """[14, 15] A pool and a workspace of the host's."""
    folder = example("own_threads")
    cmake(environment, folder)
    environment.tool("cmake", "--build", "build", cwd=folder)
    assert "the same bits" in run("build/own_threads", cwd=folder)


def test_scikit_build_finds_cmake_package(environment):
    """The entry point that tells CMake's prefix."""
    found = environment.run(
        "-c",
        "from importlib.metadata import entry_points\n"
        "from importlib.resources import files\n"
        "(entry,) = entry_points(group='cmake.prefix', name='chanconv')\n"
        "print((files(entry.load()) / 'share/cmake/chanconv/chanconvConfig.cmake').is_file())",
    )
    assert found.strip() == "True"
