from dataclasses import dataclass

from pellucid_server.engine.evaluation.comparer import Comparer
from pellucid_server.engine.evaluation.optimizer import EvaluatedOptimizer
from pellucid_server.engine.evaluation.renderer import Renderer
from pellucid_server.engine.evaluation.service import Evaluations
from pellucid_server.engine.explain import Explainer
from pellucid_server.engine.predict import Predictor
from pellucid_server.engine.sources import SourceReader
from pellucid_server.evaluate.uploads import Uploads
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
    evaluations: Evaluations
    comparer: Comparer
    renderer: Renderer
    optimizer: EvaluatedOptimizer
    uploads: Uploads
