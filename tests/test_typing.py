"""Type checkers on code that uses the library, right and wrong."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import conference_async

ROOT = Path(conference_async.__file__).parents[1]
TOP = """
from conference_async import AttemptEvent, ConferenceClient, NewParticipant, ParticipantChange
from conference_async.webhooks import Attendee, Event, Receiver, Roster

async def hear(event: Event) -> None:
    print(event)

async def keep(conference_sid: str, attendee: Attendee) -> None:
    print(conference_sid, attendee)

async def count(attempt: AttemptEvent) -> None:
    print(attempt)

async def use(client: ConferenceClient, receiver: Receiver) -> None:
    print(hear, keep, count, Roster, receiver)
    room = client.conferences("standup")
    alice = room.participants("alice")
    print(room, alice, NewParticipant, ParticipantChange)
"""
CORRECT = 'await room.participants.create(from_="+15017122661", to="+15558675310", label="alice")'
WRONG = {
    "a misspelt keyword of create": CORRECT.replace("label", "lable"),
    "a wrong type of create": CORRECT.replace('"alice"', "7"),
    "a key that is no text": CORRECT.replace('label="alice"', "once=7"),
    "a misspelt key": CORRECT.replace('label="alice"', 'onec="order-42"'),
    "a word that is none": 'NewParticipant(from_="+15017122661", to="client:a", beep="loud")',
    "a missing keyword of create": 'await room.participants.create(from_="+15017122661")',
    "a number as the target": CORRECT.replace('"+15558675310"', "15558675310"),
    "a value and a keyword": "await room.participants.create(NewParticipant(), label='alice')",
    "a misspelt keyword of update": "await alice.update(mute=True)",
    "the value of another method": "await room.participants.create(ParticipantChange(muted=True))",
    "a misspelt filter": "await room.participants.list(mute=True)",
    "a misspelt option of a view": "client.with_options(timeuot=3)",
    "a wrong option of a client": "ConferenceClient(cps='5')",
    "a create that is not awaited": CORRECT.removeprefix("await "),
    "an async listener": "receiver.listen(hear)",
    "an async record": "Roster(record=keep)",
    "an async callback of an attempt": "ConferenceClient(on_attempt=count)",
    "nobody as a participant": "room.participants(None)",
    "a participant of a list that may have no call": (
        "room.participants((await room.participants.list())[0].call_sid)"
    ),
    "an attribute that is not there": "print((await alice.fetch()).callsid)",
}

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        find_spec("mypy") is None or find_spec("pyright") is None,
        reason="the type checkers are in the dependency group `typing`",
    ),
]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one correct file and one for each mistake."""
    folder = tmp_path_factory.mktemp("sources")
    for name, line in {"correct": CORRECT, **WRONG}.items():
        (folder / f"{name.replace(' ', '_')}.py").write_text(f"{TOP}    {line}\n")
    return folder


def faulty(files: set[str]) -> set[str]:
    """Return the names of the mistakes in files of these paths."""
    return {Path(file).stem.replace("_", " ") for file in files}


def test_mypy_sees_every_mistake_and_no_other(sources: Path) -> None:
    """Under --strict, on a user's own files."""
    installed = any("site-packages" in part for part in ROOT.parts)
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file="),
            *("--enable-error-code=unused-awaitable", "--output=json", "."),
        ],
        cwd=sources,
        env=os.environ if installed else {**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    found = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 1, ran.stderr
    assert faulty({each["file"] for each in found if each["severity"] == "error"}) == set(WRONG)


def test_pyright_sees_every_mistake_and_no_other(sources: Path) -> None:
    """In strict mode, on a user's own files."""
    (sources / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "strict", "extraPaths": [str(ROOT)]})
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"],
        cwd=sources,
        capture_output=True,
        text=True,
        check=False,
    )

    found = json.loads(ran.stdout)["generalDiagnostics"]
    assert ran.returncode == 1, ran.stderr
    assert faulty({each["file"] for each in found if each["severity"] == "error"}) == set(WRONG)
