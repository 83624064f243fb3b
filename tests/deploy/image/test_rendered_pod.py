"""What the chart renders, run by podman: the pod's own limits, with no network but its loopback."""

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from tests.deploy.conftest import Helm, Rendered

BASE = "localhost/pellucid-base:test"
PAUSE = "localhost/pellucid-pause:test"
"""Holds a pod's namespaces; podman's own is built from a program that may be missing."""
VALUES = "image.pullPolicy=Never,settings.drain_seconds=20,settings.connection_seconds=10"
PATIENCE = 60
ENGINE = f"""
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
infra_image = "{PAUSE}"
runtime = "runc"
"""
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.parametrize("helm", ["helm-4"], indirect=True),  # both render the same
]


@dataclass(frozen=True)
class Podman:
    """The program, with settings of its own."""

    settings: Path

    def __call__(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "CONTAINERS_CONF": str(self.settings)}
        return subprocess.run(
            ["podman", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=PATIENCE,
        )


@dataclass(frozen=True)
class Pod:
    """A pod that runs."""

    podman: Podman
    name: str
    rendered: "Rendered"

    @property
    def container(self) -> str:
        """The server's."""
        return f"{self.name}-pellucid"

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Runs a command beside the server."""
        return self.podman("exec", self.container, *command)

    def wait_until_ready(self) -> None:
        """As the startup probe does."""
        deadline = time.monotonic() + PATIENCE
        while self.run("pellucid", "health").returncode:
            assert time.monotonic() < deadline, self.podman("logs", self.container).stderr
            time.sleep(0.5)


@pytest.fixture
def podman(tmp_path: Path) -> Podman:
    """Podman, with an image that holds pods."""
    settings = tmp_path / "containers.conf"
    settings.write_text(ENGINE)
    program = Podman(settings)
    (tmp_path / "Dockerfile").write_text(f'FROM {BASE}\nENTRYPOINT ["sleep", "infinity"]\n')
    built = program("build", "--pull-never", "--tag", PAUSE, tmp_path)
    assert built.returncode == 0, built.stderr
    return program


@pytest.fixture
def pod(helm: "Helm", image: str, podman: Podman, tmp_path: Path) -> Iterator[Pod]:
    """The pod of the chart's Deployment; it is gone after the test."""
    repository, _, tag = image.rpartition(":")
    named = f"image.repository={repository},image.tag={tag}"
    rendered = helm.render("--set", f"{named},{VALUES}")
    file = tmp_path / "pod.yaml"
    file.write_text(yaml.safe_dump_all(playable(rendered)))
    pod = Pod(podman, f"{rendered.one('Deployment')['metadata']['name']}-pod-0", rendered)
    podman("pod", "rm", "--force", "--time=0", pod.name)
    try:
        played = podman("play", "kube", "--network=none", file)
        assert played.returncode == 0, played.stderr
        yield pod
    finally:
        podman("pod", "rm", "--force", "--time=0", pod.name)


def playable(rendered: "Rendered") -> Iterator[object]:
    """Without ports, which need a network, and probes, for which podman wants curl in the image.

    It would start again what ended, too.
    """
    deployment = yaml.safe_load(yaml.safe_dump(rendered.one("Deployment")))
    spec = deployment["spec"]["template"]["spec"]
    spec["restartPolicy"] = "Never"
    (container,) = spec["containers"]
    for key in [key for key in container if key == "ports" or key.endswith("Probe")]:
        del container[key]
    yield from (*rendered.all("ConfigMap"), deployment)


def fetch(path: str) -> str:
    """A command that prints what the probes' port answers."""
    return (
        f"from urllib.request import urlopen as o; print(o('http://localhost:8002{path}').read())"
    )


def test_the_rendered_pod_predicts_in_its_bounds_and_ends_cleanly(pod: Pod) -> None:
    pod.wait_until_ready()
    (tester,) = pod.rendered.one("Pod")["spec"]["containers"]
    predicted = pod.run(*tester["command"], *tester["args"])
    assert predicted.returncode == 0, predicted.stderr

    assert '"alive"' in pod.run("python", "-c", fetch("/livez")).stdout
    assert '"ready"' in pod.run("python", "-c", fetch("/readyz")).stdout
    assert pod.run("id", "--user").stdout.strip() == "10001"
    assert pod.run("touch", "/opt/pellucid/mine").returncode != 0
    assert pod.run("touch", "/models/mine").returncode != 0
    assert pod.run("sh", "-c", "touch ~/mine /var/lib/pellucid/mine").returncode == 0
    rights = pod.run("grep", "--extended-regexp", "CapEff|NoNewPrivs", "/proc/1/status").stdout
    assert rights.split() == ["CapEff:", "0000000000000000", "NoNewPrivs:", "1"]

    pod.podman("kill", "--signal=TERM", pod.container)
    status = pod.podman("wait", pod.container)
    assert status.stdout.strip() == "0", pod.podman("logs", pod.container).stderr
