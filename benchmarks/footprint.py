"""The time and memory that importing costs, each time in a fresh interpreter."""

import json
import os
import subprocess
import sys
from statistics import median

from benchmarks.contenders import OFFICIAL, OURS
from benchmarks.figures import Figure

PARTS = "its dependencies alone"
IMPORTS = {
    OURS: "from conference_async import ConferenceClient, Credentials",
    OFFICIAL: (
        "from twilio.rest import Client\n"
        "from twilio.http.async_http_client import AsyncTwilioHttpClient"
    ),
    PARTS: "import aiohttp, attrs, cattrs, aiolimiter",
}
_READY = {
    OURS: "ConferenceClient(Credentials('AC' + '0' * 32, 't')).conferences('a').participants",
    OFFICIAL: (
        "Client('AC' + '0' * 32, 't', http_client=AsyncTwilioHttpClient(pool_connections=False))"
        ".conferences('a').participants"
    ),
    PARTS: "None",
}
_MEASURING = """
import json, time
before = time.process_time()
{imports}
imported = time.process_time() - before
{ready}
ready = time.process_time() - before
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([imported, ready, int(status["VmRSS"].split()[0]) / 1024]))
"""


def fresh(name: str) -> tuple[float, float, float]:
    """Return seconds to import, seconds until participants can be created, and MiB resident."""
    code = _MEASURING.format(imports=IMPORTS[name], ready=_READY[name])
    done = subprocess.run(
        [sys.executable, "-c", code],
        # Whoever imports twice has the bytecode of the first time.
        env={key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
        check=True,
        capture_output=True,
        text=True,
    )
    imported, ready, resident = json.loads(done.stdout)
    return imported, ready, resident


def measure(base_url: str, rounds: int) -> list[Figure]:  # noqa: ARG001 -- nothing is sent
    """Return the ratios to the official package and to our dependencies."""
    runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in IMPORTS}
    for name in IMPORTS:
        fresh(name)  # writes the bytecode
    for number in range(rounds):
        for name in IMPORTS if number % 2 else reversed(IMPORTS):
            runs[name].append(fresh(name))

    def ratio(other: str, what: int) -> float:
        pairs = zip(runs[OURS], runs[other], strict=True)
        return median(ours[what] / theirs[what] for ours, theirs in pairs)

    figures = [
        Figure(name=f"import: share of {PARTS}", value=ratio(PARTS, 0), unit="of it", goal=1.1),
        Figure(
            name=f"import: share of {OFFICIAL}", value=ratio(OFFICIAL, 0), unit="of it", goal=1.0
        ),
        Figure(
            name=f"ready to create: share of {OFFICIAL}", value=ratio(OFFICIAL, 1), unit="of it"
        ),
        Figure(
            name=f"resident when ready: share of {OFFICIAL}",
            value=ratio(OFFICIAL, 2),
            unit="of it",
            goal=1.0,
        ),
    ]
    for name, found in runs.items():
        figures += [
            Figure(name=f"import: {name}", value=median(run[0] for run in found) * 1e3, unit="ms"),
            Figure(name=f"resident: {name}", value=median(run[2] for run in found), unit="MiB"),
        ]
    return figures
