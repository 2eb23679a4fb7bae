"""The document that the control API serves, held against the API and against everything sent.

``CONFERENCE_ASYNC_TEST_REQUESTS=5000`` makes as many requests up from it.
"""

import asyncio
import inspect
import json
import math
import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from typing import Any, get_args
from urllib.parse import quote

import aiohttp
import attrs
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from conference_async.emulator import Emulator, Fault, Script
from conference_async.emulator.control.routes import ROUTES
from conference_async.emulator.routing import Kind

REQUESTS = int(os.environ.get("CONFERENCE_ASYNC_TEST_REQUESTS", "800"))
SEED = 20_101_126
DOCUMENT: dict[str, Any] = json.loads(
    files("conference_async.emulator.control").joinpath("openapi.json").read_text()
)
SCHEMAS = DOCUMENT["components"]["schemas"]
METHODS = ("get", "post", "patch", "delete")
ONLY_IN_PYTHON = {
    *("aclose", "start_listening", "stop_listening"),  # its life is that of the process
}


def resolved(part: Any) -> Any:
    """Return a part of the document, or what it points at."""
    while isinstance(part, dict) and "$ref" in part:
        target: Any = DOCUMENT
        for name in part["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        part = target
    return part


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the path, the method and the description of each operation."""
    for path, described in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in described:
                shared = described.get("parameters", [])
                both = [*shared, *described[method].get("parameters", [])]
                yield path, method, {**described[method], "parameters": list(map(resolved, both))}


OPERATIONS = {one["operationId"]: (path, method, one) for path, method, one in operations()}


def judge(schema: Any) -> Draft202012Validator:
    """Return what holds values against a schema of the document."""
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def problems(schema: Any, value: Any) -> list[str]:
    """Return what is wrong with a value."""
    return [f"{list(error.path)}: {error.message}" for error in judge(schema).iter_errors(value)]


def content(part: Any) -> dict[str, Any]:
    """Return the JSON of a request's body or of an answer as it is described."""
    found: dict[str, Any] = resolved(part).get("content", {}).get("application/json", {})
    return found


def examples(part: Any) -> list[Any]:
    """Return the examples of a request's body or of an answer."""
    described = content(part)
    several = [one["value"] for one in described.get("examples", {}).values()]
    return several + ([described["example"]] if "example" in described else [])


def check(operation: dict[str, Any], status: int, body: Any) -> None:
    """Hold an answer against what the document says of it."""
    assert status < 500, body
    described = operation["responses"].get(str(status))
    if described is None:
        described = operation["responses"]["default"]
        assert body["status"] == status
    schema = content(described).get("schema")
    if schema is None:
        assert body is None
    else:
        assert problems(schema, body) == []


def test_it_is_an_openapi_document() -> None:
    """Of version 3.1, by the specification's own schema; every operation says what it does."""
    validate(DOCUMENT)

    assert DOCUMENT["openapi"].startswith("3.1.")
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    for _, _, operation in operations():
        assert operation["summary"]
        assert set(operation["tags"]) <= tags


def test_document_and_routes_are_the_same() -> None:
    """No operation is missing in either, and none has another name."""
    described = {(path, method.upper()): one["operationId"] for path, method, one in operations()}
    served = {
        (path, method): name for path, ways in ROUTES.items() for method, name in ways.items()
    }

    assert described == served
    assert len(OPERATIONS) == len(served)


def test_the_vocabulary_is_that_of_python() -> None:
    """Scripts, faults and settings have the same names there, no more and no fewer."""
    from conference_async.emulator.callbacks.delivery import DELIVERY
    from conference_async.emulator.settings import CHANGEABLE

    def names(schema: str) -> set[str]:
        return set(SCHEMAS[schema]["properties"])

    assert names("Script") == {"ending", *(field.name for field in attrs.fields(Script))}
    assert names("Settings") == set(CHANGEABLE)
    assert names("Delivery") == set(DELIVERY)
    assert set(SCHEMAS["Kind"]["enum"]) == set(get_args(Kind))
    assert SCHEMAS["Rule"]["properties"]["fault"]["enum"] == [fault.value for fault in Fault]


def test_all_that_python_does_is_done_over_http() -> None:
    """Each public method of the emulator is an operation, of its own or another name."""
    otherwise = {
        *("freeze", "unfreeze"),  # a field of the clock
        *("call", "participants", "count", "rings"),  # in what is listed
        "script",
        "restart",
    }
    methods = {
        name
        for name in dir(Emulator)
        if not name.startswith("_") and inspect.isfunction(getattr(Emulator, name))
    }

    assert methods - set(OPERATIONS) == otherwise | ONLY_IN_PYTHON


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_example_is_what_its_schema_says(name: str) -> None:
    """Of requests and of answers; an operation that takes a body shows one."""
    _, _, operation = OPERATIONS[name]
    for part in (operation.get("requestBody", {}), *operation["responses"].values()):
        schema = content(part).get("schema", {})
        Draft202012Validator.check_schema(schema)
        for example in examples(part):
            assert problems(schema, example) == []

    assert examples(operation.get("requestBody", {})) or "requestBody" not in operation


def needed(operation: str) -> dict[str, str]:
    """Return what must be asked of a call so that an operation on it makes sense."""
    return {"MachineDetection": "Enable"} if operation == "detect" else {}


@pytest.mark.looptime
@pytest.mark.parametrize("name", sorted(OPERATIONS))
async def test_every_example_does_what_the_document_says(control: Any, name: str) -> None:
    """Each is sent as it stands, succeeds, and is answered by its own schema."""
    path, method, operation = OPERATIONS[name]
    made = await control.create(**needed(name))
    emulator: Emulator = control.emulator
    if name in ("detect", "speak"):
        emulator.answer(made["call_sid"])
    path = path.replace("{account_sid}", emulator.account_sid)
    path = path.replace("{key_sid}", emulator.add_api_key()[0])
    path = path.replace("{client_id}", emulator.add_oauth_app()[0])
    path = path.replace("{call}", "+15558675310").replace("{to}", "+15558675310")
    for body in examples(operation.get("requestBody", {})) or [None]:
        answer = await control.ask(method, path, body)
        assert answer.status < 300, answer.body
        assert str(answer.status) in operation["responses"]
        check(operation, answer.status, answer.body)


def value_of(  # noqa: PLR0911 - one for each kind
    chance: random.Random, schema: Any, names: list[str], field: str = ""
) -> Any:
    """Return a value at random of a schema of the document; `names` begin with an account's."""
    schema = resolved(schema)
    if "oneOf" in schema:
        return value_of(chance, chance.choice(schema["oneOf"]), names, field)
    if "enum" in schema:
        return chance.choice(schema["enum"])
    kind = schema.get("type")
    kind = chance.choice(kind) if isinstance(kind, list) else kind
    lowest, highest = schema.get("minimum", 0), schema.get("maximum", 10)
    match kind:
        case "object" if "patternProperties" in schema:
            return {str(chance.choice([16024, 16026, 21211])): chance.randint(400, 599)}
        case "array":
            return [chance.sample(["Hold", "Muted", "AnnounceUrl"], 2)]
        case "object":
            fields = schema["properties"]
            chosen = [name for name in fields if chance.random() < 0.5]
            chosen = sorted({*chosen, *schema.get("required", [])})
            return {name: value_of(chance, fields[name], names, name) for name in chosen}
        case "boolean":
            return chance.random() < 0.5
        case "integer":
            return chance.randint(lowest, min(highest, lowest + 1000))
        case "number":
            low = lowest + (0.1 if "exclusiveMinimum" in schema else 0)
            return chance.choice([low, chance.uniform(low, min(highest, 100))])
        case "null":
            return None
        case _:
            return names[0] if field in ("account_sid", "parent") else chance.choice(names)


LABELS = ("alice", "é☎ b", "carol")
ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**30, 1.5, -0.5, 1e308, math.nan, math.inf, "", "é☎", "\ud800", "a/b"),
    *("x" * 200, [], {}, ["create"], {"a": []}, "+15558675310", "create", "\x00", [[]] * 3),
)


