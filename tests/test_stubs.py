# SPDX-License-Identifier: BSD-3-Clause
"""The type stubs say what the modules hold."""

import ast
import inspect
from pathlib import Path

import pytest

import chanconv
from chanconv import _chanconv

PACKAGE = Path(chanconv.__file__).parent


def stub(name):
    return ast.parse((PACKAGE / name).read_text(encoding="utf-8"))


def functions(tree):
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def parameters_of_stub(node):
    """[(name, whether keyword-only, default)] as text."""
    arguments = node.args
    plain = arguments.posonlyargs + arguments.args
    defaults = [None] * (len(plain) - len(arguments.defaults)) + arguments.defaults
    rows = [(a.arg, False, d) for a, d in zip(plain, defaults, strict=True)]
    rows += [(a.arg, True, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    return [(name, keyword, default and ast.literal_eval(default)) for name, keyword, default in rows]


def parameters_of_function(function):
    return [
        (p.name, p.kind is p.KEYWORD_ONLY, None if p.default is p.empty else p.default)
        for p in inspect.signature(function).parameters.values()
    ]


@pytest.mark.parametrize("name", functions(stub("__init__.pyi")))
def test_signatures(name):
    node = functions(stub("__init__.pyi"))[name]
    assert parameters_of_stub(node) == parameters_of_function(getattr(chanconv, name))


def test_public_names():
    tree = stub("__init__.pyi")
    listed = next(ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign))
    assert listed == chanconv.__all__ == sorted(chanconv.__all__)
    assert all(hasattr(chanconv, name) for name in listed)
    assert set(functions(tree)) <= set(listed)
    public = {n for n in vars(chanconv) if not n.startswith("_") and callable(getattr(chanconv, n))}
    assert public - {"import_module"} <= set(listed)


def test_extension_module():
    tree = stub("_chanconv.pyi")
    named = functions(tree).keys() | {n.target.id for n in tree.body if isinstance(n, ast.AnnAssign)}
    named |= {n.name for n in tree.body if isinstance(n, ast.ClassDef)} | {"prod"}
    held = {name for name in vars(_chanconv) if not name.startswith("_")}
    assert held == {name for name in named if not name.startswith("_")}


@pytest.mark.parametrize("name", [n for n in chanconv.__all__ if inspect.isfunction(getattr(chanconv, n))])
def test_documentation(name):
    """numpydoc with the sections that a reader looks for, and every parameter in it."""
    function = getattr(chanconv, name)
    text = inspect.getdoc(function)
    for parameter in inspect.signature(function).parameters:
        assert parameter in text
    if function.__module__ == "chanconv.ops":
        assert all(section in text for section in ("Parameters\n---", "Returns\n---", "Raises\n---", "Examples\n---"))
