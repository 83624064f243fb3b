import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, FiniteFloat, PositiveInt

from pellucid_server.errors import InvalidInput
from pellucid_server.tasks.activations import sigmoid, softmax
from pellucid_server.tasks.decoders.base import Candidates, DecodeOptions, Decoder, register
from pellucid_server.tasks.decoders.boxes import floats
from pellucid_server.types import ANY, Array, Outputs, Size


class NanoDetOptions(DecodeOptions):
    """Strides of the levels, and what their channels are."""

    strides: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (8, 16, 32)
    """Pixels of the input from cell to cell, level by level."""
    bins: Annotated[int, Field(ge=2)] | None = None
    """Bins of a distance's distribution (`reg_max` + 1); by default what labels leave."""
    center: FiniteFloat = 0.5
    """Where in its cell a distance starts, in cells; 0 for NanoDet-Plus."""
    scores: Literal["probabilities", "logits"] = "probabilities"


@register("nanodet")
@dataclass(frozen=True)
class NanoDet(Decoder[NanoDetOptions]):
    """NanoDet and other heads of Generalized Focal Loss.

    For each stride scores, cells x classes, and distances, cells x (4 * bins), in any
    order, found by their shapes; or one output, cells of all strides x (classes + 4 * bins),
    as the project's own export. A distance from the cell to an edge (left, top, right,
    bottom) is the mean of a softmax over its bins, in strides.
    https://arxiv.org/abs/2006.04388, section 3.2; `GFLHead.get_bboxes_single` in
    github.com/RangiLyu/nanodet
    """

    options_type = NanoDetOptions

    def __post_init__(self) -> None:
        if not self.labels and self.options.bins is None:
            raise InvalidInput(
                "scores and distances cannot be told apart: set labels or decode.bins",
                field="decode.bins",
            )
        extents = {port.shape[-1] for port in self.outputs if port.shape}
        if ANY not in extents:
            self._channels(extents)

    def decode(self, outputs: Outputs, size: Size) -> Candidates:
        levels = list(self._levels(list(outputs.values()), size))
        boxes = [self._boxes(stride, grid, distances) for stride, grid, _, distances in levels]
        scores = floats(np.concatenate([scores for _, _, scores, _ in levels]))
        if self.options.scores == "logits":
            scores = sigmoid(scores)
        return Candidates(np.concatenate(boxes), scores)

    def _levels(
        self, outputs: Sequence[Array], size: Size
    ) -> Iterator[tuple[int, Size, Array, Array]]:
        """Stride, grid, scores and distances of each level."""
        classes, channels = self._channels({each.shape[-1] for each in outputs})
        begin = 0
        for stride in self.options.strides:
            grid = Size(*(math.ceil(extent / stride) for extent in size))
            cells = grid.height * grid.width
            if len(outputs) == 1:
                level = outputs[0].reshape(-1, classes + channels)[begin : begin + cells]
                scores, distances = level[:, :classes], level[:, classes:]
            else:
                scores, distances = (_only(outputs, cells, each) for each in (classes, channels))
            yield stride, grid, scores, distances
            begin += cells

    def _channels(self, extents: set[int]) -> tuple[int, int]:
        """Channels of scores and of distances, from the last extents of the outputs."""
        bins = self.options.bins or 0
        known = self.labels or 4 * bins
        if len(self.outputs) == 1:
            rest = [each - known for each in extents]
        else:
            rest = sorted(extents - {known}) if known in extents else []
        if len(rest) != 1:
            raise self._misfit(extents)
        classes, channels = (known, rest[0]) if self.labels else (rest[0], known)
        if channels < 8 or channels % 4 or channels != 4 * (bins or channels // 4):
            raise self._misfit(extents)
        return self.check_classes(classes), channels

    def _misfit(self, extents: set[int]) -> InvalidInput:
        bins = self.options.bins
        distances = f"the {4 * bins} channels of decode.bins" if bins else "four distances"
        return InvalidInput(
            f"the outputs have {sorted(extents)} channels: these are not {self.labels or 'some'} "
            f"classes and {distances}: check labels and decode.bins",
            field="decode.bins",
        )

    def _boxes(self, stride: int, grid: Size, distances: Array) -> Array:
        bins = softmax(floats(distances).reshape(grid.height * grid.width, 4, -1))
        edges = bins @ np.arange(bins.shape[-1], dtype=np.float32)
        rows, columns = np.divmod(np.arange(len(edges)), grid.width)
        centers = np.stack([columns, rows], axis=1).astype(np.float32) + self.options.center
        corners = [centers - edges[:, :2], centers + edges[:, 2:]]
        return floats(np.concatenate(corners, axis=1) * stride)


def _only(outputs: Sequence[Array], cells: int, channels: int) -> Array:
    found = [each for each in outputs if each.shape[-2:] == (cells, channels)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} outputs of {cells} x {channels}, not one")
    return found[0].reshape(cells, channels)
