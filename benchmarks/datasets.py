"""Data sets that are made for a run, in folders that go with it."""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from PIL import Image

from benchmarks.photos import small_jpeg

LABELS = ("espresso", "eggnog")
TINY, TINY_SIDE = "tiny", 32
SPEC = f"""\
task: classification
description: the mean of the red channel against that of the green one
labels: [{", ".join(LABELS)}]
preprocess:
  scale: [255]
decode:
  type: softmax
"""


@contextmanager
def photos(count: int, data: bytes | None = None) -> Iterator[Path]:
    """A folder above a set of `count` photos by class: one file by many names."""
    data = data or small_jpeg()
    with tempfile.TemporaryDirectory() as root:
        first = Path(root) / "photo.jpg"
        first.write_bytes(data)
        folders = [Path(root) / "set" / label for label in LABELS]
        for folder in folders:
            folder.mkdir(parents=True)
        for index in range(count):
            (folders[index % len(folders)] / f"{index:07}.jpg").symlink_to("../../photo.jpg")
        yield Path(root)


def tiny_jpeg() -> bytes:
    """A picture that costs next to nothing."""
    pixels = np.random.default_rng(0).integers(0, 256, (TINY_SIDE, TINY_SIDE, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


@contextmanager
def tiny_model() -> Iterator[Path]:
    """A repository with a model that costs next to nothing."""
    image = ops.parameter([1, 3, TINY_SIDE, TINY_SIDE], np.float32, name="image")
    image.output(0).get_tensor().set_names({"image"})
    means = ops.reduce_mean(image, np.asarray([2, 3]), keep_dims=False)
    logits = ops.gather(means, ops.constant([0, 1]), ops.constant(1))
    logits.output(0).get_tensor().set_names({"logits"})
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / TINY
        (model / "1").mkdir(parents=True)
        ov.save_model(ov.Model([ops.result(logits)], [image], TINY), model / "1" / "model.xml")
        (model / "model.yaml").write_text(SPEC)
        yield Path(folder)
