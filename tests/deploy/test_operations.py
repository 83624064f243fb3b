"""docs/operations.md, followed: its files are used, its commands run or, for a cluster, parsed."""

import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml

from pellucid_server.command_line import every_setting
from pellucid_server.rpc.access.policy import read_policy

from .pages import Block, blocks, codes
from .promql import exposed, unknown
from .test_chart_settings import settings_of

if TYPE_CHECKING:
    from tests.deploy.conftest import Helm

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "pellucid"
PAGE = ROOT / "docs" / "operations.md"
BLOCKS = blocks(PAGE)
FILES = {block.name: block.text for block in BLOCKS if block.name}
OVERLAYS = sorted({*FILES} & {"own-certificate.yaml", "predict-only.yaml", "scale-by-cpu.yaml"})
MANIFESTS = [
    each
    for text in FILES.values()
    for each in yaml.safe_load_all(text)
    if isinstance(each, dict) and "kind" in each
]
RESOURCES = {"Certificate", "Issuer", "PrometheusRule", "ScaledObject", "ServiceMonitor"}
"""Kinds that Kubernetes does not bring."""
GIVEN = ("server.crt", "server.key", "ca.crt", "database-url", ".docker/config.json")
"""Files that the page takes as given."""
INFOS = {"sh", "sh served", "sh cluster", "sh engine", "yaml", "python", "promql", "text"}


def shell(info: str) -> list[Block]:
    return [block for block in BLOCKS if block.info == info]


def commands(*infos: str) -> list[list[str]]:
    return [each for info in infos for block in shell(info) for each in block.commands]


CLUSTER = commands("sh cluster")


