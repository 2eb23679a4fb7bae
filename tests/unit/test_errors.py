"""One tree, as drawn; every error travels whole and says nothing private."""

import copy
import inspect
import pickle
import re
from collections.abc import Callable, Iterator

import pytest

from conference_async import errors
from conference_async.errors import (
    ConferenceError,
    ConfigurationError,
    OutcomeUnknown,
    RequestRefused,
)

NUMBER = "+15558675310"
DRAWN = re.compile(r"^ {4}([│├└ ─]*)(\w+)(?: \((\w+)\))?")
VALUES: dict[str, object] = {
    "parameter": "to",
    "problem": f"{NUMBER} is no number",
    "message": f"{NUMBER} did not answer",
    "service_message": f"{NUMBER} is not verified",
    "status": 418,
    "code": 16026,
    "more_info": "https://www.twilio.com/docs/errors/16026",
    "details": {"region": "us1"},
    "request_id": "RQ" + "1" * 32,
    "estimate": 2.5,
    "conference": "standup",
    "label": "alice",
    "attempts": 3,
    "call_sid": "CA" + "1" * 32,
    "reason": f"{NUMBER} hung up",
}


def tree(cls: type[ConferenceError] = ConferenceError) -> Iterator[type[ConferenceError]]:
    """Yield a class and everything below it."""
    yield cls
    for below in cls.__subclasses__():
        yield from tree(below)


ALL = sorted(set(tree()), key=lambda cls: cls.__name__)


def drawn() -> Iterator[tuple[str, str, str]]:
    """Yield name, parent and builtin base of each class in the drawing."""
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = DRAWN.match(line)
        if found is not None:
            del path[len(found[1]) // 4 :]
            yield found[2], path[-1] if path else "Exception", found[3] or ""
            path.append(found[2])


def full(cls: type[ConferenceError]) -> ConferenceError:
    """Return an error with every attribute it can have."""
    make: Callable[..., ConferenceError] = cls
    return make(**{name: VALUES[name] for name in inspect.signature(cls).parameters})


def test_the_drawing_is_the_tree() -> None:
    """Parents, builtin bases and completeness: a reader can trust the picture."""
    real = {
        (
            cls.__name__,
            cls.__bases__[0].__name__,
            "".join(base.__name__ for base in cls.__bases__[1:]),
        )
        for cls in ALL
    }

    assert set(drawn()) == real


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize(
    "travel", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))]
)
def test_an_error_arrives_as_it_left(
    cls: type[ConferenceError], travel: Callable[[ConferenceError], ConferenceError]
) -> None:
    """A worker process or a queue does not lose its type, its message or an attribute."""
    error = full(cls)
    error.add_note("row 7")

    arrived = travel(error)

    assert type(arrived) is cls
    assert str(arrived) == str(error) != ""
    assert arrived.args == error.args
    assert vars(arrived) == vars(error)
    assert arrived.__notes__ == ["row 7"]


@pytest.mark.parametrize("cls", ALL)
def test_an_error_keeps_what_it_was_told_but_no_number(cls: type[ConferenceError]) -> None:
    """Every argument is an attribute, and no text of it shows a phone number."""
    error = full(cls)

    assert NUMBER not in f"{error} {error!r} {vars(error)}"
    assert "***5310" in str(error)
    for name in inspect.signature(cls).parameters.keys() - {"message", "problem"}:
        shown = str(VALUES[name]).replace(NUMBER, "***5310")
        assert str(getattr(error, name)) == shown


def test_details_are_the_errors_own() -> None:
    """Changing what was passed in does not change the error, and there may be none."""
    details = {"region": "us1"}
    error = RequestRefused("no", status=400, details=details)
    details.clear()

    assert error.details == {"region": "us1"}
    assert RequestRefused("no", status=400).details == {}


async def test_without_a_label_there_is_nothing_to_ask() -> None:
    """`reconcile` says so before it asks anybody."""
    error = OutcomeUnknown("?", conference="standup", label=None, attempts=1)

    class Nobody:
        async def find_placed(self, conference: str, label: str) -> None:
            pytest.fail(f"asked for {label} in {conference}")

    with pytest.raises(ConfigurationError, match="no label"):
        await error.reconcile(Nobody())


def test_the_unknown_outcome_behind_another_error_is_found() -> None:
    """As its cause or its context, however deep; and None where there is none."""
    unknown = OutcomeUnknown("?", conference="standup", label="alice", attempts=1)
    caused, handled = ValueError(), ValueError()
    caused.__cause__ = unknown
    handled.__context__ = caused

    assert OutcomeUnknown.behind(unknown) is unknown
    assert OutcomeUnknown.behind(handled) is unknown
    assert OutcomeUnknown.behind(ValueError()) is None
    assert OutcomeUnknown.behind(None) is None
