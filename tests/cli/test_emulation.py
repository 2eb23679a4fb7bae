"""The emulator as a command of its own."""

import asyncio
import signal
from typing import TYPE_CHECKING

import aiohttp
import pytest

from conference_async.emulator.numbers import BUSY

if TYPE_CHECKING:
    from tests.cli.conftest import Running, Shell


async def printed(running: "Running", count: int) -> list[str]:
    """Return the first lines that a command prints."""
    return [(await running.stdout.readline()).decode().strip() for _ in range(count)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_emulator_serves_and_ends(bare_shell: "Shell", number: signal.Signals) -> None:
    """Line one is its URL, the next point a shell there, and Ctrl-C ends it with code 0.

    It knows the numbers that are busy and so on.
    """
    process = await bare_shell.start(
        "emulator", "--port", "0", "--cps", "30", "--answer-after", "0"
    )
    assert process.stdout is not None
    lines = [(await process.stdout.readline()).decode().strip() for _ in range(4)]
    settings = dict(line.removeprefix("export ").split("=", 1) for line in lines[1:])
    assert settings["CONFERENCE_ASYNC_BASE_URL"] == lines[0]
    create = ("create", "standup", "--from", "+15017122661", "--to", "+15558675310")
    created = await bare_shell.run(*create, **settings)
    assert created.code == 0
    listed = await bare_shell.run("list", "standup", "--json", **settings)
    assert [person["status"] for person in listed.json] == ["connected"]
    await bare_shell.run(*create[:-1], BUSY, **settings)
    assert (await bare_shell.run("list", "standup", "--json", **settings)).json == listed.json
    process.send_signal(number)
    ended = await bare_shell.end(process)
    assert (ended.code, ended.err) == (0, "conference-async: calls placed: 2\n")


async def test_emulator_takes_the_account_of_the_environment(bare_shell: "Shell") -> None:
    """An account that is there already is used, and its token not repeated; a key is unset."""
    account = {"TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_AUTH_TOKEN": "the-token"}
    others = {"TWILIO_API_KEY": "SK" + "2" * 32, "TWILIO_CLIENT_ID": "OQ" + "3" * 32}
    async with bare_shell.begun("emulator", "--port", "0", **account, **others) as running:
        url, *lines = await printed(running, 6)
        listed = await bare_shell.run("conferences", CONFERENCE_ASYNC_BASE_URL=url, **account)
        running.interrupt()
        assert (await running.end()).code == 0
    assert listed.code == 0
    assert lines[1:] == [
        "# TWILIO_ACCOUNT_SID is the one of this environment",
        "# TWILIO_AUTH_TOKEN is the one of this environment",
        "unset TWILIO_API_KEY TWILIO_API_SECRET",
        "unset TWILIO_CLIENT_ID TWILIO_CLIENT_SECRET",
    ]


async def test_emulator_needs_a_free_port(bare_shell: "Shell") -> None:
    """A port that is taken is one line and code 2."""
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as taken:
        port = taken.sockets[0].getsockname()[1]
        ended = await bare_shell.run("emulator", "--port", str(port))
    assert ended.code == 2
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use; " in ended.err


async def test_emulator_beyond_this_machine_prints_what_its_page_asks_for(
    bare_shell: "Shell",
) -> None:
    """The token of page and control API is a line to paste, and other machines are mentioned."""
    async with bare_shell.begun("emulator", "--port", "0", "--host", "0.0.0.0") as running:
        lines = await printed(running, 7)
        port, password = lines[0].rpartition(":")[2], lines[4].rpartition("=")[2]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            async with session.get("/") as refused:
                assert refused.status == 401
            async with session.get("/", headers={"Authorization": f"Bearer {password}"}) as shown:
                assert shown.status == 200
        running.interrupt()
        ended = await running.end()

    assert lines[4].startswith("export CONFERENCE_ASYNC_CONTROL_TOKEN=")
    assert lines[5].endswith("; other machines reach it")
    assert ended.code == 0
    assert password not in ended.err


@pytest.mark.parametrize("given", ["option", "environment"])
async def test_emulator_takes_a_token_for_its_control(bare_shell: "Shell", given: str) -> None:
    """Given by an option or the environment it is asked for, on loopback too, and not printed."""
    options = ["--control-token", "the-token"] if given == "option" else []
    environment = {} if options else {"CONFERENCE_ASYNC_CONTROL_TOKEN": "the-token"}
    async with bare_shell.begun("emulator", "--port", "0", *options, **environment) as running:
        lines = await printed(running, 6)
        headers = {"Authorization": "Bearer the-token"}
        async with aiohttp.ClientSession(lines[0]) as session:
            async with session.get("/control/clock") as refused:
                assert refused.status == 401
            async with session.get("/control/clock", headers=headers) as shown:
                assert shown.status == 200
        running.interrupt()
        await running.end()

    assert lines[4] == f"# its page is at {lines[0]}/, its control API below /control/"
    assert "the-token" not in "".join(lines)


@pytest.mark.parametrize(
    ("arguments", "account", "said"),
    [
        ([], "AC1", "account_sid must be AC and 32 hexadecimal digits; account and token come"),
        (["--cps", "inf"], "", "cps must be finite and above 0, not inf"),
        (["--host", "192.0.2.1"], "", "; give an address of this machine"),
    ],
)
async def test_emulator_refuses_what_cannot_be(
    bare_shell: "Shell", arguments: list[str], account: str, said: str
) -> None:
    """An odd account in the environment, or an odd pace, is said in one line."""
    refused = await bare_shell.run(
        "emulator", "--port", "0", *arguments, TWILIO_ACCOUNT_SID=account
    )

    assert refused.code != 0
    assert said in refused.err
    assert "should not happen" not in refused.err