@dataclass(frozen=True)
class Desk:
    """A folder with the page's files, where its commands run."""

    folder: Path
    programs: Path

    def run(self, script: str, **environment: str) -> str:
        """What a script prints; it must not fail."""
        done = self.tried(script, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def tried(self, script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """How a script ends."""
        path = f"{self.programs}:{Path(sys.executable).parent}:{os.defpath}"
        given = {"PATH": path, "HOME": str(self.folder), "COLUMNS": "200", **environment}
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder, env=given, capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip

    @cached_property
    def rendered(self) -> list[dict[str, Any]]:
        """The release of the page's own commands."""
        return [
            each for each in yaml.safe_load_all((self.folder / "rendered.yaml").read_text()) if each
        ]


@pytest.fixture(scope="module")
def desk(helm: "Helm", tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Every block that needs nothing was run there, in the page's order."""
    kubectl = helm.program.with_name("kubectl")
    if not kubectl.exists():
        pytest.skip("kubectl is not there: make .helm/.done")
    programs, folder = tmp_path_factory.mktemp("programs"), tmp_path_factory.mktemp("desk")
    (programs / "helm").symlink_to(helm.program)
    (programs / "kubectl").symlink_to(kubectl)
    for name in ("deploy", "samples"):
        (folder / name).symlink_to(ROOT / name)
    for name in GIVEN:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    desk = Desk(folder, programs)
    for block in shell("sh"):
        desk.run(block.text)
    return desk


def test_every_block_says_what_it_needs() -> None:
    assert {block.info for block in BLOCKS} == INFOS


@pytest.mark.parametrize("overlay", [None, *OVERLAYS])
def test_the_values_make_objects_that_kubernetes_and_the_server_take(
    helm: "Helm", desk: Desk, overlay: str | None, tmp_path: Path
) -> None:
    files = [desk.folder / name for name in ("values.yaml", overlay) if name]
    rendered = helm.render(*(flag for file in files for flag in ("--values", file)))
    for manifest in rendered.manifests:
        if manifest["kind"] not in RESOURCES:
            kubernetes_validate.validate(manifest, "1.34", strict=True)
    settings = settings_of(rendered, tmp_path)
    assert settings.tls.certificate
    assert settings.auth.tokens
    policy = read_policy([yaml.safe_dump(rendered.files["policy.yaml"]).encode()], tmp_path)
    assert "science" in policy.tenants


def test_the_page_has_every_overlay() -> None:
    assert len(OVERLAYS) == 3


@pytest.mark.parametrize(
    "manifest", MANIFESTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}"
)
def test_manifests_are_as_kubernetes_wants_them(manifest: dict[str, Any]) -> None:
    if manifest["kind"] not in RESOURCES:
        kubernetes_validate.validate(manifest, "1.34", strict=True)


@pytest.mark.parametrize("command", CLUSTER, ids=" ".join)
def test_commands_of_a_cluster_exist_with_their_flags(desk: Desk, command: list[str]) -> None:
    if command[:2] == ["kubectl", "create"]:
        words = [word.replace("$HOME", str(desk.folder)) for word in command]
        made = desk.run(shlex.join([*words, "--dry-run=client", "--output=yaml"]))
        kubernetes_validate.validate(yaml.safe_load(made), "1.34", strict=True)
    elif command[0] in {"kubectl", "helm"}:
        asked = [*takewhile(lambda word: word != "--", command), "--help"]
        usage = desk.run(shlex.join(asked)).partition("Usage:")[2].strip().splitlines()[0]
        assert usage.startswith(" ".join(command[:2])), usage
        assert not re.search(r"SUBCOMMAND|\[command\]", usage), usage
    else:
        assert command[0] == "curl"


def test_files_that_commands_name_are_there(desk: Desk) -> None:
    for command in commands("sh", "sh cluster"):
        for flag, value in pairwise(command):
            if flag in {"--values", "--filename"} and value != "-":
                assert (desk.folder / value).exists(), value


def test_objects_that_commands_name_are_those_of_the_release(desk: Desk) -> None:
    there = {(each["kind"].lower(), each["metadata"]["name"]) for each in desk.rendered}
    words = [word for command in CLUSTER for word in command]
    named = {tuple(word.split("/")) for word in words if re.match(r"(deployment|service)/", word)}
    assert named == {("deployment", "pellucid"), ("service", "pellucid")} <= there
    assert ("persistentvolumeclaim", "pellucid-state") in there
    secrets = {word.strip("'\"") for command in CLUSTER for word in command}
    volumes = yaml.safe_load_all((desk.folder / "rendered.yaml").read_text())
    (deployment,) = [each for each in volumes if each and each["kind"] == "Deployment"]
    for volume in deployment["spec"]["template"]["spec"]["volumes"]:
        if "secret" in volume:
            assert volume["secret"]["secretName"] in secrets


def test_make_builds_the_image_and_the_image_makes_tokens(desk: Desk) -> None:
    for command in commands("sh engine"):
        if command[0] == "make":
            script = shlex.join([*command, "--dry-run", "ENGINE=docker", f"--directory={ROOT}"])
            assert "--build-arg WITH_ZOO=true" in desk.run(script)
        elif command[:2] == ["docker", "run"]:
            desk.run(shlex.join(["pellucid-server", *command[command.index("token") :]]))


def test_what_prometheus_is_asked_is_there() -> None:
    asked = [line for block in shell("promql") for line in block.text.splitlines()]
    assert len(asked) == 3
    assert [each for line in asked for each in unknown(line, exposed())] == []
    counters = {name for name in codes(PAGE) if name.startswith(("pellucid_", "process_"))}
    assert counters <= set(exposed())


def test_values_and_settings_that_the_page_names_exist() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    settings = {setting.name for setting in every_setting()}
    sections = {name.split(".")[0] for name in settings}
    for code in codes(PAGE):
        path = code.partition(":")[0].removeprefix("settings.")
        if re.fullmatch(r"[a-z]\w*(\.[a-zA-Z]\w*)+", path) and path.split(".")[0] in {
            *values,
            *sections,
        }:
            assert path in settings | {*paths(values)}, path


def paths(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Dotted names of values."""
    for name, value in values.items():
        yield f"{above}{name}"
        if isinstance(value, dict):
            yield from paths(value, f"{above}{name}.")


@dataclass(frozen=True)
class Served:
    """A server with the settings, the policy and the tokens of the page."""

    desk: Desk
    target: str
    state: Path

    def run(self, script: str) -> str:
        """What a script prints that calls it."""
        return self.desk.run(script, PELLUCID_SERVER=self.target)


@pytest.fixture(scope="module")
def served(
    helm: "Helm", desk: Desk, serve: Callable[..., Any], authorities: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Served:  # fmt: skip
    """In place of the cluster: the folders of the container are folders of this machine."""
    folder = tmp_path_factory.mktemp("container")
    rendered = helm.render("--values", desk.folder / "values.yaml")
    pair = (authority := authorities(folder)).issue("localhost")
    (folder / "policy.yaml").write_text(yaml.safe_dump(rendered.files["policy.yaml"]))
    (desk.folder / "ca.crt").write_bytes(authority.ca.read_bytes())
    settings = rendered.settings | {
        "host": "127.0.0.1",
        "state": str(folder / "state"),
        "tls": {"certificate": str(pair.certificate), "key": str(pair.key)},
        "auth": {
            "tokens": str(desk.folder / "tokens.yaml"),
            "policy": str(folder / "policy.yaml"),
        },
    }
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    server = serve(ROOT / "models", f"--config={folder / 'settings.yaml'}")
    target = server.target.replace("127.0.0.1", "localhost")
    return Served(desk, target, folder / "state")


ONCE = pytest.mark.parametrize("helm", ["helm-4"], indirect=True)  # both render the same


@pytest.mark.e2e
@ONCE
def test_the_page_s_calls_are_answered(served: Served) -> None:
    calls, evaluations = [served.run(block.text) for block in shell("sh served")]
    assert "espresso" in calls
    assert list((served.desk.folder / "maps").glob("*.npy"))
    assert "succeeded" in evaluations


@pytest.mark.e2e
@ONCE
def test_the_policy_keeps_the_shop_from_evaluating(served: Served) -> None:
    done = served.desk.tried(
        "pellucid evaluate samples --model nanodet --ca ca.crt --token-file shop.token",
        PELLUCID_SERVER=served.target,
    )
    assert done.returncode == 4
    assert "science" not in done.stderr


@pytest.mark.e2e
@ONCE
def test_another_service_calls_as_the_page_says(served: Served) -> None:
    (block,) = shell("python")
    code = (
        block.text.replace("pellucid-headless.vision.svc:8001", served.target)
        .replace("/etc/pellucid/ca.crt", "ca.crt")
        .replace("/etc/pellucid/token", "shop.token")
    )
    assert "espresso" in served.run(shlex.join([sys.executable, "-c", code]))


@pytest.mark.e2e
@ONCE
def test_a_backup_is_whole_while_the_server_runs(served: Served, tmp_path: Path) -> None:
    (script,) = [each for each in CLUSTER if each[:2] == ["kubectl", "exec"] and "-c" in each]
    command = script[script.index("--") + 1 :]
    folders = {"'/tmp": f"'{tmp_path}", "'/var/lib/pellucid": f"'{served.state}"}
    for theirs, ours in folders.items():
        command = [word.replace(theirs, ours) for word in command]
    served.run(shlex.join(command))
    with closing(sqlite3.connect(tmp_path / "evaluations.db")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT count(*) FROM evaluations").fetchone()
