"""docs/handlers/options.md agrees with the options of the SDK."""

from pathlib import Path

import pytest

from millstream_cli.options_page import SECTIONS, Section, options_of, options_page

PAGE = Path(__file__).parents[2] / "docs" / "handlers" / "options.md"


def test_the_page_is_what_the_options_make_it() -> None:
    """The page is what `make docs` makes of the options."""
    assert PAGE.read_text() == options_page()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_every_option_says_what_it_means(section: Section) -> None:
    """Each option that there is stands on the page, and has a docstring."""
    options = list(options_of(section.kind))
    # Those that it takes from another class stand in the section of that.
    assert {option.name for option in options} <= section.kind.__annotations__.keys()
    assert {option.name for one in SECTIONS for option in options_of(one.kind)} >= section.kind.__annotations__.keys()
    assert [option.name for option in options if not option.meaning] == []
