"""Templates of submissions: what clients put, checked by the rules of every submission."""

from collections.abc import Sequence

from millstream_contracts import (
    FieldError,
    Template,
    TemplateDefinition,
    TemplatePage,
    Tenant,
    is_among,
    limits,
)
from millstream_ingest.http.allowed_types import check_type
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.negotiation import Encoding
from millstream_ingest.http.problems import INVALID_REQUEST, TEMPLATE_NOT_FOUND
from millstream_ingest.inspection.name_pages import page_of
from millstream_ingest.submission.bodies import CODECS, decode_as
from millstream_streams import RedisClock, Templates
from millstream_submission import shown_template, stored_template


class TemplateDesk:
    """The templates of all tenants. Every method may raise StoreError."""

    def __init__(self, templates: Templates, clock: RedisClock) -> None:
        self._templates = templates
        self._clock = clock

    async def put(
        self, tenant: Tenant, name: str, body: bytes, encoding: Encoding, *, types: Sequence[str] = ()
    ) -> tuple[Template, bool]:
        """Store a template. Returns: it, and whether it is new. Raises: SubmissionError, IngestError (403, 422).

        `types` are the patterns that its type has to match, where there are any.
        """
        definition = decode_as(TemplateDefinition, body, encoding)
        check_type(types, definition.type)
        stored = stored_template(body, definition, CODECS[encoding], clock=self._clock.now_s)
        if await self._templates.get(tenant, name) is None:
            await self._make_room(tenant)
        is_new = await self._templates.put(tenant, name, stored)
        return shown_template(name, stored), is_new

    async def page(
        self, tenant: Tenant, *, prefix: str, cursor: str | None, limit: int, types: Sequence[str] = ()
    ) -> TemplatePage:
        """Return a page of templates by name, with `types` of those whose types match. Raises: CursorError."""
        stored = await self._templates.all(tenant)
        names = [name for name in stored if name.startswith(prefix)]
        if types:
            names = [name for name in names if is_among(shown_template(name, stored[name]).type, types)]
        page, next_cursor = page_of(names, str, cursor, limit)
        return TemplatePage(items=[shown_template(name, stored[name]) for name in page], next_cursor=next_cursor)

    async def find(self, tenant: Tenant, name: str) -> Template:
        """Return a template. Raises: IngestError (404)."""
        stored = await self._templates.get(tenant, name)
        if stored is None:
            raise IngestError(TEMPLATE_NOT_FOUND, f"there is no template `{name}`")
        return shown_template(name, stored)

    async def remove(self, tenant: Tenant, name: str) -> Template:
        """Remove a template, and return it as it was. Raises: IngestError (404)."""
        found = await self.find(tenant, name)
        await self._templates.remove(tenant, name)
        return found

    async def _make_room(self, tenant: Tenant) -> None:
        if await self._templates.count(tenant) >= limits.MAX_TEMPLATES:
            detail = f"there are {limits.MAX_TEMPLATES:,} templates already, which is the most"
            raise IngestError(INVALID_REQUEST, detail, [FieldError("", detail)])
