"""RISE as its paper writes it (arXiv 1806.07421, eq. 6): one synchronous batch after another.

What a reader of the paper writes in an afternoon, with OpenVINO in place of torch.
"""

import argparse
from dataclasses import dataclass

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from benchmarks.worker import answer

BATCH, CELLS, PROB = 16, 7, 0.5
Array = NDArray[np.float32]


@dataclass(frozen=True)
class NaiveRise:
    """The loop over one compiled model."""

    compiled: ov.CompiledModel
    image: Array
    random: np.random.Generator

    def work(self, masks: int) -> float:
        """Explains class 0; masks done."""
        side = self.image.shape[-1]
        saliency = np.zeros((side, side), np.float32)
        for _ in range(0, masks, BATCH):
            batch = np.stack([self._mask(side) for _ in range(BATCH)])
            logits = self.compiled(batch[:, None] * self.image)[0]
            powers = np.exp(logits - logits.max(1, keepdims=True))
            scores = powers[:, 0] / powers.sum(1)
            saliency += np.tensordot(scores, batch, 1) / (masks * PROB)
        return masks

    def _mask(self, side: int) -> Array:
        cell = -(-side // CELLS)
        grid = (self.random.random((CELLS, CELLS)) < PROB).astype(np.float32)
        large = cv2.resize(grid, [(CELLS + 1) * cell] * 2, interpolation=cv2.INTER_LINEAR)
        down, right = self.random.integers(0, cell, 2)
        return np.asarray(large[down : down + side, right : right + side], np.float32)


def main() -> None:
    """Answers with the masks done."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("precision")
    options = parser.parse_args()
    core = ov.Core()
    model = core.read_model(options.path)
    model.reshape([BATCH, *list(model.input(0).shape)[1:]])
    hint = {"INFERENCE_PRECISION_HINT": options.precision}
    compiled = core.compile_model(model, "CPU", hint)
    random = np.random.default_rng(0)
    image = random.normal(0, 1, (1, *list(model.input(0).shape)[1:])).astype(np.float32)
    answer(NaiveRise(compiled, image, random).work)


if __name__ == "__main__":
    main()
