"""docs/configuration.md agrees with the settings."""

from pathlib import Path

import msgspec
import pytest

from millstream_cli.configuration_page import SECTIONS, configuration_page
from millstream_cli.settings import ALL_SETTINGS, MigrateSettings
from millstream_runtime.settings.page import meanings
from millstream_runtime.settings.reader import variables_of
from millstream_runtime.settings.service_settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_what_the_settings_make_it() -> None:
    """The page is what `make docs` makes of the settings."""
    assert PAGE.read_text() == configuration_page()


@pytest.mark.parametrize("kind", [*ALL_SETTINGS, MigrateSettings])
def test_every_variable_stands_on_the_page_with_its_file_form(kind: type[Settings]) -> None:
    """The page has a row for each field of each settings Struct, with its file form."""
    rows = {line.split(" | ")[0] for line in configuration_page().splitlines() if line.startswith("| `MILLSTREAM_")}
    for field in msgspec.structs.fields(kind):
        variable, *with_file = variables_of(field.name)
        assert f"| `{variable}`" + ", `_FILE`" * len(with_file) in rows


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_every_setting_says_what_it_means(section) -> None:
    """Each field of a settings Struct has a docstring."""
    assert meanings(section.kind).keys() == section.kind.__annotations__.keys()


def test_one_variable_has_one_type_and_one_default_in_all_settings() -> None:
    """A variable has one type and one default in all settings."""
    found: dict[str, set[str]] = {}
    for kind in (*ALL_SETTINGS, MigrateSettings):
        for field in msgspec.structs.fields(kind):
            found.setdefault(field.name, set()).add(f"{field.type!r} {field.default!r}")
    assert {name: kinds for name, kinds in found.items() if len(kinds) > 1} == {}
