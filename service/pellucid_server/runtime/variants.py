"""Forms of a model that are compiled on their own."""

from dataclasses import dataclass
from typing import Protocol

import openvino as ov

from pellucid_server.runtime.graph import (
    MaskShape,
    image_graph,
    masked_graph,
    normalizer_graph,
)
from pellucid_server.runtime.served import ServedModel


class Variant(Protocol):
    """A form of a model: hashable, and equal where the graphs are."""

    def graph(self, model: ServedModel) -> ov.Model:
        """The graph to compile."""
        ...

    def outputs(self, model: ServedModel) -> tuple[str, ...]:
        """Names of the graph's outputs, in its order."""
        ...


@dataclass(frozen=True)
class AsIs:
    """As the file has it: tensors in, tensors out."""

    def graph(self, model: ServedModel) -> ov.Model:
        return model.graph

    def outputs(self, model: ServedModel) -> tuple[str, ...]:
        return tuple(port.name for port in model.outputs)


@dataclass(frozen=True)
class OfImage(AsIs):
    """With preprocessing in front: takes uint8 RGB."""

    batch: int = 1

    def graph(self, model: ServedModel) -> ov.Model:
        return image_graph(model, self.batch)


@dataclass(frozen=True)
class Normalizer:
    """Preprocessing alone."""

    def graph(self, model: ServedModel) -> ov.Model:
        return normalizer_graph(model)

    def outputs(self, model: ServedModel) -> tuple[str, ...]:
        del model
        return ("image",)


@dataclass(frozen=True)
class Masked(AsIs):
    """Behind masks that the graph renders from grids."""

    masks: MaskShape

    def graph(self, model: ServedModel) -> ov.Model:
        return masked_graph(model, self.masks)


AS_IS, OF_IMAGE, NORMALIZER = AsIs(), OfImage(), Normalizer()
