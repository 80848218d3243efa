"""Measures peers and Millstream in turn: `python benchmarks/peers [--peers A,B] [--jobs N] [--rounds N]`."""

import argparse
import json
import os
import platform
import signal
import statistics
import sys
from pathlib import Path

from catalog import MILLSTREAM, PEERS, System
from contest import MEASUREMENTS, Row, contest
from installer import NotInstallableError, install
from measurer import Bench
from redis_server import fresh_redis

ENVIRONMENTS = Path(__file__).parents[2] / ".venv-peers"


def main() -> None:
    """Measure the chosen peers one after the other, each in turn with Millstream."""
    options = _options()
    # As an exception, so that everything started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, Redis {_redis_version()}"
    )
    print(f"{options.jobs:,} jobs of 200 bytes after a tenth as warm-up; {options.rounds} round(s), medians")
    print("A Redis of its own for each figure, on loopback, without persistence. Ratio: how many times better we are.")
    print(f"{MILLSTREAM.name}: {MILLSTREAM.settings}")
    found = {system.name: rows for system in options.peers if (rows := _measure(system, options))}
    _summarize(found)
    print(json.dumps({"benchmark": "peers", "jobs": options.jobs, "rounds": options.rounds, "peers": _plain(found)}))
    sys.exit(not found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/peers", description=__doc__)
    names = ",".join(system.name for system in PEERS)
    parser.add_argument("--peers", type=_chosen_peers, default=PEERS, help=f"of {names}; all by default")
    parser.add_argument(
        "--measure", type=_chosen_measurements, default=MEASUREMENTS, help="of " + ",".join(MEASUREMENTS)
    )
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=400, help="of latency")
    parser.add_argument("--environments", type=Path, default=ENVIRONMENTS, help="where the peers are installed")
    return parser.parse_args()


def _chosen_peers(text: str) -> list[System]:
    known = {system.name: system for system in PEERS}
    return [known[name] for name in _chosen(text, tuple(known))]


def _chosen_measurements(text: str) -> list[str]:
    return _chosen(text, MEASUREMENTS)


def _chosen(text: str, known: tuple[str, ...]) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(known):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    return names


def _measure(system: System, options: argparse.Namespace) -> list[Row]:
    """Return the figures of a peer, or none, with the reason printed, when it cannot be measured here."""
    print(f"\n{system.name} ({', '.join(system.requires)})\n  settings: {system.settings}")
    if system.own_benchmark:
        print(f"  follows {system.own_benchmark}")
    try:
        home = install(system, options.environments.resolve())
    except NotInstallableError as error:
        print(f"  SKIPPED: {error}")
        return []
    rows = contest(Bench(system, home), Bench(MILLSTREAM, None), options, _note)
    _show(system, rows)
    return rows


def _note(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)


def _show(system: System, rows: list[Row]) -> None:
    print(f"  {'':<36}{system.name:>16}{MILLSTREAM.name:>16}{'ratio':>9}")
    for row in rows:
        values = [_number(statistics.median(values)) for values in (row.theirs, row.ours)]
        print(f"  {row.figure:<36}{values[0]:>16}{values[1]:>16}{row.ratio():>9.2f}")
    sys.stdout.flush()


def _summarize(found: dict[str, list[Row]]) -> None:
    """Print the ratios of all peers, a line each."""
    if not found:
        return
    print("\nratios, ours to theirs; below 1 the peer is better")
    figures = list(dict.fromkeys(row.figure for rows in found.values() for row in rows))
    for number, figure in enumerate(figures, 1):
        print(f"  {number:>2}  {figure}")
    print(f"  {'':<16}" + "".join(f"{number:>8}" for number in range(1, len(figures) + 1)))
    for name, rows in found.items():
        ratios = {row.figure: f"{row.ratio():.2f}" for row in rows}
        print(f"  {name:<16}" + "".join(f"{ratios.get(figure, '-'):>8}" for figure in figures))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.4g}"


def _plain(found: dict[str, list[Row]]) -> dict[str, dict[str, dict[str, object]]]:
    return {
        name: {
            row.figure: {
                "theirs": [round(value, 3) for value in row.theirs],
                "ours": [round(value, 3) for value in row.ours],
                "ratio": round(row.ratio(), 3),
            }
            for row in rows
        }
        for name, rows in found.items()
    }


def _redis_version() -> str:
    with fresh_redis() as redis:
        return redis.version


if __name__ == "__main__":
    main()
