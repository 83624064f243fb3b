from collections.abc import Callable, Sequence

import numpy as np
import openvino as ov

from pellucid_server.runtime.request import Request
from pellucid_server.types import Feeds, Outputs

PRECISIONS = {ov.Type.f32: "f32", ov.Type.bf16: "bf16", ov.Type.f16: "f16"}


class Compiled:
    """A compiled model with an inference request for each worker of its device."""

    def __init__(self, compiled: ov.CompiledModel, outputs: Sequence[str], workers: int) -> None:
        self._requests = [Request(compiled, outputs) for _ in range(workers)]
        self.precision = _precision(compiled)

    def infer(self, worker: int, feeds: Feeds) -> Outputs:
        """Runs once on a worker's own request.

        Raises:
            RuntimeError: what OpenVINO says; it does not tell a wrong input from a broken device.
        """
        request = self._requests[worker]
        request.write(feeds)
        return request.run()

    def infer_series(
        self, worker: int, feeds: Feeds, series: Feeds, pause: Callable[[], bool]
    ) -> Outputs:
        """Runs once for each entry of the series' arrays; outputs are joined along the batch.

        Only what changes is written between runs. `pause` is called there: it may raise to end
        the series, and returns whether it used the worker for something else.
        """
        request, results = self._requests[worker], []
        for step in range(len(next(iter(series.values())))):
            changed = {name: values[step] for name, values in series.items()}
            if not step or pause():
                request.write({**feeds, **changed})
            else:
                request.update(changed)
            results.append(request.run())
        return {name: np.concatenate([each[name] for each in results]) for name in results[0]}

    def cancel(self, worker: int) -> None:
        """Asks what runs there to end: CPUs do between two operations, others may not."""
        self._requests[worker].cancel()


def _precision(compiled: ov.CompiledModel) -> str:
    """The precision that the device really computes in, in OpenVINO's short form."""
    try:
        kind = compiled.get_property("INFERENCE_PRECISION_HINT")
    except RuntimeError:
        return ""
    return PRECISIONS.get(kind, str(kind))
