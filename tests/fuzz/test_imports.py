"""No package of ours uses a function that could execute data from the wire."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for folder in ("libs", "services") for path in (ROOT / folder).rglob("*.py"))

UNPICKLERS = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle", "dbm", "yaml"}
"""Modules that can be made to call what they read; PyYAML does it by default."""

EXECUTORS = {"eval", "exec", "compile", "__import__"}
IMPORTERS = {"importlib", "runpy", "imp", "pkgutil", "zipimport", "code", "codeop"}
HARMLESS = {"importlib.metadata", "importlib.resources"}
"""Modules that read what is installed and run none of it."""

ATTRIBUTES = {"import_module", "run_path", "run_module", "exec_module", "import_string", "find_spec", "__reduce__"}

ALLOWED = {
    "services/cli/millstream_cli/main.py": {
        "importlib": "imports the module of a command, by a table that stands beside it",
        "import_module": "as above",
    },
    "libs/telemetry/millstream_telemetry/own_frames.py": {
        "importlib": "asks where the packages of Millstream are, by a tuple that stands in the module; it imports none",
        "find_spec": "as above",
    },
    "services/cli/millstream_cli/new_project/project_name.py": {
        "importlib": "asks whether a package of that name is installed; a name without dots imports nothing",
        "find_spec": "as above",
    },
    "services/cli/millstream_cli/reloading/options.py": {
        "importlib": "asks whether one library is installed, and does not import it",
        "find_spec": "as above",
    },
    "services/cli/millstream_cli/reloading/source_watcher.py": {
        "importlib": "asks where the package of an app on the command line is; a name without dots imports nothing",
        "find_spec": "as above",
    },
    "services/workers/millstream_workers/app_loader.py": {
        "importlib": "imports the apps that stand on the worker's command line, and nothing that stands in a job",
        "import_module": "as above",
    },
}
"""The exceptions of each module, with the reason."""


def deeds(tree: ast.AST) -> Iterator[str]:
    """Yield the names in a module that could execute data."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from filter(None, (_import(alias.name) for alias in names))
            case ast.ImportFrom(module=str(module), names=names):
                whole = [f"{module}.{alias.name}" for alias in names]
                yield from {_import(module)} - {""} if not set(whole) <= HARMLESS else ()
                yield from (alias.name for alias in names if alias.name in ATTRIBUTES)
            case ast.Call(func=ast.Name(id=name)) if name in EXECUTORS:
                yield name
            case ast.Attribute(attr=name) if name in ATTRIBUTES:
                yield name
            case ast.FunctionDef(name=name) if name in ATTRIBUTES:
                yield name


def _import(module: str) -> str:
    if module in HARMLESS or any(module.startswith(f"{name}.") for name in HARMLESS):
        return ""
    top = module.partition(".")[0]
    return top if top in UNPICKLERS | IMPORTERS else ""


def test_there_are_modules_to_look_at():
    """There are modules to check."""
    assert len(MODULES) > 150
    assert {ROOT / path for path in ALLOWED} <= set(MODULES)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_executes_nothing_that_it_reads(path):
    """No module unpickles, evaluates or imports by a name, unless it is listed with its reason."""
    name = str(path.relative_to(ROOT))
    found = set(deeds(ast.parse(path.read_text())))
    assert found == set(ALLOWED.get(name, ())), (
        f"{name} uses {', '.join(sorted(found)) or 'none of what it is allowed'}"
    )


@pytest.mark.parametrize(
    ("source", "deed"),
    [
        ("import pickle", "pickle"),
        ("import pickle as p", "pickle"),
        ("from marshal import loads", "marshal"),
        ("def f():\n    from yaml import safe_load", "yaml"),
        ("eval('1')", "eval"),
        ("f = lambda s: exec(s)", "exec"),
        ("__import__('os')", "__import__"),
        ("import importlib", "importlib"),
        ("from importlib import import_module", "importlib"),
        ("from importlib import import_module as harmless", "import_module"),
        ("x.import_module(name)", "import_module"),
        ("import runpy", "runpy"),
        ("class A:\n    def __reduce__(self): ...", "__reduce__"),
    ],
)
def test_rule_sees_what_it_forbids(source, deed):
    """The rule finds each forbidden use in an example."""
    assert deed in set(deeds(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    ["import ast, re", "from importlib.metadata import version", "re.compile('a')", "import importlib.resources"],
)
def test_rule_lets_pass_what_executes_nothing(source):
    """The rule accepts code that only looks alike."""
    assert not set(deeds(ast.parse(source)))
