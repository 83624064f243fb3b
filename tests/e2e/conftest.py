"""One server of the zoo for all tests, and clients of it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops
from PIL import Image

import pellucid

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples"


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder from which the server may read, beside one from which it may not."""
    folder = tmp_path_factory.mktemp("data")
    root = folder / "allowed"
    root.mkdir()
    photo = (SAMPLES / "coffee.png").read_bytes()
    (root / "coffee.png").write_bytes(photo)
    (folder / "secret.png").write_bytes(photo)
    (root / "link.png").symlink_to(folder / "secret.png")
    return root


@pytest.fixture(scope="session")
def server(serve: Callable[..., Any], data_root: Path) -> Any:
    """The zoo, with limits low enough to be tried."""
    return serve(
        ROOT / "models",
        f"--data-roots={data_root}",
        "--limits-message-bytes=4000000",
        "--limits-image-pixels=4000000",
    )


@pytest.fixture(scope="session")
def client(server: Any) -> Iterator[pellucid.Client]:
    """The client as callers use it."""
    with pellucid.Client(server.target) as client:
        yield client


@pytest.fixture(scope="session")
def channel(server: Any) -> Iterator[grpc.Channel]:
    """A bare channel, for what the client would not send."""
    with grpc.insecure_channel(server.target) as channel:
        yield channel


def write_classifier(root: Path, name: str, *, side: int, layers: int, channels: int) -> Path:
    """A repository with a classifier of the classes a to d whose weights are random but fixed."""
    generator = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        values = generator.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        return ops.constant(values.astype(np.float32))

    image = ops.parameter([1, 3, side, side], np.float32, name="image")
    image.output(0).get_tensor().set_names({"image"})
    node: Any = image
    for inputs in (3, *[channels] * (layers - 1)):
        filters = weights(channels, inputs, 3, 3)
        node = ops.relu(ops.convolution(node, filters, [1, 1], [1, 1], [1, 1], [1, 1]))
    means = ops.reduce_mean(node, np.asarray([2, 3]), keep_dims=False)
    logits = ops.matmul(means, weights(4, channels), transpose_a=False, transpose_b=True)
    logits.output(0).get_tensor().set_names({"logits"})
    folder = root / name / "1"
    folder.mkdir(parents=True)
    ov.save_model(ov.Model([ops.result(logits)], [image], name), folder / "model.xml")
    description = "task: classification\nlabels: [a, b, c, d]\npreprocess: {scale: [255]}\n"
    (root / name / "model.yaml").write_text(description)
    return root


def write_noise(root: Path, count: int, side: int) -> Path:
    """Folders a to d of images of noise."""
    generator = np.random.default_rng(1)
    for index in range(count):
        folder = root / "abcd"[index % 4]
        folder.mkdir(parents=True, exist_ok=True)
        noise = generator.integers(0, 256, (side, side, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{index:04}.png")
    return root
