"""The server itself reads what the chart renders."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from pydantic import BaseModel

from pellucid_server.command_line import read_settings
from pellucid_server.config import Settings
from pellucid_server.rpc.access.policy import read_policy

if TYPE_CHECKING:
    from tests.deploy.conftest import Helm, Rendered

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "pellucid"
DATABASE = "postgresql://me@database/evaluations"


def settings_of(rendered: "Rendered", folder: Path) -> Settings:
    """As the server in the container would read them."""
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(rendered.settings))
    container = rendered.server
    environment = {each["name"]: each.get("value", DATABASE) for each in container["env"]}
    return read_settings(container.get("args", []), environment | {"PELLUCID_CONFIG": str(file)})


def folders(section: BaseModel) -> Iterator[Path]:
    """Every file and folder that settings name."""
    for _, value in section:
        if isinstance(value, BaseModel):
            yield from folders(value)
        else:
            values = value if isinstance(value, tuple) else (value,)
            yield from (each for each in values if isinstance(each, Path))


def test_the_server_takes_the_settings(rendered: "Rendered", tmp_path: Path) -> None:
    settings = settings_of(rendered, tmp_path)
    ports = {each["name"]: each["containerPort"] for each in rendered.server["ports"]}
    assert (settings.port, settings.metrics_port) == (ports["grpc"], ports["metrics"])
    assert settings.host == rendered.settings["host"]
    assert str(settings.model_repository) == rendered.settings["model_repository"]


def test_every_folder_of_the_settings_is_mounted(rendered: "Rendered", tmp_path: Path) -> None:
    mounts = [Path(each["mountPath"]) for each in rendered.server["volumeMounts"]]
    of_the_image = Path("/models")
    for folder in folders(settings_of(rendered, tmp_path)):
        assert any(folder.is_relative_to(mount) for mount in (*mounts, of_the_image)), folder


def test_mounted_secrets_hold_the_files_of_the_settings(
    rendered: "Rendered", tmp_path: Path
) -> None:
    volumes = {each["name"]: each for each in rendered.pod["spec"]["volumes"]}
    there = {
        Path(mount["mountPath"]) / item["path"]
        for mount in rendered.server["volumeMounts"]
        for item in volumes[mount["name"]].get("secret", {}).get("items", [])
    }
    settings = settings_of(rendered, tmp_path)
    named = {*folders(settings.tls), *filter(None, [settings.auth.tokens])}
    assert named == there


def test_the_server_takes_the_policy(helm: "Helm", tmp_path: Path) -> None:
    rendered = helm.render("--values", CHART / "ci" / "production-values.yaml")
    content = yaml.safe_dump(rendered.files["policy.yaml"]).encode()
    policy = read_policy([content], tmp_path)
    assert policy.default.models == ("*",)
    assert policy.tenants.keys() == {"science"}


@pytest.mark.parametrize(
    ("flag", "uploads", "spool"),
    [
        ("state.sizeLimit=10Gi", 8 * 2**30, 4 * 2**30),
        ("tmpSizeLimit=512Mi", 16 * 2**30, 2**28),
        ("settings.uploads.quota_bytes=5000000000", 5_000_000_000, 4 * 2**30),
    ],
)
def test_what_callers_send_fits_the_volumes(
    helm: "Helm", tmp_path: Path, flag: str, uploads: int, spool: int
) -> None:
    """A pod that outgrows its volume is evicted."""
    settings = settings_of(helm.render("--set", flag), tmp_path)
    assert settings.uploads.quota_bytes == uploads
    assert settings.datasets.spool_bytes == spool


@pytest.mark.parametrize(
    ("cpu", "threads"), [("500m", 1), ("1500m", 2), ("2.5", 3), ("16", 16), ("1001m", 2)]
)
def test_threads_follow_the_cpu_request(helm: "Helm", cpu: str, threads: int) -> None:
    assert helm.render("--set", f"resources.requests.cpu={cpu}").settings["threads"] == threads


def test_none_takes_back_what_is_optional(helm: "Helm", tmp_path: Path) -> None:
    rendered = helm.render("--values", CHART / "ci" / "one-claim-values.yaml")
    settings = settings_of(rendered, tmp_path)
    assert settings.limits.wait_seconds is None
    assert settings.limits.message_bytes == 134_217_728


def test_servers_are_added_before_calls_are_refused_and_not_for_streams(helm: "Helm") -> None:
    """Calls wait for `wait_seconds` at most, streams for half of that."""
    flags = (
        "state.perReplica=true",
        "autoscaling.kind=keda",
        "autoscaling.keda.serverAddress=http://p",
    )
    scaled = helm.render("--set", ",".join(flags)).one("ScaledObject")
    threshold = float(scaled["spec"]["triggers"][0]["metadata"]["threshold"])
    longest = Settings().limits.wait_seconds
    assert longest
    assert longest / 2 < threshold < longest
