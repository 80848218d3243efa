"""What a template says besides type and payload, in words."""

from collections.abc import Iterator

from millstream_contracts import Priority, Template

_SECONDS = {"delay_s": "after {:g} s", "expires_in_s": "expires in {:g} s", "timeout_s": "{:g} s an attempt"}


def options_of(template: Template) -> str:
    """Return the options of a template, in one line; empty when it has none."""
    return ", ".join(_options(template))


def _options(template: Template) -> Iterator[str]:
    if template.priority is not Priority.NORMAL:
        yield f"{template.priority} priority"
    if template.key is not None:
        yield f"key {template.key}"
    for name, words in _SECONDS.items():
        if (seconds := getattr(template, name)) is not None:
            yield words.format(seconds)
    if template.max_attempts is not None:
        yield f"{template.max_attempts} {'attempt' if template.max_attempts == 1 else 'attempts'}"
    if template.backoff is not None:
        yield f"{template.backoff.kind} backoff"
    if template.callback is not None:
        yield "a callback"
