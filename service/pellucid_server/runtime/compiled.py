from collections.abc import Callable, Sequence

import numpy as np
import openvino as ov

from pellucid_server.runtime.convert import from_openvino, to_openvino
from pellucid_server.types import Feeds, Outputs

PRECISIONS = {ov.Type.f32: "f32", ov.Type.bf16: "bf16", ov.Type.f16: "f16"}


class Compiled:
    """A compiled model with an inference request for each worker of its device."""

    def __init__(self, compiled: ov.CompiledModel, outputs: Sequence[str], workers: int) -> None:
        self._inputs = [(port.get_any_name(), port.get_element_type()) for port in compiled.inputs]
        self._outputs = list(zip(outputs, compiled.outputs, strict=True))
        self._requests = [compiled.create_infer_request() for _ in range(workers)]
        self.precision = _precision(compiled)

    def infer(self, worker: int, feeds: Feeds) -> Outputs:
        """Runs once on a worker's own request.

        Raises:
            RuntimeError: what OpenVINO says; it does not tell a wrong input from a broken device.
        """
        bound = self._bind(worker, feeds)
        outputs = self._run(worker)
        del bound
        return outputs

    def infer_series(
        self, worker: int, feeds: Feeds, series: Feeds, pause: Callable[[], bool]
    ) -> Outputs:
        """Runs once for each entry of the series' arrays; outputs are joined along the batch.

        Only what changes is written between runs. `pause` is called there: it may raise to end
        the series, and returns whether it used the worker for something else.
        """
        slots = {name: np.empty_like(values[0]) for name, values in series.items()}
        bound = self._bind(worker, {**feeds, **slots})
        results = []
        for step in range(len(next(iter(series.values())))):
            if step and pause():
                bound = self._bind(worker, {**feeds, **slots})
            for name, values in series.items():
                slots[name][...] = values[step]
            results.append(self._run(worker))
        del bound
        return {name: np.concatenate([each[name] for each in results]) for name in results[0]}

    def cancel(self, worker: int) -> None:
        """Asks what runs there to end: CPUs do between two operations, others may not."""
        self._requests[worker].cancel()

    def _bind(self, worker: int, feeds: Feeds) -> list[ov.Tensor]:
        """Sets the inputs; their memory is there as long as what is returned."""
        tensors = [to_openvino(feeds[name], kind) for name, kind in self._inputs]
        for index, tensor in enumerate(tensors):
            self._requests[worker].set_input_tensor(index, tensor)
        return tensors

    def _run(self, worker: int) -> Outputs:
        request = self._requests[worker]
        # `infer` would also make a dictionary of outputs: a twentieth of a millisecond.
        request.start_async()
        request.wait()
        return {name: from_openvino(request.get_tensor(port)) for name, port in self._outputs}


def _precision(compiled: ov.CompiledModel) -> str:
    """The precision that the device really computes in, in OpenVINO's short form."""
    try:
        kind = compiled.get_property("INFERENCE_PRECISION_HINT")
    except RuntimeError:
        return ""
    return PRECISIONS.get(kind, str(kind))
