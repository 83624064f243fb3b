from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from pellucid_server.spec import ModelSpec
from pellucid_server.tasks.decoders import AnyDecoder, decoder_for
from pellucid_server.types import ANY, Array, Port

Bind = Callable[..., AnyDecoder]


@pytest.fixture
def bind() -> Bind:
    """Binds a decoder to outputs like these, for models of so many labels."""

    def make(
        kind: str, like: Mapping[str, Array], labels: int = 0, *, free: bool = False, **options: Any
    ) -> AnyDecoder:
        spec = ModelSpec(
            labels=tuple(f"label {index}" for index in range(labels)),
            decode={"type": kind, **options},
        )
        ports = [
            Port(name, "FP32", (ANY,) * each.ndim if free else each.shape)
            for name, each in like.items()
        ]
        return decoder_for(spec, ports, masks=False)

    return make


@pytest.fixture
def rng() -> np.random.Generator:
    """The same numbers in every run."""
    return np.random.default_rng(7)
