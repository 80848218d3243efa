"""The header that carries a credential."""


def key_header(credential: str | None, kind: str = "API key") -> dict[str, str]:
    """Return the header for a credential; none without one. Raises: ValueError, which does not show it."""
    if credential is None:
        return {}
    text = credential.strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        form = "begins with `ms_` and has no spaces" if kind == "API key" else "has no spaces"
        raise ValueError(f"the {kind} is no {kind.rsplit(maxsplit=1)[-1]}: it {form}")
    return {"authorization": f"Bearer {text}"}
