"""A file of numbers, one per line, such as those that are not to be called."""

import re
from pathlib import Path

from conference_async.dialer.plan.documents import lines_of, opened
from conference_async.dialer.plan.phones import normalise_number
from conference_async.errors import ConfigurationError, InvalidParameter

_COMMENT = re.compile(r"(?:^|\s)#.*")


def numbers_in(path: Path, default_region: str | None = None) -> list[str]:
    """Return the addresses in a file, read as those in a plan are.

    Blank lines are passed over, and what follows a ``#``. It blocks on the disk.

    Args:
        path: The file; in UTF-8, UTF-16 with its mark, or cp1252.
        default_region: The country, as two letters, of numbers without ``+``.

    Raises:
        ConfigurationError: The file cannot be read, or a line is no address; the error names both.
    """
    numbers: list[str] = []
    with opened(path) as (file, _):
        for place, line in enumerate(lines_of(file), start=1):
            written = _COMMENT.sub("", line.rstrip())
            if written.strip():
                parameter = f"{path.name}, line {place}"
                try:
                    numbers.append(normalise_number(written, default_region, parameter=parameter))
                except InvalidParameter as error:
                    raise ConfigurationError(str(error)) from error
    return numbers
