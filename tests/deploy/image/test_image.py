"""The image, built and run: as somebody unprivileged, on a root that nothing can write to."""

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.deploy.image.conftest import Container, Start

ROOT = Path(__file__).parents[3]
PHOTO = (ROOT / "samples" / "coffee.png").read_bytes()
LARGEST = 540_000_000
"""Bytes that the image adds to its base, unpacked, the zoo among them."""

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def served(start: "Start") -> "Container":
    """A container that is healthy by the image's own check."""
    container = start()
    container.wait_until_healthy()
    return container


@pytest.fixture(scope="module")
def described(image: str) -> dict[str, Any]:
    """What the image says of itself."""
    return _described(image)


@pytest.fixture(scope="module")
def base(image: str) -> dict[str, Any]:
    """What the image that it was built on says."""
    return _described(_described(image)["Labels"]["org.opencontainers.image.base.name"])


def _described(image: str) -> dict[str, Any]:
    done = subprocess.run(["podman", "image", "inspect", image], capture_output=True, check=True)
    (found,) = json.loads(done.stdout)
    return dict(found)


def test_it_says_what_it_is(described: dict[str, Any]) -> None:
    labels = described["Labels"]
    assert labels["org.opencontainers.image.title"] == "Pellucid"
    assert labels["org.opencontainers.image.version"] == "9.8.7"
    assert labels["org.opencontainers.image.revision"] == "abc"
    assert described["User"] == "10001:10001"
    assert described["Config"]["Entrypoint"] == ["pellucid-server"]
    assert described["Healthcheck"]["Test"] == ["CMD", "pellucid", "health"]


def test_it_is_small(described: dict[str, Any], base: dict[str, Any]) -> None:
    added = described["Size"] - base["Size"]
    print(f"the image adds {added / 1e6:.0f} MB to its base")  # noqa: T201 - make image-test shows it
    assert added < LARGEST


def test_it_runs_as_a_user_without_rights(served: "Container") -> None:
    status = served.run("cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["Uid"].split() == ["10001"] * 4
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert served.fails("touch", "/opt/pellucid/x", "/models/x", "/var/lib/pellucid/x")


def test_the_server_is_process_1(served: "Container") -> None:
    assert "pellucid-server" in served.run("cat", "/proc/1/cmdline")


@pytest.mark.parametrize("program", ["pip", "pip3", "cc", "gcc", "make", "curl"])
def test_nothing_that_builds_or_fetches_is_left(served: "Container", program: str) -> None:
    assert served.fails("sh", "-c", f"command -v {program}")


def test_python_has_no_pip(served: "Container") -> None:
    assert served.fails("python", "-c", "import pip")
    assert served.fails("python", "-c", "import ensurepip")


def test_all_byte_code_is_there(served: "Container") -> None:
    """A read-only root cannot keep what would be compiled at each start."""
    missing = """
import sys, pellucid.cli, pellucid_server.__main__
from importlib.util import cache_from_source
from pathlib import Path
specs = [getattr(module, "__spec__", None) for module in sys.modules.values()]
files = [spec.origin or "" for spec in specs if spec and spec.has_location]
sources = [file for file in files if file.endswith(".py")]
print(len(sources), [file for file in sources if not Path(cache_from_source(file)).exists()])
"""
    count, _, without = served.run("python", "-c", missing).partition(" ")
    assert int(count) > 500
    assert without == "[]\n"


@pytest.fixture(scope="module")
def photo(served: "Container") -> str:
    """A photo in the container, in a folder of its class."""
    served.run("mkdir", "-p", "/tmp/photos/espresso")  # noqa: S108 - the container's own
    path = "/tmp/photos/espresso/coffee.png"  # noqa: S108 - as above
    served.run("sh", "-c", f"cat > {path}", stdin=PHOTO)
    return path


def test_it_predicts(served: "Container", photo: str) -> None:
    told = json.loads(
        served.run("pellucid", "predict", photo, "--model=efficientnet-lite0", "--json")
    )
    assert "espresso" in json.dumps(told)


@pytest.mark.parametrize("model", ["arbitrary-style", "esrgan-slim", "multistyle", "nanodet"])
def test_every_format_of_models_runs(served: "Container", photo: str, model: str) -> None:
    """OpenVINO's own and ONNX, on what was left of OpenVINO."""
    extra = [f"--style-image={photo}"] if model == "arbitrary-style" else []
    told = served.run("pellucid", "predict", photo, f"--model={model}", "--json", *extra)
    assert model in told


def test_it_explains(served: "Container", photo: str) -> None:
    options = ("--model=efficientnet-lite0", "--masks=32", "--json", "--output=/tmp/maps")
    assert "coffee" in served.run("pellucid", "explain", "--input", photo, *options)


def test_it_evaluates(served: "Container", photo: str) -> None:
    """Uploads, the store with its migrations, and metrics."""
    folder = str(Path(photo).parents[1])
    options = ("--model=efficientnet-lite0", "--format=imagenet", "--json")
    report = json.loads(served.run("pellucid", "evaluate", folder, *options))["report"]
    assert report["metrics"][0] == {"name": "top_1", "value": 1.0, "unit": ""}


def test_it_evaluates_detections(served: "Container", photo: str) -> None:
    """COCO's own metrics, compiled code that nothing else touches."""
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [150, 60, 300, 250]}
    annotations = {
        "images": [{"id": 1, "file_name": Path(photo).name, "width": 600, "height": 400}],
        "categories": [{"id": 1, "name": "cup"}],
        "annotations": [annotation | {"area": 75000, "iscrowd": 0}],
    }
    folder = str(Path(photo).parent)
    file = f"{folder}/instances.json"
    served.run("sh", "-c", f"cat > {file}", stdin=json.dumps(annotations).encode())
    options = ("--format=coco", "--param=annotations=instances.json", "--json")
    told = served.run("pellucid", "evaluate", folder, "--model=nanodet", *options)
    assert "ap" in json.loads(told)["report"]["metrics"][0]["name"], told[:2000]


@pytest.mark.parametrize(
    "modules", ["psycopg", "jwt, cryptography", "opentelemetry.exporter.otlp.proto.grpc"]
)
def test_the_extras_of_the_chart_are_there(served: "Container", modules: str) -> None:
    served.run("python", "-c", f"import {modules}")


def test_sigterm_ends_it_in_good_order(start: "Start") -> None:
    container = start()
    container.wait_until_healthy()
    assert container.stop() == 0
    assert '"event": "stopped"' in container.log()
