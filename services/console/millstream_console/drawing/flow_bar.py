"""The bar that shows how far jobs are that belong together."""

from collections.abc import Iterable

from markupsafe import Markup


def flow_bar(parts: Iterable[tuple[str, int]], total: int, say: str) -> Markup:
    """Draw parts of a total, each with its look and its number, from the left; `say` tells the same in words."""
    begin, drawn = 0.0, Markup("")
    for look, count in parts:
        share = 100 * count / (total or 1)
        if count:
            drawn += Markup('<rect class="f-{}" x="{:.1f}%" width="{:.1f}%" height="6"/>').format(look, begin, share)
        begin += share
    return Markup(
        '<svg class="flowbar" width="120" height="6" role="img" aria-label="{}"><rect width="100%" height="6"/>{}</svg>'
    ).format(say, drawn)
