# SPDX-License-Identifier: BSD-3-Clause
"""The wheel and the sdist as files."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from downstream import ROOT, build, run

HERE = Path(__file__).parent


def names_in(wheel):
    """The files of a wheel, without what differs by platform and version."""
    names = zipfile.ZipFile(wheel).namelist()
    return sorted(re.sub(r"_chanconv\..*\.so", "_chanconv.so", re.sub(r"-[\d.]+\.dist-info", ".dist-info", n)) for n in names)


def test_files_of_the_wheel(wheel):
    """[34] All that embedders need is there, and nothing that was not meant to be."""
    expected = (HERE / "wheel_files.txt").read_text().split()
    assert names_in(wheel) == expected


def test_files_of_the_sdist(built):
    """[34] All sources, and nothing that was built."""
    (sdist,) = built.glob("*.tar.gz")
    names = {name.partition("/")[2] for name in tarfile.open(sdist).getnames()}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split("\n")
    sources = {name for name in listed if name.endswith((".c", ".h", ".py", ".pyx", ".pxi", ".pxd", ".pyi", ".in", ".txt", ".md"))}
    assert not {name for name in sources if name not in names and not name.startswith(".") and (ROOT / name).exists()}
    assert not {name for name in names if name.endswith((".so", ".o", ".a", ".pyc", "_chanconv.c"))}
    assert not {name for name in names if name.startswith(("chanconv/include", "chanconv/lib/", "chanconv/share"))}


# Somewhat above what GCC 12 makes of it, 1.90 and 4.8 MB. The library is in it twice: in the extension module, and as libchanconv.a.
WHEEL_BYTES, INSTALLED_BYTES = 1_960_000, 4_950_000


def test_size(wheel):
    """[38] A wheel that grows by a tenth does so on purpose."""
    if not wheel.name.endswith("linux_x86_64.whl") or "gcc" not in (sysconfig.get_config_var("CC") or ""):
        pytest.skip("measured with GCC, for Linux on x86-64")
    entries = zipfile.ZipFile(wheel).infolist()
    assert wheel.stat().st_size < WHEEL_BYTES, sorted((entry.compress_size, entry.filename) for entry in entries)[-5:]
    assert sum(entry.file_size for entry in entries) < INSTALLED_BYTES


def test_tag(wheel):
    """[2] One wheel for every Python from 3.11 on."""
    if sys.implementation.name == "cpython" and not sys.flags.ignore_environment:
        assert "-cp311-abi3-" in wheel.name or "t-" in wheel.name


def test_reproducible(built, tmp_path, monkeypatch):
    """[35] Another build, in another folder and at another time, gives the same wheel."""
    (first,) = built.glob("*.whl")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    (second,) = build(tmp_path / "a folder with another name").glob("*.whl")
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (first, second)]
    if digests[0] != digests[1]:
        contents = [zipfile.ZipFile(path) for path in (first, second)]
        pytest.fail(str([n for n in contents[0].namelist() if contents[0].read(n) != contents[1].read(n)]))


@pytest.mark.skipif(not importlib.util.find_spec("twine"), reason="there is no twine")
def test_metadata(built):
    run(sys.executable, "-m", "twine", "check", "--strict", *built.iterdir())


@pytest.mark.skipif(not importlib.util.find_spec("abi3audit"), reason="there is no abi3audit")
def test_stable_abi(wheel):
    """[2] Nothing beyond the limited API of 3.11."""
    if "abi3" not in wheel.name:
        pytest.skip("a wheel of one Python")
    run(sys.executable, "-m", "abi3audit", "--strict", "--verbose", wheel)


@pytest.mark.skipif(not importlib.util.find_spec("auditwheel"), reason="there is no auditwheel")
def test_platform(wheel):
    """[19] What the wheel takes from the system is within manylinux_2_28."""
    if not shutil.which("readelf") or not wheel.name.endswith("linux_x86_64.whl"):
        pytest.skip("not Linux on x86-64")
    shown = run(sys.executable, "-m", "auditwheel", "show", wheel)
    tag = re.search(r'"manylinux_2_(\d+)_x86_64"', shown)
    assert tag and int(tag[1]) <= int(os.environ.get("CHANCONV_MANYLINUX", "34")), shown
