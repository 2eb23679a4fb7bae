"""The commands, and where each of them lives; a command's module is loaded when it is used."""

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Literal

from cyclopts import App, Group
from cyclopts.help import DefaultFormatter

from conference_async.cli.log_lines import others_quiet
from conference_async.cli.problems import LEGEND, guarded

if TYPE_CHECKING:
    from cyclopts.help import ColumnSpec, HelpEntry
    from rich.console import Console, ConsoleOptions

_NAMES = 0.35
"""The part of the help's width that names have at least."""

_INDENT = "  "
"""The text before the second name of an option, and each further one."""

_HELP = frozenset({"-h", "--help"})
_HOME = "conference_async.cli"
_TRYING = Group("To try it, without phones", sort_key=0)
_DIALLING = Group("To bring people in", sort_key=1)
_PEOPLE = Group("To move them about", sort_key=2)
_ROOMS = Group("For whole conferences", sort_key=3)
_COMMANDS = {
    "demo": (
        "demo:demo",
        _TRYING,
        "Dial a dozen people into a conference on an emulator, and move them about.",
        "demo",
    ),
    "emulator": (
        "emulation:emulator",
        _TRYING,
        "Run a local service that behaves like the real one, until Ctrl-C ends it with code 0.",
        "emulator --port 8081 --cps 5",
    ),
    "dial": (
        "dialling:dial",
        _DIALLING,
        "Dial everybody in a file into a conference, each of them once.",
        "dial people.csv --conference standup --from +15017122661 --cps 5",
    ),
    "page": (
        "paging:page",
        _DIALLING,
        "Ring people until so many of them are in a conference, such as those on call.",
        "page on-call.csv --humans 2 --conference incident --from +15017122661 --wave-size 3",
    ),
    "campaign": (
        "campaign:campaign",
        _DIALLING,
        "See how a campaign stands, report it, go on with it, clear up what is in doubt.",
        None,
    ),
    "worker": (
        "workers:worker",
        _DIALLING,
        "Dial what was submitted to a database, beside any number of other workers.",
        "worker --ledger postgresql://host/calls --cps 5",
    ),
    "cluster": (
        "workers:cluster",
        _DIALLING,
        "Prepare a database for campaigns that workers dial.",
        None,
    ),
    "create": (
        "rooms:create",
        _DIALLING,
        "Dial one phone, SIP endpoint, client or application into a conference.",
        "create standup --from +15017122661 --to +15558675310 --label alice",
    ),
    "list": (
        "rooms:list_participants",
        _PEOPLE,
        "List the people in a conference.",
        "list standup --muted --json",
    ),
    "show": (
        "rooms:show",
        _PEOPLE,
        "Show everything the service says about a participant, or about the conference itself.",
        "show standup alice",
    ),
    "mute": ("rooms:mute", _PEOPLE, "Let nobody hear a participant.", "mute standup alice"),
    "unmute": (
        "rooms:unmute",
        _PEOPLE,
        "Let the others hear a participant again.",
        "unmute standup alice",
    ),
    "hold": (
        "rooms:hold",
        _PEOPLE,
        "Put a participant on hold: they hear music, and nobody hears them.",
        "hold standup alice --url https://example.com/music.mp3",
    ),
    "unhold": (
        "rooms:unhold",
        _PEOPLE,
        "Let a participant rejoin the conference.",
        "unhold standup alice",
    ),
    "coach": (
        "rooms:coach",
        _PEOPLE,
        "Let a participant hear everybody and be heard by one of them only.",
        "coach standup carol alice",
    ),
    "remove": ("rooms:remove", _PEOPLE, "Hang up on a participant.", "remove standup alice"),
    "announce": (
        "rooms:announce",
        _ROOMS,
        "Play something to everybody in a conference, or to one participant.",
        "announce standup https://example.com/hello.mp3 --to alice",
    ),
    "conferences": (
        "rooms:list_conferences",
        _ROOMS,
        "List the account's conferences; only those in progress, unless --status says otherwise.",
        "conferences --status completed --limit 20",
    ),
    "end": (
        "rooms:end",
        _ROOMS,
        "End a conference, and hang up on everybody in it.",
        "end standup",
    ),
}
"""Of each command: its place, its group, its help's first line, and an example."""


def _version() -> str:
    import conference_async

    return conference_async.__version__


def _columns(
    console: "Console",
    options: "ConsoleOptions",  # noqa: ARG001 -- the protocol's signature
    entries: "list[HelpEntry]",
) -> "tuple[ColumnSpec, ...]":
    """Give names the room that the longest of them needs: a broken one cannot be copied."""
    from cyclopts.help.specs import AsteriskColumn, ColumnSpec, DescriptionColumn, NameRenderer

    words = [" ".join(entry.display_labels_with_metavar).split() for entry in entries]
    longest = (max([len(first), *(len(_INDENT + more) for more in rest)]) for first, *rest in words)
    width = max([ceil(console.width * _NAMES), *longest])
    column = ColumnSpec(renderer=NameRenderer(max_width=width), style="cyclopts.name", no_wrap=True)
    required = (AsteriskColumn,) if any(entry.required for entry in entries) else ()
    return (*required, column, DescriptionColumn)


_COMPLETION_ENDS = {
    # Files are offered as commands too, unless this says no.
    "fish": "complete -c conference-async -n __fish_use_subcommand -f\n",
    # The script only defines a function: call it if this is an autoloaded file, else register it.
    "zsh": """
if [[ $funcstack[1] == _*conference-async ]]; then
  _cyclopts_conference-async "$@"
else
  compdef _cyclopts_conference-async conference-async
fi
""",
}


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print what lets a shell complete commands and options.

    Args:
        shell: The shell.
    """
    print(app.generate_completion(shell=shell), end=_COMPLETION_ENDS.get(shell, ""))


def program(*, overview: bool = False) -> App:
    """Return the commands; each loads what it needs when it is used.

    Args:
        overview: Only to list them by their first lines, which loads none.
    """
    made = App(
        name="conference-async",
        help="Bring phones into a Twilio conference: paced to your account's calls per second, "
        "never dialled twice.",
        help_format="markdown",
        help_formatter=DefaultFormatter(column_specs=_columns),
        help_epilogue=LEGEND,
        group_commands=Group("Other", sort_key=9),
        version=_version,
        suppress_keyboard_interrupt=False,
    )
    for name, (place, group, summary, example) in _COMMANDS.items():
        given: dict[str, str] = {"help": summary} if overview else {}
        if example:
            given["help_epilogue"] = f"Example: `conference-async {example}`"
        made.command(f"{_HOME}.{place}", name=name, group=group, **given)
    made.command(
        completion,
        help_epilogue="Examples: `conference-async completion bash > "
        "~/.local/share/bash-completion/completions/conference-async`; "
        "`conference-async completion fish > "
        "~/.config/fish/completions/conference-async.fish`; "
        "`source <(conference-async completion zsh)` in `~/.zshrc`, or a file `_conference-async` "
        "in a folder of `$fpath`.",
    )
    return made


app: App = program()


def run(arguments: Sequence[str]) -> int:
    """Run one command line; return its exit code."""
    commands = program(overview=True) if _HELP.issuperset(arguments) else app
    with others_quiet():
        match arguments:
            # To parse this too, cyclopts would work out the command's options once more.
            case [name, flag] if name in _COMMANDS and flag in _HELP:
                return guarded(lambda: commands.help_print([name]))
            case _:
                return guarded(
                    lambda: commands(
                        arguments,
                        print_error=False,
                        exit_on_error=False,
                        result_action="return_value",
                    )
                )
