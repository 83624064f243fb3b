"""Makes optimised versions of served models, one at a time."""

import threading
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import openvino as ov

from pellucid_server.call import Call
from pellucid_server.errors import InvalidInput, Overloaded
from pellucid_server.runtime.lineage import Lineage, Optimization, write_lineage
from pellucid_server.runtime.loader import Loader
from pellucid_server.runtime.optimize.graphs import check, is_quantized, weight_bytes, write_job
from pellucid_server.runtime.optimize.new_version import NewVersion, new_version
from pellucid_server.runtime.optimize.plan import Made, Plan, Progress, Stage
from pellucid_server.runtime.optimize.process import Process, spare_cores
from pellucid_server.runtime.optimize.session import Session
from pellucid_server.runtime.served import ServedModel

RETRY_AFTER = 30.0
MARGIN = 16 * 2**20
"""Bytes beside those of weights: a graph's description, a file's metadata."""


class Optimizer:
    """Makes new versions in a repository; one at a time, for one takes much memory."""

    def __init__(self, root: Path, cores: int | None = None) -> None:
        self._root = root
        self._cores = cores or spare_cores()
        self._loader = Loader(root)
        self._busy = threading.Lock()

    def run(
        self, served: ServedModel, plan: Plan, call: Call
    ) -> Generator[Progress | Made, None, None]:
        """Makes a version; its number comes last, and then its folder is complete.

        Closing the generator ends the work, and leaves nothing.

        Raises:
            InvalidInput: the model or the calibration set does not fit; by the field.
            ModelUnavailable: the repository cannot be written.
            NotServed: this server cannot quantise.
            Overloaded: another optimisation runs.
            InferenceFailed: the process that does it died.
            Cancelled, DeadlineExceeded: meanwhile.
        """
        check(served, plan)
        if not self._busy.acquire(blocking=False):
            raise Overloaded("another model is being optimised now", retry_after=RETRY_AFTER)
        try:
            yield from self._run(served, plan, call)
        finally:
            self._busy.release()

    def _run(self, served: ServedModel, plan: Plan, call: Call) -> Iterator[Progress | Made]:
        # The parent's graph for the process, and the new version: at most as large each.
        needed = 2 * weight_bytes(served.graph) + MARGIN
        with new_version(self._root / served.name, needed) as version:
            job = write_job(served, plan, version.scratch, version.content / "model.xml")
            with Process(self._cores, version.scratch / "output.txt") as process:
                session = Session(process, plan, call)
                yield from session.run(job)
            self._check(served, plan, version, session)
            write_lineage(version.content, _lineage(served, plan, session))
            number = version.publish()
            yield Progress(Stage.SAVE, 1, 1)
        yield Made(number)

    def _check(
        self, served: ServedModel, plan: Plan, version: NewVersion, session: Session
    ) -> None:
        """Reads what was written as the repository will, before anybody can see it."""
        made = self._loader.read(version.content, served.spec)
        if plan.optimization is Optimization.INT8:
            _require_quantized(made.graph, plan)
            _require_accuracy(session, plan)


def _require_quantized(graph: ov.Model, plan: Plan) -> None:
    if is_quantized(graph):
        return
    if plan.quantization.max_drop is not None:
        raise InvalidInput(
            "no layer can be quantised within max_accuracy_drop: allow more, or try the preset "
            "`mixed`",
            field="max_accuracy_drop",
        )
    raise InvalidInput(
        "the model has no layer that can be quantised: compress its weights to FP16 instead",
        field="optimization",
    )


def _require_accuracy(session: Session, plan: Plan) -> None:
    allowed = plan.quantization.max_drop
    if allowed is None or _drop(session) <= allowed:
        return
    raise InvalidInput(
        f"the metric drops by {_drop(session):.4g}, from {session.metrics[0]:.4g}, and "
        f"max_accuracy_drop allows {allowed:g}: allow more, or try the preset `mixed`",
        field="max_accuracy_drop",
    )


def _drop(session: Session) -> float:
    return session.metrics[0] - session.metrics[-1]


def _lineage(served: ServedModel, plan: Plan, session: Session) -> Lineage:
    return Lineage(
        parent_version=served.version,
        optimization=plan.optimization,
        settings=_settings(plan, session) if plan.optimization is Optimization.INT8 else {},
        dataset_digest=session.digest,
        create_time=datetime.now(UTC),
        tools=session.tools,
    )


def _settings(plan: Plan, session: Session) -> dict[str, str]:
    how = plan.quantization
    settings = {
        "preset": how.preset,
        "model_type": how.model_type,
        "ignored_names": ", ".join(how.ignored_names),
        "ignored_types": ", ".join(how.ignored_types),
        "calibration_size": str(session.calibrated),
        "fast_bias_correction": str(how.fast_bias_correction).lower(),
    }
    if how.max_drop is not None:
        settings |= {
            "max_accuracy_drop": f"{how.max_drop:g}",
            "parent_metric": repr(session.metrics[0]),
            "metric": repr(session.metrics[-1]),
        }
    return {name: value for name, value in settings.items() if value}
