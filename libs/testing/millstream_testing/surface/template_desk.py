"""Answers requests about templates from memory, by the checks of every submission."""

import msgspec

from millstream_contracts import DEFAULT_TENANT, Template, TemplateDefinition, TemplatePage
from millstream_streams import Templates
from millstream_submission import MSGPACK, SubmissionError, decode, shown_template, stored_template
from millstream_testing.surface.refusals import RefusedError, refusal
from millstream_testing.virtual_clock import VirtualClock

_decode = msgspec.msgpack.Decoder(TemplateDefinition).decode


class TemplateDesk:
    """The templates of a test, as the API shows them."""

    def __init__(self, templates: Templates, clock: VirtualClock) -> None:
        self._templates = templates
        self._clock = clock

    async def put(self, name: str, content: bytes) -> tuple[int, Template]:
        """Store a template. Returns: 201 for a new one, else 200, and the template. Raises: RefusedError."""
        try:
            definition = decode(_decode, content, TemplateDefinition)
            stored = stored_template(content, definition, MSGPACK, clock=self._clock.now_s)
        except SubmissionError as error:
            raise refusal(error) from error
        is_new = await self._templates.put(DEFAULT_TENANT, name, stored)
        return (201 if is_new else 200), shown_template(name, stored)

    async def page(self, prefix: str) -> TemplatePage:
        """Return the templates whose names begin so."""
        found = await self._templates.all(DEFAULT_TENANT)
        return TemplatePage(items=[shown_template(name, one) for name, one in found.items() if name.startswith(prefix)])

    async def find(self, name: str) -> Template:
        """Return a template. Raises: RefusedError."""
        stored = await self._templates.get(DEFAULT_TENANT, name)
        if stored is None:
            raise RefusedError(404, "template-not-found", f"there is no template `{name}`")
        return shown_template(name, stored)

    async def remove(self, name: str) -> Template:
        """Remove a template, and return it as it was. Raises: RefusedError."""
        found = await self.find(name)
        await self._templates.remove(DEFAULT_TENANT, name)
        return found
