# SPDX-License-Identifier: BSD-3-Clause
"""The wheel, built once from the sdist, and a fresh environment that has it.

``CHANCONV_WHEEL`` names a wheel that has been built already. What a downstream build needs comes from the package index;
the tests are skipped where it cannot be reached.
"""

import os
import shutil
from pathlib import Path

import pytest
from downstream import EXAMPLES, TOOLS, build, new_environment


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A folder with the sdist and the wheel that was built from it."""
    pytest.importorskip("build")
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="session")
def wheel(request):
    """The wheel under test."""
    given = os.environ.get("CHANCONV_WHEEL")
    return Path(given) if given else next(request.getfixturevalue("built").glob("*.whl"))


@pytest.fixture(scope="session")
def environment(tmp_path_factory, wheel):
    """A fresh environment with the wheel and the usual tools of a downstream build."""
    return new_environment(tmp_path_factory.mktemp("environment") / "with a space", wheel, *TOOLS)


@pytest.fixture
def example(tmp_path):
    """Copies a folder of examples/embed to where it can be built."""
    return lambda name: Path(shutil.copytree(EXAMPLES / name, tmp_path / name))
