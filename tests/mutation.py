"""Show which mutants of one module survive its tests; ``tox run -e mutation`` calls it.

mutmut mutates in a copy of the project and is set up by that copy's pyproject.toml alone, so the
module and its tests are written there. Only what is named is mutated: its wrappers would stand in
the way of tests of other modules, which look at call stacks and signatures.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]
NEEDED = ["conference_async", "tests", "examples", "docs", "benchmarks", "README.md", "tox.ini"]
DEAD = ("killed", "caught by type check", "timeout")


def copy(work: Path, module: str, tests: list[str]) -> None:
    """Copy the project, with the settings of the tool."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for name in NEEDED:
        source = PROJECT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, work / name)
    options = ["-p", "no:cacheprovider", "-m", "not browser"]
    settings = (
        ("source_paths", ["conference_async"]),
        ("only_mutate", [module]),
        ("also_copy", NEEDED[2:]),
        ("pytest_add_cli_args", options),
        ("pytest_add_cli_args_test_selection", tests),
    )
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings]
    project = (PROJECT / "pyproject.toml").read_text("utf-8")
    text = "\n".join([project, "[tool.mutmut]", *lines, ""])
    (work / "pyproject.toml").write_text(text, "utf-8")


def main() -> None:
    """Mutate, and print the difference that each surviving mutant makes."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("work", type=Path, help="a folder to work in; it is emptied")
    parser.add_argument("module", help="conference_async/pace/slots.py")
    parser.add_argument("tests", nargs="+", help="the files or folders with its tests")
    parser.add_argument("--children", default=str(os.cpu_count()), help="processes at a time")
    given = parser.parse_args()
    copy(given.work, given.module, given.tests)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    mutmut = [sys.executable, "-m", "mutmut"]

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*mutmut, *arguments],
            cwd=given.work,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{done.stdout}\nmutmut could not run: see which test failed unmutated")
        return done.stdout

    run("run", "--max-children", given.children)
    found = dict(line.strip().split(": ") for line in run("results", "--all", "true").splitlines())
    alive = [name for name, fate in found.items() if fate not in DEAD]
    for name in alive:
        print(run("show", name))
    print(f"{len(found)} mutants of {given.module}, {len(alive)} of them not killed")


if __name__ == "__main__":
    main()
