"""`check` reads handlers without Redis, and says in one line what is wrong with them."""

import json
import sys

import pytest
from cli.commands import refused, run, run_program

from millstream_contracts import DEFAULT_MAX_ATTEMPTS

GOOD = """
import msgspec
from millstream import App, Retry
app = App("shop")
class Invoice(msgspec.Struct):
    invoice_id: int
@app.job("invoice.send", timeout=30, retry=Retry(max_attempts=7))
async def send(payload: Invoice) -> str: ...
@app.job("invoice.print", isolation="process")
def print_it(payload: Invoice) -> None: ...
"""

HEAD = "from millstream import App\napp = App('shop')\n"
PATTERN = "import typing, msgspec\nCode = typing.Annotated[str, msgspec.Meta(pattern='(?<=a)b')]\n"

BROKEN = {
    "a syntax error": ("def (", "SyntaxError"),
    "an error at import": ("raise LookupError('no city')", "LookupError: no city"),
    "a missing module": ("import nowhere_to_be_found", "nowhere_to_be_found"),
    "a bad job type": (f"{HEAD}@app.job('Bad Name')\ndef f(): ...", "`Bad Name` is no job type"),
    "a misspelt option": (f"{HEAD}@app.job('a.b', timeouts=3)\ndef f(): ...", "timeout"),
    "an annotation of nothing": (f"{HEAD}@app.job('a.b')\ndef f(payload: 'Nope'): ...", "Nope"),
    "an annotation that is no data": (f"{HEAD}@app.job('a.b')\ndef f(payload: type(app)): ...", "App"),
    "two handlers of a type": (f"{HEAD}@app.job('a.b')\ndef f(): ...\n@app.job('a.b')\ndef g(): ...", "a.b"),
    "too many arguments": (f"{HEAD}@app.job('a.b')\ndef f(a: int, b: int): ...", "f"),
    "a payload that cannot arrive": (
        f"{HEAD}@app.job('a.b')\ndef f(to: complex): ...",
        "`complex` has no schema",
    ),
    "a pattern that only Python reads": (
        f"{HEAD}{PATTERN}@app.job('a.b')\ndef f(code: Code): ...",
        "cannot be checked: the pattern",
    ),
    "a schedule that is never due": (
        f"{HEAD}@app.cron('a.b', '0 0 31 2 *')\ndef f(): ...",
        "is never due",
    ),
    "two schedules of a name": (
        f"{HEAD}@app.job('a.b')\ndef f(): ...\nf.schedule('x', 60)\nf.schedule('x', 90)",
        "schedule `x` is declared twice",
    ),
    "an unknown isolation": (f"{HEAD}@app.job('a.b', isolation='fiber')\ndef f(): ...", "fiber"),
}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes a module where commands look for it, and returns its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    names = []

    def write_module(text: str) -> str:
        name = f"shop_{abs(hash((text, tmp_path)))}"
        (tmp_path / f"{name}.py").write_text(text)
        names.append(name)
        return name

    yield write_module
    for name in names:
        sys.modules.pop(name, None)


def test_check_shows_what_the_handlers_promise(write):
    """`check` lists each type with its isolation, attempts and timeout."""
    result = run("check", f"{write(GOOD)}:app")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    assert [[row[0], *row[-3:]] for row in rows if row and row[0].startswith("invoice.")] == [
        ["invoice.send", "loop", "7", "30.0"],
        ["invoice.print", "process", str(DEFAULT_MAX_ATTEMPTS), "none"],
    ]


def test_check_shows_when_schedules_are_due(write):
    """Beside its handlers, the schedules of an app are shown in words."""
    name = write(f"{HEAD}@app.cron('shop.close', '0 18 * * mon-fri', tz='Europe/Paris')\ndef close(): ...")
    result = run("check", f"{name}:app")
    assert result.exit_code == 0, result.output
    assert "Monday to Friday at 18:00, Paris time" in result.output


def test_check_prints_json_with_the_schemas(write):
    """`check --json` prints the registrations with their schemas."""
    found = json.loads(run("check", f"{write(GOOD)}:app", "--json").stdout)
    assert [one["type"] for one in found] == ["invoice.send", "invoice.print"]
    assert found[0]["payload_schema"]["$defs"]["Invoice"]["required"] == ["invoice_id"]


@pytest.mark.parametrize("kind", BROKEN)
def test_check_finds_what_is_broken(write, kind):
    """`check` names a broken handler in one line, and exits with 1."""
    text, says = BROKEN[kind]
    refused(run("check", f"{write(text)}:app"), says, code=1)


@pytest.mark.parametrize(
    ("ref", "says"),
    [
        ("nowhere:app", "cannot import `nowhere`"),
        ("nowhere", "write module:attribute"),
        (":app", "write module:attribute"),
        ("nowhere:", "write module:attribute"),
        ("..up:app", "write module:attribute"),
        ("os:path", "is no millstream.App"),
        ("os:nothing", "no such attribute"),
    ],
)
def test_check_refuses_what_names_no_app(ref, says):
    """`check` refuses a reference to no app, and says what it should be."""
    refused(run("check", ref), says, code=1)


def test_check_refuses_an_app_without_handlers(write):
    """`check` refuses an app without handlers."""
    result = run("check", f"{write(HEAD)}:app")
    assert (result.exit_code, result.stdout) == (1, "no handlers\n")


def test_check_needs_an_app():
    """`check` without an app is refused."""
    refused(run("check"), "Missing argument 'APPS...'", code=2)


def test_check_refuses_apps_with_the_same_type(write):
    """`check` refuses two apps with the same type, and names it."""
    assert "`invoice.send`" in refused(run("check", f"{write(GOOD)}:app", f"{write(GOOD + ' ')}:app"), code=1)


def test_program_finds_apps_in_the_folder_it_is_called_in(tmp_path):
    """The program finds apps in the current folder, which comes last on the path."""
    (tmp_path / "shop.py").write_text(GOOD)
    for name in ("queue.py", "redis.py", "click.py", "millstream_contracts.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')")
    done = run_program("check", "shop:app", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [one["type"] for one in json.loads(done.stdout)] == ["invoice.send", "invoice.print"]
