from dataclasses import dataclass

from pellucid_server.engine.explain import Explainer
from pellucid_server.engine.predict import Predictor
from pellucid_server.engine.sources import SourceReader
from pellucid_server.runtime.pool import ModelPool
from pellucid_server.runtime.repository import ModelRepository


@dataclass(frozen=True)
class Engine:
    """The use cases, wired: what the transport calls."""

    models: ModelRepository
    sources: SourceReader
    predictor: Predictor
    explainer: Explainer
    pool: ModelPool
