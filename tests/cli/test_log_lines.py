"""Log records as lines for a machine."""

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest

from conference_async.cli.app import app, run
from conference_async.cli.log_lines import log_lines

log = logging.getLogger("conference_async.dialer")


def test_a_record_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With what was given beside the message, and whatever a reason holds masked."""
    with log_lines("json"):
        log.info("row %d is refused:\n+15558675310", 7, extra={"event": "target.refused", "row": 7})
        log.debug("not this one")
        logging.getLogger("asyncio").warning("of others: postgresql://bob:secret@host/calls")
    log.info("nor what comes after it")

    ours, others = map(json.loads, capsys.readouterr().err.splitlines())
    assert ours.pop("time").endswith("+00:00")
    assert ours == {
        "level": "info",
        "logger": "conference_async.dialer",
        "message": "row 7 is refused:\n***5310",
        "event": "target.refused",
        "row": 7,
    }
    assert others["message"] == "of others: postgresql://***@host/calls"


def test_a_record_for_a_person_is_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers masked, as in every other line of the command."""
    with log_lines("text"):
        log.info("nobody calls %s", "+15558675310", extra={"event": "worker.pulse"})
    log.warning("not told any more")

    assert capsys.readouterr().err == "conference-async: nobody calls ***5310\n"


@pytest.fixture
def trying() -> Iterator[str]:
    """A command whose loop ends while a library still tries something."""
    tasks: list[asyncio.Task[None]] = []

    async def until_the_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            logging.getLogger("psycopg.pool").warning("error connecting in 'pool-1'")
            logging.getLogger("procrastinate.worker").error("many lines")

    async def command() -> None:
        with log_lines("text"):
            tasks.append(asyncio.create_task(until_the_end()))
            await asyncio.sleep(0)

    app.command(command, name="trying")
    yield "trying"
    del app["trying"]


def test_those_beneath_say_nothing_of_their_own(
    trying: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A line of ours says that a server is gone; also when they give up as the command ends."""
    assert run([trying]) == 0
    assert caplog.messages == []
    assert logging.getLogger("procrastinate").level == logging.NOTSET


def test_a_traceback_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    """What an error holds is in it as well."""
    with log_lines("json"):
        try:
            int("+15558675310!")
        except ValueError:
            log.exception("bad")

    line = json.loads(capsys.readouterr().err)
    assert line["traceback"].endswith("base 10: '***5310!'")
