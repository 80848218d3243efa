"""The list of templates, and one of them."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from millstream import Client
from millstream_console.live.view import Content, View
from millstream_console.pages.templates import template_words
from millstream_console.web.visit import Visit

PAGE = 100


async def read_templates(client: Client, *, name: str, cursor: str) -> Content:
    """Return a page of templates by name, those whose name begins with a text."""
    page = await client.templates(name=name or None, cursor=cursor or None, limit=PAGE)
    return {
        "templates": page.items,
        "next_cursor": page.next_cursor,
        "cursor": cursor,
        "name": name,
        "words": template_words,
    }


async def read_template(client: Client, *, name: str) -> Content:
    """Return one template. Raises: ApiError."""
    return {"template": await client.template(name), "words": template_words}


TEMPLATES = View("templates.html", read_templates, "templates")
TEMPLATE = View("template.html", read_template, "templates")


@get("/templates")
async def show_templates(visit: Visit) -> Response[Any]:
    """Show templates."""
    return await visit.show(TEMPLATES, name=visit.text("name"), cursor=visit.text("cursor"))


@get("/templates/{name:str}")
async def show_template(visit: Visit, name: FromPath[str]) -> Response[Any]:
    """Show one template."""
    return await visit.show(TEMPLATE, name=name)


@post("/templates/{name:str}/remove")
async def remove_template(visit: Visit, name: FromPath[str]) -> Response[bytes]:
    """Remove a template."""
    doing = visit.client.remove_template(name)
    return await visit.act(doing, back="/templates", done=lambda gone: f"{gone.name} is removed.")


HANDLERS = (show_templates, show_template, remove_template)
