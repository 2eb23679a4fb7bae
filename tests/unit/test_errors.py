"""One tree, as drawn; every error travels whole and says nothing private."""

import copy
import inspect
import pickle
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from conference_async import errors
from conference_async.errors import ConferenceError, OutcomeUnknown, RequestRefused
from conference_async.looks import Look
from conference_async.privacy import mask
from conference_async.waiting import CallView

NUMBER = "+15558675310"
TOLD = {"message", "problem", "service_message"}
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
    "account_sid": "AC" + "1" * 32,
    "attempts": 3,
    "call_sid": "CA" + "1" * 32,
    "reason": f"{NUMBER} hung up",
    "sent_at": datetime(2026, 11, 25, tzinfo=UTC),
    "evidence": (),
    "errors": (),
    "view": CallView(call_sid="CA" + "1" * 32, label=NUMBER),
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
        shown = mask(str(VALUES[name]))
        assert str(getattr(error, name)) == shown


@pytest.mark.parametrize("cls", ALL)
def test_an_error_is_one_line(cls: type[ConferenceError]) -> None:
    """Whoever words it cannot forge a line of a log, move a cursor, or turn what stands there."""
    make: Callable[..., ConferenceError] = cls
    names = inspect.signature(cls).parameters
    told = dict.fromkeys(TOLD & names.keys(), f"no\r\nERROR all is lost\x1b[2J\u202e {NUMBER}")
    error = make(**{name: VALUES[name] for name in names} | told)

    assert str(error).isprintable()
    assert r"no\r\nERROR all is lost\x1b[2J<U+202E> ***5310" in str(error)
    assert getattr(error, "service_message", "").isprintable()


def test_details_are_the_errors_own() -> None:
    """Changing what was passed in does not change the error, and there may be none."""
    details = {"region": "us1"}
    error = RequestRefused("no", status=400, details=details)
    details.clear()

    assert error.details == {"region": "us1"}
    assert RequestRefused("no", status=400).details == {}


def test_an_unknown_outcome_says_what_was_looked_at() -> None:
    """Where, when, and what it held; a number in it is masked, and what is absent may be sent."""
    at = datetime(2026, 11, 25, 12, 0, 3, tzinfo=UTC)
    looks = [
        Look(where="label", at=at, held="unreadable", detail=f"{NUMBER} is busy"),
        Look(where="call-log", at=at, held="absent"),
    ]
    error = OutcomeUnknown("?", conference="standup", label="a", attempts=1, evidence=looks)
    doubt = OutcomeUnknown("?", conference="standup", label="a", attempts=1, evidence=looks[:1])

    assert str(error) == (
        "?. Looked for its label at 12:00:03: it could not be read (***5310 is busy). Looked for "
        "it in the call log at 12:00:03: it was read in full, and holds no call that could be this "
        "one. Nothing was placed, so it may be sent again"
    )
    assert (error.absent, doubt.absent) == (True, False)
    assert "It may have been placed" in str(doubt)


def test_what_reconcile_remembers_does_not_travel() -> None:
    """It holds phone numbers, which are in no pickle that nobody asked for."""
    error = OutcomeUnknown("?", conference="standup", label="alice", attempts=1)
    error.sought = NUMBER

    assert pickle.loads(pickle.dumps(error)).sought is None
    assert copy.copy(error).sought is None


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
