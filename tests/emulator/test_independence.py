"""The emulator knows nothing of the client: the build breaks when that changes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import conference_async

PACKAGE = Path(conference_async.__file__).parent
PROJECT = Path(__file__).parents[2]
OURS = sorted(
    {each.stem for each in PACKAGE.iterdir() if (each.is_dir() or each.suffix == ".py")}
    - {"__init__", "__pycache__", "emulator", "webhooks"}
)
LINTED = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Copy the package and its contracts, so that a module can be added to the emulator."""
    hidden = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "conference_async", ignore=hidden)
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    return tmp_path


def linted(folder: Path) -> tuple[int, str]:
    """Return what the import linter says of a copy, as an exit code and its words in one line."""
    ran = subprocess.run(
        [sys.executable, "-c", LINTED, "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "COLUMNS": "500"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, " ".join((ran.stdout + ran.stderr).split())


@pytest.mark.timeout(120)
def test_a_module_that_imports_anything_of_ours_breaks_the_build(scratch: Path) -> None:
    """Each module of the package but the signature, the public names too, is found by name."""
    imported = [f"conference_async.{name}" for name in OURS]
    imported += ["conference_async.webhooks", "conference_async.webhooks.parsing"]
    module = scratch / "conference_async" / "emulator" / "scratch.py"
    lines = [f"import {name}" for name in imported]
    lines += ["from conference_async import ConferenceClient"]
    module.write_text("\n".join(lines) + "\n")
    code, said = linted(scratch)

    assert code == 1
    for name in imported:
        assert f"conference_async.emulator.scratch -> {name} (l." in said, name
    assert "- conference_async.emulator.scratch -> conference_async (l." in said


@pytest.mark.timeout(120)
def test_a_new_room_of_the_emulator_must_be_given_its_layer(scratch: Path) -> None:
    """A module that the contracts do not list breaks the build, whatever it imports."""
    assert linted(scratch)[0] == 0
    (scratch / "conference_async" / "emulator" / "scratch.py").write_text("")
    code, said = linted(scratch)

    assert code == 1
    assert "scratch" in said
