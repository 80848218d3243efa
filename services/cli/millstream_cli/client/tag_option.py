"""The option `--tag` of commands."""

import click

tag_option = click.option("--tag", "tags", multiple=True, help="key=value; may be given again.")


def read_tags(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return the tags that were given as key=value. Raises: click.BadParameter."""
    tags = {}
    for pair in pairs:
        key, found, value = pair.partition("=")
        if not found:
            raise click.BadParameter(f"`{pair}` is not key=value", param_hint="--tag")
        tags[key] = value
    return tags
