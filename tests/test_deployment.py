"""The files to deploy workers with: they can be read, and what they start exists."""

import configparser
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from conference_async._version import __version__
from conference_async.cli.app import app

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples" / "deployment"
PAGE = (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")
ACCOUNT = {"TWILIO_ACCOUNT_SID", "TWILIO_API_KEY", "TWILIO_API_SECRET"}
FINISHED_WITHIN = 25
"""Seconds in which SIGTERM ends a worker."""


def unit() -> configparser.ConfigParser:
    """Return the systemd unit."""
    found = configparser.ConfigParser(interpolation=None)
    found.optionxform = str  # type: ignore[assignment, method-assign]  # as typeshed's own example
    found.read(FOLDER / "worker.service", encoding="utf-8")
    return found


def compose() -> dict[str, Any]:
    """Return the services of the compose file."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    return found


def manifests() -> dict[str, dict[str, Any]]:
    """Return the Kubernetes manifests by their kinds."""
    text = (FOLDER / "kubernetes.yaml").read_text(encoding="utf-8")
    return {each["kind"]: each for each in yaml.safe_load_all(text)}


def containers() -> Iterator[dict[str, Any]]:
    """Yield the containers of the manifests."""
    for kind in ("Job", "Deployment"):
        yield from manifests()[kind]["spec"]["template"]["spec"]["containers"]


def commands() -> dict[str, list[str]]:
    """Return the arguments that the files start our command with."""
    _, *of_unit = shlex.split(unit()["Service"]["ExecStart"])
    of_services = {
        name: service["command"]
        for name, service in compose()["services"].items()
        if "command" in service
    }
    of_containers = {each["name"]: each["args"] for each in containers()}
    return {
        "systemd": of_unit,
        **{f"compose {name}": found for name, found in of_services.items()},
        **{f"kubernetes {name}": found for name, found in of_containers.items()},
    }


@pytest.mark.parametrize("where", commands())
def test_what_is_started_exists(where: str) -> None:
    """With these options, which the command line can read."""
    _, bound, _ = app.parse_args(commands()[where], exit_on_error=False, print_error=False)

    assert bound.arguments["ledger"].startswith("postgresql://")
    assert ":" not in bound.arguments["ledger"].removeprefix("postgresql://"), "no password"


def test_images_are_named_with_a_tag() -> None:
    """Of this version, where they are ours; so that a new one is rolled out on purpose."""
    images = [each["image"] for each in (*compose()["services"].values(), *containers())]
    images += re.findall(r"^FROM (\S+)", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)

    assert len(images) == 6
    for image in images:
        name, _, tag = image.rpartition(":")
        assert re.fullmatch(r"[\w./-]+", name)
        assert re.fullmatch(r"\d[\w.-]*", tag)
        assert "conference-async" not in name or tag == __version__


def test_the_image_has_what_its_commands_need() -> None:
    """Extras that there are."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    dockerfile = (FOLDER / "Dockerfile").read_text()
    (named,) = re.findall(r'"conference-async\[([\w,]+)\]"', dockerfile)

    assert {"cli", "cluster", "prometheus"} <= {*named.split(",")} <= extras.keys()
    assert 'ENTRYPOINT ["conference-async"]' in dockerfile


def test_secrets_come_from_outside() -> None:
    """No file holds one, and each worker gets those that it needs."""
    services = compose()["services"]

    assert unit()["Service"]["EnvironmentFile"].startswith("/etc/")
    assert services["worker"]["environment"] == dict.fromkeys({*ACCOUNT, "PGPASSWORD"})
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == "${PGPASSWORD:?}"
    assert all("secretRef" in source for each in containers() for source in each["envFrom"])
    assert all("env" not in each for each in containers())
    files = [path.read_text(encoding="utf-8") for path in FOLDER.iterdir()]
    assert all(name in "".join(files) for name in ACCOUNT)


def test_workers_are_asked_where_they_answer() -> None:
    """By the port and the paths that they serve, also from outside their container."""
    (_, worker) = containers()
    (port,) = worker["ports"]
    probed = [worker[kind]["httpGet"] for kind in ("livenessProbe", "readinessProbe")]
    pod = manifests()["Deployment"]["spec"]["template"]
    test = compose()["services"]["worker"]["healthcheck"]["test"]

    assert f"--health={port['containerPort']}" in worker["args"]
    assert "--health-host=0.0.0.0" in worker["args"]
    assert probed == [{"path": f"/{path}", "port": port["name"]} for path in ("live", "ready")]
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(port["containerPort"])
    assert "--health=8090" in compose()["services"]["worker"]["command"]
    assert "http://127.0.0.1:8090/ready" in test[-1]


def test_workers_are_given_time_to_finish() -> None:
    """Longer than SIGTERM takes to end one."""
    pod = manifests()["Deployment"]["spec"]["template"]["spec"]
    given = [
        unit()["Service"]["TimeoutStopSec"],
        compose()["services"]["worker"]["stop_grace_period"].removesuffix("s"),
        pod["terminationGracePeriodSeconds"],
    ]

    assert all(int(seconds) > FINISHED_WITHIN for seconds in given)


def test_tables_are_made_before_workers_start() -> None:
    """By a command of its own, once."""
    services = compose()["services"]

    assert services["worker"]["depends_on"] == {
        "set-up": {"condition": "service_completed_successfully"}
    }
    assert services["set-up"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["set-up"]["image"] == services["worker"]["image"]


def test_selectors_find_what_they_are_for() -> None:
    """The deployment its pods, and the budget the deployment's."""
    deployment, budget = manifests()["Deployment"], manifests()["PodDisruptionBudget"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]

    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert budget["spec"]["minAvailable"] < deployment["spec"]["replicas"]


def test_a_pooler_that_changes_sessions() -> None:
    """Where the workers find their database."""
    pooler = configparser.ConfigParser(interpolation=None)
    pooler.read(FOLDER / "pgbouncer.ini", encoding="utf-8")

    assert pooler["pgbouncer"]["pool_mode"] == "transaction"
    assert "dbname=calls" in pooler["databases"]["calls"]


def test_the_page_lists_each_event() -> None:
    """And none that there is not; what only debugging shows is left out."""
    sources = [path.read_text() for path in (ROOT / "conference_async").rglob("*.py")]
    events = set(re.findall(r'"event": "([\w.]+)"', "".join(sources))) - {"worker.dead"}
    rows = re.findall(r"^\| (`[\w.`, ]+) \| (?:info|warning|error|critical) \|", PAGE, re.MULTILINE)

    listed = {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}
    assert listed == events | {"target.refused", "target.unknown"}


def test_the_page_shows_each_file() -> None:
    """As it is."""
    shown = set(re.findall(r"```\{literalinclude\} \.\./examples/deployment/(\S+)", PAGE))

    assert shown == {path.name for path in FOLDER.iterdir()}
