"""Runs the benchmarks: ``python -m benchmarks [CLAIM ...] [--rounds N] [--json FILE]``."""

import argparse
import json
import os
import platform
import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import attrs

from benchmarks import history
from benchmarks.figures import Figure
from benchmarks.server import running

CLAIMS = (
    "create",
    "alone",
    "fetch",
    "instructions",
    "layers",
    "stream",
    "decode",
    "paced",
    "in_flight",
    "footprint",
    "webhook",
    "events",
    "stall",
    "dialler",
    "growth",
    "worker",
)
PACKAGES = ("conference-async", "aiohttp", "attrs", "cattrs", "orjson", "twilio", "uvloop", "yarl")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except ModuleNotFoundError:  # a checkout that is not installed
            found[package] = "checkout"
    return found


def run(claims: list[str], rounds: int) -> dict[str, list[Figure]]:
    """Run each claim's file and print its figures as they come."""
    figures: dict[str, list[Figure]] = {}
    with running() as base_url:
        for claim in claims:
            began = time.monotonic()
            figures[claim] = import_module(f"benchmarks.{claim}").measure(base_url, rounds)
            print(f"\n{claim} ({time.monotonic() - began:.0f} s)", flush=True)
            for figure in figures[claim]:
                print(f"  {figure.row()}", flush=True)
    return figures


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help=f"of {', '.join(CLAIMS)}")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each contender")
    parser.add_argument(
        "--json",
        type=Path,
        help="where to write the figures too; of others than CLAIM, those there stay",
    )
    arguments = parser.parse_args()
    claims: list[str] = arguments.claims or list(CLAIMS)
    if unknown := sorted(set(claims).difference(CLAIMS)):
        parser.error(f"no such claim: {unknown[0]}")
    versions, load = _versions(), os.getloadavg()
    print(" ".join(f"{name} {number}" for name, number in versions.items()))
    print(f"load before: {load[0]:.1f} on {os.cpu_count()} processors")
    figures = run(claims, arguments.rounds)
    if arguments.json:
        rows = {
            claim: [attrs.asdict(figure) | {"met": figure.met} for figure in found]
            for claim, found in figures.items()
        }
        measured = {"versions": versions, "rounds": arguments.rounds, "load_before": load}
        report = measured | {"figures": rows}
        if arguments.claims and arguments.json.exists():
            report = json.loads(arguments.json.read_text())
            report["figures"] |= rows
            report["apart"] = report.get("apart", {}) | dict.fromkeys(rows, measured)
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
        history.keep([figure for found in figures.values() for figure in found])
    missed = [figure for found in figures.values() for figure in found if figure.met is False]
    print(f"\n{len(missed)} goals missed" if missed else "\nall goals met", file=sys.stderr)


if __name__ == "__main__":
    main()
