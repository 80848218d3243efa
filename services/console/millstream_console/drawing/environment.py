"""Renders the templates, with every value escaped and every misspelt one an error."""

from collections.abc import Iterator, Mapping
from functools import cache, partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from jinja2.runtime import Context

from millstream_console.drawing import moments, numbers, rates, user_text
from millstream_console.drawing.chart import spark
from millstream_console.drawing.json_tree import json_tree, one_line
from millstream_console.drawing.log_lines import line_blocks, line_text
from millstream_console.drawing.masking import IsSecret, names_none
from millstream_console.drawing.tracebacks import libraries_of, read_traceback

TEMPLATES = Path(__file__).parent.parent / "templates"

FRAME = "_frame.html"
"""What all pages stand in."""

LIVE_PREFIX = "live_"
"""A block of this name has an element of the same id around it, and is sent anew while the page is open."""


class Renderer:
    """Renders pages, and those blocks of pages that are live."""

    def __init__(self, shared: Mapping[str, object], is_secret: IsSecret = names_none) -> None:
        """`shared` is what every template may use; `is_secret` tells keys whose values are hidden."""
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals |= dict(shared)
        self._environment.globals["spark"] = spark
        self._environment.filters |= {
            "plain": user_text.plain,
            "coded": user_text.coded,
            "shortened": user_text.shortened,
            "json_tree": partial(json_tree, is_secret=is_secret),
            "one_line": partial(one_line, is_secret=is_secret),
            "line_text": partial(line_text, is_secret=is_secret),
            "line_blocks": partial(line_blocks, is_secret=is_secret),
            "read_traceback": read_traceback,
            "libraries_of": libraries_of,
            "grouped": numbers.grouped,
            "rate": numbers.rate,
            "length": numbers.length,
            "milliseconds": numbers.milliseconds,
            "share": numbers.share,
            "size": numbers.size,
            "paced": rates.paced,
            "ago": moments.ago,
            "long_ago": moments.long_ago,
            "at": moments.at,
            "clock": moments.clock,
        }
        # As a global, since blocks that are rendered alone do not see what their page imports.
        self._environment.globals["m"] = self._environment.get_template("_macros.html").module
        self._live_blocks = cache(self._find_live_blocks)

    def load(self) -> None:
        """Load all templates now: the first who opens a page would wait for it."""
        for name in self._environment.list_templates(extensions=["html"]):
            self._environment.get_template(name)

    def page(self, template: str, context: Mapping[str, object]) -> str:
        """Return a page."""
        return self._environment.get_template(template).render(context)

    def blocks(self, template: str, context: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Yield the live blocks of a page, by name."""
        for owner, name in self._live_blocks(template):
            made: Context = owner.new_context(dict(context))
            yield name, "".join(owner.blocks[name](made))

    def _find_live_blocks(self, template: str) -> list[tuple[Template, str]]:
        """Return the live blocks of a page and of its frame, each with the template that has it."""
        owners = {
            name: owner
            for owner in map(self._environment.get_template, (FRAME, template))
            for name in owner.blocks
            if name.startswith(LIVE_PREFIX)
        }
        return [(owner, name) for name, owner in sorted(owners.items())]
