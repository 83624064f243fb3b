"""Scores of many masks, computed once and kept under benchmarks/.cache."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from pellucid_server.explain.designs import BLOCK, Design
from pellucid_server.explain.masks import MaskTables
from pellucid_server.runtime.workarounds import unpack_weights
from pellucid_server.types import Size

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(__file__).parent / ".cache"
STREAMS = 2
Scores = NDArray[np.float32]


def _softmax(logits: Scores) -> Scores:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _best_cell(*levels: Scores) -> Scores:
    """A class scores what its best cell does: one number for a detector's class."""
    return np.concatenate(levels, 1).max(1)


@dataclass(frozen=True)
class Network:
    """A model of the zoo as a function from an image to scores of classes."""

    name: str
    side: int
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    bgr: bool
    outputs: tuple[str, ...]
    scores: Callable[..., Scores]
    batch: int = 4
    """Masks in one inference: 1 where the file's reshapes are fixed to it."""

    @property
    def path(self) -> Path:
        return ROOT / "models" / self.name / "1" / "model.xml"

    def image(self, photo: Path) -> Scores:
        """The centre 87.5 % of the photo's largest square, normalised: 1 x 3 x side x side."""
        pixels = cv2.imread(str(photo))
        height, width = pixels.shape[:2]
        crop = round(min(height, width) * 0.875)
        top, left = (height - crop) // 2, (width - crop) // 2
        square = pixels[top : top + crop, left : left + crop]
        resized = cv2.resize(square, (self.side, self.side), interpolation=cv2.INTER_AREA)
        ordered = resized if self.bgr else resized[..., ::-1]
        normalised = (ordered - np.asarray(self.mean)) / np.asarray(self.scale)
        return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None], np.float32)


NETWORKS = {
    network.name: network
    for network in (
        Network(
            "efficientnet-lite0", 224, (127,) * 3, (128,) * 3, bgr=False,
            outputs=("logits",), scores=_softmax,
        ),
        Network(
            "nanodet", 416, (103.53, 116.28, 123.675), (57.375, 57.12, 58.395), bgr=True,
            outputs=("scores_8", "scores_16", "scores_32"), scores=_best_cell, batch=1,
        ),
    )
}  # fmt: skip


class Runner:
    """Scores masks of one network; masks are rendered in the graph."""

    def __init__(self, network: Network, tables: MaskTables, precision: str = "bf16") -> None:
        self.network = network
        core = ov.Core()
        settings = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": STREAMS,
            "INFERENCE_PRECISION_HINT": precision,
        }
        graph = _behind_masks(core.read_model(network.path), tables, network)
        self.compiled = core.compile_model(unpack_weights(graph), "CPU", settings)
        self.idle: SimpleQueue[ov.InferRequest] = SimpleQueue()
        for _ in range(STREAMS):
            self.idle.put(self.compiled.create_infer_request())

    def whole(self, image: Scores) -> Scores:
        """Scores of the whole image."""
        return self.scores(image, np.ones((self.network.batch, *self._cells), np.uint8), None)[0]

    @property
    def _cells(self) -> tuple[int, int]:
        shape = self.compiled.input("grids").shape
        return shape[1], shape[2]

    def scores(
        self, image: Scores, grids: NDArray[np.uint8], shifts: NDArray[np.int32] | None
    ) -> Scores:
        """Masks x classes, for a number of masks that the network's batch divides."""
        shifts = np.zeros((len(grids), 2), np.int32) if shifts is None else shifts

        def score(start: int) -> Scores:
            part = slice(start, start + self.network.batch)
            feeds = {
                "image": image,
                "grids": grids[part].astype(np.float32),
                "down": shifts[part, 0],
                "right": shifts[part, 1],
            }
            request = self.idle.get()
            try:
                results = request.infer(feeds)
                named = [results[name].copy() for name in self.network.outputs]
            finally:
                self.idle.put(request)
            return self.network.scores(*named)

        with ThreadPoolExecutor(STREAMS) as workers:
            parts = workers.map(score, range(0, len(grids), self.network.batch))
            return np.concatenate(list(parts))


def _behind_masks(graph: ov.Model, tables: MaskTables, network: Network) -> ov.Model:
    batch = network.batch
    port = graph.input(0)
    shape = [batch, *list(port.shape)[1:]]
    graph.reshape({port.get_any_name(): shape})
    cells = tables.rows.shape[2]
    image = ops.parameter([1, *shape[1:]], np.float32, name="image")
    grids = ops.parameter([batch, cells, cells], np.float32, name="grids")
    down, right = (ops.parameter([batch], np.int32, name=name) for name in ("down", "right"))
    axis = ops.constant(0)
    rows, columns = (
        ops.gather(ops.constant(table), index, axis)
        for table, index in ((tables.rows, down), (tables.columns, right))
    )
    masks = ops.matmul(
        ops.matmul(rows, grids, transpose_a=False, transpose_b=False),
        columns, transpose_a=False, transpose_b=True,
    )  # fmt: skip
    masked = ops.multiply(image, ops.unsqueeze(masks, ops.constant(1)))
    old = port.get_node()
    for user in list(old.output(0).get_target_inputs()):
        user.replace_source_output(masked.output(0))
    inputs = [image, grids, down, right]
    for node in inputs:
        node.output(0).get_tensor().set_names({node.get_friendly_name()})
    results = [graph.output(name).get_node() for name in network.outputs]
    return ov.Model(results, inputs, "masked")


@dataclass(frozen=True)
class Bank:
    """Scores of the first masks of a design, for the targets of a photo."""

    targets: tuple[int, ...]
    scores: NDArray[np.float64]
    """Masks x targets."""


class Banks:
    """Banks of a network, from the cache where they were computed before."""

    def __init__(self, network: Network, cells: int, targets: int) -> None:
        self.network = network
        self.tables = MaskTables.of(Size(network.side, network.side), cells)
        self.cells = cells
        self.top = targets
        self._runner: Runner | None = None

    def close(self) -> None:
        """Frees the compiled model; OpenVINO must not do so while Python exits."""
        self._runner = None

    def get(self, photo: Path, name: str, design: Design, count: int) -> Bank:
        """Scores of the masks 0 to `count` of a design, seen through the photo's top classes."""
        digest = hashlib.sha256(photo.read_bytes()).hexdigest()[:12]
        key = f"{self.network.name}_{digest}_{self.cells}_{name}_{design.seed}_{count}.npz"
        path = CACHE / key
        if not path.exists():
            CACHE.mkdir(exist_ok=True)
            targets, scores = self._compute(photo, design, count)
            np.savez_compressed(path, targets=targets, scores=scores)
        stored = np.load(path)
        return Bank(tuple(stored["targets"]), stored["scores"].astype(np.float64))

    def _compute(self, photo: Path, design: Design, count: int) -> tuple[NDArray[np.int64], Scores]:
        self._runner = self._runner or Runner(self.network, self.tables)
        image = self.network.image(photo)
        targets = np.argsort(self._runner.whole(image))[::-1][: self.top]
        parts = []
        for start in range(0, count, 32 * BLOCK):
            blocks = [
                design.block(at) for at in range(start, min(count, start + 32 * BLOCK), BLOCK)
            ]
            grids = np.concatenate([block.grids for block in blocks])
            shifts = np.concatenate([block.shifts for block in blocks])
            parts.append(self._runner.scores(image, grids, shifts)[:, targets])
        return targets, np.concatenate(parts)
