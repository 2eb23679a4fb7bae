"""Log records as lines for a machine."""

import json
import logging

import pytest

from conference_async.cli.log_lines import log_lines

log = logging.getLogger("conference_async.dialer")


def test_a_record_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With what was given beside the message, and whatever a reason holds masked."""
    with log_lines("json"):
        log.info("row %d is refused:\n+15558675310", 7, extra={"event": "target.refused", "row": 7})
        log.debug("not this one")
        logging.getLogger("asyncio").warning("of others: postgresql://bob:secret@host/calls")
        logging.getLogger("procrastinate.worker").error("told by us already")
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
    """Numbers masked, as in every other line of the command; and no tracebacks of those beneath."""
    with log_lines("text"):
        log.info("nobody calls %s", "+15558675310", extra={"event": "worker.pulse"})
        logging.getLogger("procrastinate.worker").error("many lines")
    log.warning("not told any more")

    assert capsys.readouterr().err == "conference-async: nobody calls ***5310\n"
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
