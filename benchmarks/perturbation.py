"""Insertion and deletion by the protocol of RISE (arXiv 1806.07421, sec. 4.2; evaluation.py)."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray
from score_banks import Network

STEPS = 28
"""Pixels change hands in this many steps: 1,792 at a time for 224 x 224, as RISE does for sets."""
BLUR, SIGMA = (11, 11), 5

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Perturbation:
    """Areas under the curves of one network, in float32."""

    network: Network

    @cached_property
    def _compiled(self) -> ov.CompiledModel:
        settings = {"INFERENCE_PRECISION_HINT": "f32"}
        return ov.Core().compile_model(self.network.path, "CPU", settings)

    def insertion(self, photo: Path, values: Image, target: int) -> float:
        """From a blurred image to the whole: higher is better."""
        image = self.network.image(photo)
        blurred = cv2.GaussianBlur(image[0].transpose(1, 2, 0), BLUR, SIGMA).transpose(2, 0, 1)
        return self._area(blurred[None], image, values, target)

    def deletion(self, photo: Path, values: Image, target: int) -> float:
        """From the whole image to the mean of the data set: lower is better."""
        image = self.network.image(photo)
        return self._area(image, np.zeros_like(image), values, target)

    def _area(self, first: Image, last: Image, values: Image, target: int) -> float:
        order = np.argsort(-values.ravel(), kind="stable")
        current = first.copy().reshape(3, -1)
        scores = [self._score(current, first.shape, target)]
        for pixels in np.array_split(order, STEPS):
            current[:, pixels] = last.reshape(3, -1)[:, pixels]
            scores.append(self._score(current, first.shape, target))
        return float((sum(scores) - (scores[0] + scores[-1]) / 2) / STEPS)

    def _score(self, pixels: Image, shape: tuple[int, ...], target: int) -> float:
        result = self._compiled(pixels.reshape(shape))
        outputs = [result[name] for name in self.network.outputs]
        return float(self.network.scores(*outputs)[0, target])
