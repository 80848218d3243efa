"""Serves the files of `static/`, each under an address with the hash of its content, which a browser keeps for ever."""

import gzip
from collections.abc import Mapping
from hashlib import sha256
from mimetypes import guess_type
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from msgspec import Struct

from millstream_console.web.observation import UNOBSERVED

STATIC = Path(__file__).parent.parent / "static"
KINDS = frozenset({".css", ".js", ".svg"})
HASH_CHARS = 12

_KEEP = "public, max-age=31536000, immutable"


class Asset(Struct, frozen=True):
    """A file as it is sent."""

    address: str
    """`static/<hash>/<name>`, below the path of the console."""
    media_type: str
    body: bytes
    packed: bytes
    """The body, by gzip."""


class Assets:
    """The files by name. They are read once."""

    def __init__(self, folder: Path = STATIC) -> None:
        files = [file for file in sorted(folder.rglob("*")) if file.suffix in KINDS]
        self._assets = {file.relative_to(folder).as_posix(): _read(file, folder) for file in files}

    @property
    def addresses(self) -> Mapping[str, str]:
        """Return the address of each file, by its name, such as `vendor/htmx.min.js`."""
        return {name: asset.address for name, asset in self._assets.items()}

    def find(self, address: str) -> Asset | None:
        """Return the file with an address. An address with another hash is that of another release."""
        name = address.split("/", 2)[-1]
        asset = self._assets.get(name)
        return asset if asset and asset.address == address else None


@get("/static/{path:path}", opt={UNOBSERVED: True})
async def send_asset(
    request: Request[Any, Any, Any], assets: NamedDependency[Assets], path: FromPath[str]
) -> Response[bytes]:
    """Send a file."""
    asset = assets.find(f"static/{path.lstrip('/')}")
    if asset is None:
        raise NotFoundException
    headers = {"Cache-Control": _KEEP, "Vary": "Accept-Encoding"}
    if accepts_gzip(request):
        return Response(asset.packed, media_type=asset.media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(asset.body, media_type=asset.media_type, headers=headers)


def accepts_gzip(request: Request[Any, Any, Any]) -> bool:
    """Return whether the browser takes what gzip has packed."""
    return "gzip" in request.headers.get("accept-encoding", "")


def _read(file: Path, folder: Path) -> Asset:
    body = file.read_bytes()
    digest = sha256(body).hexdigest()[:HASH_CHARS]
    return Asset(
        address=f"static/{digest}/{file.relative_to(folder).as_posix()}",
        media_type=guess_type(file.name)[0] or "application/octet-stream",
        body=body,
        packed=gzip.compress(body, mtime=0),
    )
