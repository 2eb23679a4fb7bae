"""Log records as lines on stderr: words for a person, or JSON for what collects logs."""

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from conference_async.cli.problems import say
from conference_async.privacy import mask, printable_json

LogFormat: TypeAlias = Literal["text", "json"]
"""How a line is written."""

_TOLD_BY_US = ("procrastinate", "psycopg")
"""Libraries that log a traceback where one line of ours says that the server is gone."""

_OURS = "conference_async"
_STANDARD = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime", "taskName"}


class _Words(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Write the message."""
        say(record.getMessage())


class JsonLines(logging.Formatter):
    """Makes one JSON object on one line of a record, with what was given as `extra` beside it.

    Numbers and secrets are masked in all that it holds, a traceback included.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        facts: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        facts |= {name: each for name, each in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return printable_json({name: _masked(each) for name, each in facts.items()})


def _masked(value: object) -> object:
    return value if isinstance(value, bool | int | float | None) else mask(str(value))


@contextmanager
def log_lines(form: LogFormat) -> Generator[None]:
    """Write our records from the level of information on, and others' warnings, to stderr."""
    handler: logging.Handler = _Words() if form == "text" else logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(JsonLines())
    root, ours = logging.getLogger(), logging.getLogger(_OURS)
    quiet = [logging.getLogger(name) for name in _TOLD_BY_US]
    levels = {logger: logger.level for logger in (ours, *quiet)}
    root.addHandler(handler)
    ours.setLevel(logging.INFO)
    for logger in quiet:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        root.removeHandler(handler)
        for logger, level in levels.items():
            logger.setLevel(level)
