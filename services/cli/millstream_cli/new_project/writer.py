"""Writes the files of a new project: all of them or, into a folder that is not empty, none."""

from importlib.resources import files
from pathlib import Path

from millstream_cli.errors import ProjectError
from millstream_cli.new_project.project_name import ProjectName

FILES = {
    "README.md": "README.md.tmpl",
    "pyproject.toml": "pyproject.toml.tmpl",
    "compose.yaml": "compose.yaml.tmpl",
    ".gitignore": "gitignore.tmpl",
    "{{ package }}/__init__.py": "init.py.tmpl",
    "{{ package }}/__main__.py": "main.py.tmpl",
    "{{ package }}/jobs.py": "jobs.py.tmpl",
    "tests/conftest.py": "conftest.py.tmpl",
    "tests/test_jobs.py": "test_jobs.py.tmpl",
}
"""The files of a project, and the template of each."""


def write_project(folder: Path, name: ProjectName) -> list[Path]:
    """Write a project into a folder that is new or empty. Return its files. Raises: ProjectError, OSError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ProjectError(
            f"{folder} exists and is {'not empty' if folder.is_dir() else 'a file'}: choose another place"
        )
    templates = files("millstream_cli.new_project") / "templates"
    texts = {
        folder / _filled(path, name): _filled((templates / template).read_text(encoding="utf-8"), name)
        for path, template in FILES.items()
    }
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def _filled(text: str, name: ProjectName) -> str:
    values = {"name": name.text, "package": name.package, "type": name.type_prefix}
    for word, value in values.items():
        text = text.replace(f"{{{{ {word} }}}}", value)
    return text
