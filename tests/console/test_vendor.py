"""Scripts that are not ours are those that were published, and say whose they are."""

import tomllib
from hashlib import sha256

from millstream_console.web.assets import STATIC

VENDOR = STATIC / "vendor"


def test_every_script_is_the_published_one() -> None:
    """Each file beside `vendor.toml` is named in it, with its hash."""
    scripts = tomllib.loads((VENDOR / "vendor.toml").read_text())["script"]
    found = {file.name: sha256(file.read_bytes()).hexdigest() for file in VENDOR.glob("*.js")}
    assert found == {one["file"]: one["sha256"] for one in scripts}
    assert all(one["version"] and one["licence"] for one in scripts)
    assert list(VENDOR.glob("LICENSE*"))
