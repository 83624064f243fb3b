"""A model whose maps are known: scores of regions, of single cells, or of any function."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid_server.explain.designs import DESIGNS, Design
from pellucid_server.explain.masks import MaskBlock, Masks, MaskTables
from pellucid_server.explain.rise import RiseParameters
from pellucid_server.types import Size

Scores = NDArray[np.float32]


@dataclass
class Regions:
    """A model whose class k scores the mean brightness of region k of a masked image."""

    image: NDArray[np.float32]
    regions: Sequence[tuple[slice, slice]]
    targets: Sequence[int]
    noise: float = 0
    seen: int = 0

    @property
    def size(self) -> Size:
        return Size(*self.image.shape)

    def scores(self, masks: Masks, fill: float) -> Scores:
        """Masks x targets; the noise depends on the mask alone, as in a network."""
        masked = self.image * masks + fill * (1 - masks)
        columns = [masked[:, *self.regions[target]].mean((1, 2)) for target in self.targets]
        clean = np.stack(columns, 1)
        seeds = [zlib.crc32(mask.tobytes()) for mask in masks]
        noise = [np.random.default_rng(seed).normal(size=len(columns)) for seed in seeds]
        return (clean + self.noise * np.asarray(noise)).astype(np.float32)

    def masked_scores(
        self, tables: MaskTables, blocks: Iterable[MaskBlock], fill: float
    ) -> Iterator[tuple[MaskBlock, Scores]]:
        for block in blocks:
            self.seen += len(block)
            yield block, self.scores(block.render(tables), fill)


@pytest.fixture
def problem() -> Regions:
    image = np.random.default_rng(1).random((40, 60)).astype(np.float32)
    regions = [(slice(4, 14), slice(6, 20)), (slice(22, 38), slice(40, 58))]
    return Regions(image, regions, targets=[0, 1])


Draw = Callable[[Size, RiseParameters], tuple[Design, MaskTables]]


@pytest.fixture
def draw() -> Draw:
    """The design and the tables of a call."""

    def made(size: Size, parameters: RiseParameters) -> tuple[Design, MaskTables]:
        tables = MaskTables.of(size, parameters.num_cells, parameters.interpolation)
        design = DESIGNS[parameters.design](
            parameters.num_cells, tables.shifts, parameters.prob, parameters.seed
        )
        return design, tables

    return made
