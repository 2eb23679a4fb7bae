"""Fails if a ratio has fallen below its floor: ``python -m benchmarks.guard [--write]``.

Ratios of processor time within one run hardly depend on the machine or on what else it does, so
they can be compared with those of another day; ratios of instructions depend on neither. A floor
is what was measured, less a margin.
"""

import argparse
import json
from pathlib import Path

from benchmarks.__main__ import run

FLOORS = Path(__file__).with_name("floors.json")
GUARDED = ("create", "fetch", "instructions", "stream", "decode", "in_flight", "webhook")
ROUNDS = 15


def main() -> None:
    """Measure, then compare, or write new floors."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description=__doc__)
    parser.add_argument("--write", action="store_true", help="take what is measured for floors")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of each contender")
    arguments = parser.parse_args()
    figures = run(list(GUARDED), arguments.rounds)
    ratios = {
        figure.name: figure for found in figures.values() for figure in found if figure.guarded
    }
    if arguments.write:
        floors = {name: round(each.value * (1 - each.margin), 3) for name, each in ratios.items()}
        FLOORS.write_text(json.dumps(floors, indent=1) + "\n")
        return
    floors = json.loads(FLOORS.read_text())
    fallen = [
        f"{name}: {ratios[name].value:.3g}, and may not be below {floor:g}"
        for name, floor in floors.items()
        if name in ratios and ratios[name].value < floor
    ]
    raise SystemExit("\n".join(["slower than it was:", *fallen]) if fallen else 0)


if __name__ == "__main__":
    main()
