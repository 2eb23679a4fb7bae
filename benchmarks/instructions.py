"""Processor instructions of an operation, and of importing, counted by valgrind's callgrind.

There is no clock in this, and no noise.

Each contender does an operation so many times in a process of its own under callgrind, and twice
as many times in another one. The difference is what the operations took. Counting begins when the
contender is warm: what is not counted, such as imports, runs ten times as fast. Only user code
counts: neither the kernel nor the processor's caches do, so times stand beside this.
"""

import asyncio
import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path

import aiohttp
from yarl import URL

from benchmarks.contenders import BY_HAND, CALL_SIDS, CONTENDERS, OFFICIAL, OURS
from benchmarks.figures import Figure
from benchmarks.footprint import IMPORTS, PARTS, fresh
from benchmarks.server import ACCOUNT_SID, ROOM, room_of

FLOOR = "floor"
PAGE = 1000
TIMES = {"create": 20, "fetch": 20, "page": 2}
"""How often each operation is done to be warm, how often as work, and how often more."""
OF_ONE = {"create": 1, "fetch": 1, "page": PAGE}
"""What an operation's instructions are divided by: those of a page are one participant's."""
GOALS = {
    ("create", OFFICIAL): 1.9,
    ("create", BY_HAND): 1.2,
    ("fetch", OFFICIAL): 1.6,
    ("fetch", BY_HAND): 0.97,
    ("page", OFFICIAL): 3.3,
    ("page", BY_HAND): 0.45,
}
IMPORT_GOALS = {OFFICIAL: 1.0, PARTS: 1 / 1.1}
_FORM = (
    b"From=%2B15017122661&To=%2B15558675310&Label=alice&EarlyMedia=true&Timeout=30"
    b"&StatusCallback=https%3A%2F%2Fexample.com%2Fevents&StatusCallbackEvent=ringing"
    b"&StatusCallbackEvent=answered&StatusCallbackEvent=completed"
)
_ENDED = "import os\nos._exit(0)"
"""Ends an import: to take apart what it has loaded is no part of it."""
_COLLECTED = re.compile(r"Collected : (\d+)")


class Floor:
    """aiohttp's session with a ready URL and body, and the reply's bytes: what nobody can beat.

    It has no cookies, follows no redirect, unpacks nothing and never times out.
    """

    def __init__(self, base_url: str, *, connections: int) -> None:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": aiohttp.encode_basic_auth(ACCOUNT_SID, "token")},
            connector=aiohttp.TCPConnector(limit=connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        )
        room = f"{base_url}/2010-04-01/Accounts/{ACCOUNT_SID}/Conferences/{ROOM}"
        self._create = URL(f"{room}/Participants.json", encoded=True)
        self._fetch = cycle(
            [URL(f"{room}/Participants/{sid}.json", encoded=True) for sid in CALL_SIDS]
        )
        self._headers = {"Content-Type": "application/x-www-form-urlencoded"}

    async def create(self) -> object:
        """Dial somebody."""
        response = await self._session.post(
            self._create, data=_FORM, headers=self._headers, allow_redirects=False
        )
        return await response.read()

    async def fetch(self) -> object:
        """Fetch one participant."""
        response = await self._session.get(next(self._fetch), allow_redirects=False)
        return await response.read()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()


async def _work(name: str, operation: str, times: int, base_url: str) -> None:
    """Do an operation so many times, one after the other, as the process that is counted."""
    contender = (
        Floor(base_url, connections=1)
        if name == FLOOR
        else CONTENDERS[name](base_url, connections=1)
    )
    once: Callable[[], Awaitable[object]] = (
        partial(contender.stream, room_of(PAGE), PAGE)
        if operation == "page" and not isinstance(contender, Floor)
        else getattr(contender, operation)
    )
    for _ in range(TIMES[operation]):
        await once()
    # A collection of garbage looks at all that a process has loaded, and falls on whoever happens
    # to be at work: from here on it looks at what the operations made.
    gc.collect()
    gc.freeze()
    _count("on")
    for _ in range(times):
        await once()
    _count("off")
    await contender.aclose()


def _count(switch: str) -> None:
    """Let callgrind count from here on, or no more."""
    command = ["callgrind_control", "-i", switch, str(os.getpid())]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _counted(name: str, operation: str, times: int, base_url: str) -> int:
    """Return the instructions of a process that does an operation so many times."""
    work = ("-m", "benchmarks.instructions", name, operation, str(times), base_url)
    return _counting("--instr-atstart=no", work)


def _counting(start: str, work: Sequence[str]) -> int:
    """Return the instructions that an interpreter takes for some work."""
    # Whoever starts twice has the bytecode of the first time.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            [
                *("valgrind", "--tool=callgrind", start, f"--callgrind-out-file={folder}/out"),
                *(sys.executable, *work),
            ],
            # The order of sets, and so the work, depends on the seed.
            env={**env, "PYTHONHASHSEED": "0"},
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=True,
        )
    found = _COLLECTED.search(ran.stderr)
    if found is None:
        raise RuntimeError(f"valgrind did not say what it counted:\n{ran.stderr}")
    return int(found[1])


def measure(base_url: str, rounds: int) -> list[Figure]:  # noqa: ARG001 -- one count is as good as many
    """Return the thousands of instructions of each operation, and how many times ours' others'."""
    if shutil.which("valgrind") is None:
        said = "valgrind is not installed, so no instructions are counted"
        if os.environ.get("CI"):
            raise SystemExit(said)
        print(said, file=sys.stderr)
        return []
    figures: list[Figure] = []
    for operation, times in TIMES.items():
        took = {
            name: (
                _counted(name, operation, 2 * times, base_url)
                - _counted(name, operation, times, base_url)
            )
            / (times * OF_ONE[operation])
            for name in (*CONTENDERS, FLOOR)
            if hasattr(Floor, operation) or name != FLOOR
        }
        figures += [
            Figure(name=f"{operation}: instructions of {name}", value=each / 1e3, unit="thousand")
            for name, each in took.items()
        ]
        figures += [
            Figure(
                name=f"{operation}: instructions vs {other}",
                value=took[other] / took[OURS],
                unit="x",
                goal=GOALS[operation, other],
                guarded=True,
                margin=0.02,
            )
            for other in (OFFICIAL, BY_HAND)
        ]
    return [*figures, *_importing()]


def _importing() -> list[Figure]:
    """Return the millions of instructions of importing, and how many times ours' others'."""
    took: dict[str, int] = {}
    for name, code in IMPORTS.items():
        fresh(name)  # writes the bytecode
        took[name] = _counting("--instr-atstart=yes", ("-c", f"{code}\n{_ENDED}"))
    figures = [
        Figure(name=f"import: instructions of {name}", value=each / 1e6, unit="million")
        for name, each in took.items()
    ]
    return figures + [
        Figure(
            name=f"import: instructions vs {other}",
            value=took[other] / took[OURS],
            unit="x",
            goal=goal,
            guarded=True,
            margin=0.005,
        )
        for other, goal in IMPORT_GOALS.items()
    ]


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
