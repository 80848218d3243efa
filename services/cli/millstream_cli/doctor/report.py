"""What the doctor found in all parts of the system, and how it is shown."""

from collections.abc import Sequence

import click
from msgspec import Struct

from millstream_runtime.examination.section import Section


class Report(Struct, frozen=True):
    """What was found out about the whole system."""

    sections: Sequence[Section]

    @property
    def objections(self) -> list[str]:
        """What must change, in any part."""
        return [line for section in self.sections for line in section.objections]

    @property
    def advice(self) -> list[str]:
        """What could be better, in any part."""
        return [line for section in self.sections for line in section.advice]

    def show(self) -> None:
        """Print it for people."""
        for section in self.sections:
            click.echo(section.headline)
            for line in section.objections:
                click.echo(f"  must change: {line}")
            for line in section.advice:
                click.echo(f"  could be better: {line}")