def bent(chance: random.Random, body: Any) -> Any:
    """Return a body with one thing wrong, or a body that is none."""
    if not isinstance(body, dict) or chance.random() < 0.1:
        return chance.choice(ODD)
    name = chance.choice([*body, "nothing"])
    return {**body, name: chance.choice(ODD)}


def line(
    chance: random.Random,
    operation: dict[str, Any],
    path: str,
    names: list[str],
    known: dict[str, list[str]],
) -> tuple[str, dict[str, str]]:
    """Return a path and a query at random; what is known of a parameter is mostly taken."""
    query: dict[str, str] = {}
    for parameter in operation["parameters"]:
        name = parameter["name"]
        value = value_of(chance, parameter["schema"], known.get(name) or names, name)
        value = chance.choice(ODD[:10]) if chance.random() < 0.1 else value
        if parameter["in"] == "path":
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        elif chance.random() < 0.5:
            query[name] = str(value)
    return path, query


@pytest.mark.sized
@pytest.mark.timeout(600)
@pytest.mark.looptime
async def test_requests_made_up_from_the_document_are_answered_by_it(control: Any) -> None:
    """Right and wrong ones, in any order: no server error, and every answer as described."""
    chance = random.Random(SEED)
    emulator: Emulator = control.emulator
    seen: Counter[tuple[str, bool]] = Counter()
    tried = [name for name in sorted(OPERATIONS) if name != "restart_soon"]
    chance.shuffle(tried)
    for number in range(REQUESTS):
        name = tried[number % len(tried)]
        path, method, operation = OPERATIONS[name]
        calls = emulator.calls
        names = [emulator.account_sid, "alice", "+15558675310", "é☎ b", "standup"]
        names += [chance.choice(calls).sid] if calls else []
        known = {"call": [call.sid for call in calls]}
        known |= {"client_id": [emulator.add_oauth_app()[0]]}
        known |= {"key_sid": [emulator.add_api_key()[0]]}
        path, query = line(chance, operation, path, names, known)
        body = None
        if "requestBody" in operation:
            body = value_of(chance, content(operation["requestBody"])["schema"], names)
            body = bent(chance, body) if chance.random() < 0.4 else body
        answer = await control.ask(method, path, body, **query)
        check(operation, answer.status, answer.body)
        seen[name, answer.status < 300] += 1
        if chance.random() < 0.2:
            # The answer may be spoiled by then, or held back by a clock that stands.
            asyncio.get_running_loop().call_later(1, emulator.unfreeze)
            with suppress(aiohttp.ClientError, ValueError, TimeoutError):
                async with asyncio.timeout(5):
                    await control.create(Label=chance.choice(LABELS), MachineDetection="Enable")
            for call in emulator.calls[-1:]:
                if chance.random() < 0.7:  # others may still be busy
                    emulator.answer(call.sid)

    if REQUESTS >= 800:
        assert {name for name, right in seen if right} == set(tried)
