"""What `helm test` runs, on a real server."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.deploy.conftest import Helm

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.parametrize("helm", ["helm-4"], indirect=True),  # both render the same
]


@pytest.fixture(scope="module")
def server(serve: Callable[..., Any]) -> Any:
    """A server of the zoo."""
    return serve(ROOT / "models")


def run_test(helm: "Helm", target: str, *flags: str) -> "subprocess.CompletedProcess[str]":
    """The test pod's command, in its environment but for where the server is."""
    (container,) = helm.render(*flags).one("Pod")["spec"]["containers"]
    given = {each["name"]: each["value"] for each in container["env"]}
    ours = {"PELLUCID_SERVER": target, "PATH": f"{Path(sys.executable).parent}:{os.defpath}"}
    command = [*container["command"], *container["args"]]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=given | ours, timeout=60
    )


def test_helm_test_predicts_by_the_first_model_that_takes_a_picture(
    helm: "Helm", server: Any
) -> None:
    done = run_test(helm, server.target)
    assert done.returncode == 0, done.stderr
    assert "serving" in done.stdout
    called = [each for each in server.events() if each.get("method", "").endswith("/Predict")]
    assert called[-1]["model"] == "efficientnet-lite0"


def test_helm_test_predicts_by_a_model_of_the_values(helm: "Helm", server: Any) -> None:
    done = run_test(helm, server.target, "--set", "test.model=nanodet")
    assert done.returncode == 0, done.stderr
    called = [each for each in server.events() if each.get("method", "").endswith("/Predict")]
    assert called[-1]["model"] == "nanodet"


def test_helm_test_fails_where_no_model_is_served(
    helm: "Helm", serve: Callable[..., Any], tmp_path: Path
) -> None:
    done = run_test(helm, serve(tmp_path).target)
    assert done.returncode != 0
    assert "no model that takes a picture is served: see models.source" in done.stderr
