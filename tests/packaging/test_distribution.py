"""The sdist, the wheel, and what they say of themselves."""

import os
import re
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
BUILT = os.environ.get("CONFERENCE_ASYNC_TEST_DIST")
needs_build = pytest.mark.skipif(not BUILT, reason="nothing was built: `tox -e packaging` builds")
_UPPER_BOUND = re.compile(r"[\w-]+>=[\d.]+,<\d+(\.\d+)?")
_LOWER_BOUND = re.compile(r"[\w-]+(\[[\w,-]+\])?>=[\d.]+(b\d+)?(; .+)?")
"""OpenTelemetry's exporter for Prometheus has never been anything but a beta."""


@pytest.fixture
def wheel() -> zipfile.ZipFile:
    """Return the wheel that was built."""
    [path] = Path(BUILT or "").glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture
def metadata(wheel: zipfile.ZipFile) -> Message:
    """Return what the wheel says of itself."""
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


_CAPPED = {"cyclopts", "procrastinate"}
"""What only commands and workers of ours use, and what breaks with new versions."""


def test_dependencies_have_lower_bounds_only() -> None:
    """Applications choose what is newest; a library that caps versions makes them impossible."""
    extras = [each for extra in PROJECT["optional-dependencies"].values() for each in extra]

    assert [
        each
        for each in [*PROJECT["dependencies"], *extras]
        if not _LOWER_BOUND.fullmatch(each)
        and not (_UPPER_BOUND.fullmatch(each) and each.partition(">")[0] in _CAPPED)
    ] == []


def test_the_lowest_bounds_are_the_tested_ones() -> None:
    """The constraints of the tests on the lowest versions are the bounds of the dependencies."""
    tested = (ROOT / "tests" / "lowest.txt").read_text("utf-8").split()

    assert sorted(tested) == sorted(each.replace(">=", "==") for each in PROJECT["dependencies"])


@needs_build
def test_the_wheel_holds_the_package_and_its_files(wheel: zipfile.ZipFile) -> None:
    """Every file of the package, and nothing beside it but the metadata."""
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    package = ROOT / "conference_async"
    files = {
        str(file.relative_to(ROOT))
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }

    assert inside == files
    assert {"conference_async/py.typed", "conference_async/emulator/page/index.html"} <= inside
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())


@needs_build
def test_the_sdist_holds_what_is_needed_to_test_and_document() -> None:
    """The sdist alone is enough to package the library for a distribution."""
    [path] = Path(BUILT or "").glob("*.tar.gz")
    with tarfile.open(path) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}

    folders = {name.partition("/")[0] for name in inside if "/" in name}
    assert folders == {"benchmarks", "conference_async", "docs", "examples", "tests"}
    files = {"CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml", "tox.ini"}
    assert files <= inside
    assert {"docs/conf.py", "docs/compose.yaml", "tests/lowest.txt"} <= inside
    assert not [name for name in inside if re.search(r"\.(db|pyc|coverage.*)$|_build|\.tox", name)]


@needs_build
def test_the_metadata_can_be_read_by_machines(metadata: Message) -> None:
    """A licence expression, true classifiers, every extra, and where to find more."""
    versions = [f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)]
    classifiers = metadata.get_all("Classifier") or []

    assert metadata["License-Expression"] == "MIT"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert [each for each in classifiers if re.search(r":: 3\.\d+$", each)] == versions
    assert set(metadata.get_all("Provides-Extra") or []) == set(PROJECT["optional-dependencies"])
    addresses = dict(each.split(", ") for each in metadata.get_all("Project-URL") or [])
    assert addresses == PROJECT["urls"]
    assert metadata["Home-page"] is None
