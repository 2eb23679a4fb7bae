"""The commands, and where each of them lives; a command's module is loaded when it is used."""

from collections.abc import Sequence
from typing import Literal

from cyclopts import App, Group

from conference_async.cli.problems import LEGEND, guarded

_HOME = "conference_async.cli"
_TRYING = Group("To try it, without phones", sort_key=0)
_DIALLING = Group("To bring people in", sort_key=1)
_PEOPLE = Group("To move them about", sort_key=2)
_ROOMS = Group("For whole conferences", sort_key=3)
_COMMANDS = {
    "demo": ("demo:demo", _TRYING, "demo"),
    "emulator": ("emulation:emulator", _TRYING, "emulator --port 8081 --cps 5"),
    "dial": (
        "dialling:dial",
        _DIALLING,
        "dial people.csv --conference standup --from +15017122661 --cps 5",
    ),
    "campaign": ("campaign:campaign", _DIALLING, None),
    "worker": ("workers:worker", _DIALLING, "worker --ledger postgresql://host/calls --cps 5"),
    "cluster": ("workers:cluster", _DIALLING, None),
    "create": (
        "rooms:create",
        _DIALLING,
        "create standup --from +15017122661 --to +15558675310 --label alice",
    ),
    "list": ("rooms:list_participants", _PEOPLE, "list standup --muted --json"),
    "show": ("rooms:show", _PEOPLE, "show standup alice"),
    "mute": ("rooms:mute", _PEOPLE, "mute standup alice"),
    "unmute": ("rooms:unmute", _PEOPLE, "unmute standup alice"),
    "hold": ("rooms:hold", _PEOPLE, "hold standup alice --url https://example.com/music.mp3"),
    "unhold": ("rooms:unhold", _PEOPLE, "unhold standup alice"),
    "coach": ("rooms:coach", _PEOPLE, "coach standup carol alice"),
    "remove": ("rooms:remove", _PEOPLE, "remove standup alice"),
    "announce": (
        "rooms:announce",
        _ROOMS,
        "announce standup https://example.com/hello.mp3 --to alice",
    ),
    "conferences": ("rooms:list_conferences", _ROOMS, "conferences --status completed --limit 20"),
    "end": ("rooms:end", _ROOMS, "end standup"),
}


def _version() -> str:
    import conference_async

    return conference_async.__version__


app = App(
    name="conference-async",
    help="Bring phones into a Twilio conference: paced to your account's calls per second, "
    "never dialled twice.",
    help_format="markdown",
    help_epilogue=LEGEND,
    group_commands=Group("Else", sort_key=9),
    version=_version,
    suppress_keyboard_interrupt=False,
)
for _name, (_place, _group, _example) in _COMMANDS.items():
    app.command(
        f"{_HOME}.{_place}",
        name=_name,
        group=_group,
        **({"help_epilogue": f"Example: `conference-async {_example}`"} if _example else {}),
    )

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


@app.command(
    help_epilogue="Examples: `conference-async completion bash > "
    "~/.local/share/bash-completion/completions/conference-async`; "
    "`conference-async completion fish > ~/.config/fish/completions/conference-async.fish`; "
    "`source <(conference-async completion zsh)` in `~/.zshrc`, or a file `_conference-async` in "
    "a folder of `$fpath`."
)
def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print what lets a shell complete commands and options.

    Args:
        shell: The shell.
    """
    print(app.generate_completion(shell=shell), end=_COMPLETION_ENDS.get(shell, ""))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; return its exit code."""
    if set(arguments) <= {"-h", "--help"}:
        for name in _COMMANDS:
            _ = app[name]  # the list of commands shows what each of them says of itself
    return guarded(
        lambda: app(arguments, print_error=False, exit_on_error=False, result_action="return_value")
    )
