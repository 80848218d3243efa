"""Answers probes. The console is ready as soon as it serves: without the API it says so on its pages."""

from litestar import MediaType, get

from millstream_console.web.observation import UNOBSERVED


@get(["/livez", "/readyz"], media_type=MediaType.TEXT, opt={UNOBSERVED: True})
async def answer_probe() -> str:
    """Say that the console serves."""
    return "ok\n"


HANDLERS = (answer_probe,)
