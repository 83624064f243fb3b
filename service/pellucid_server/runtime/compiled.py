from collections.abc import Sequence

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
        request = self._requests[worker]
        tensors = {name: to_openvino(feeds[name], kind) for name, kind in self._inputs}
        request.infer(tensors, share_inputs=True)
        return {name: from_openvino(request.get_tensor(port)) for name, port in self._outputs}


def _precision(compiled: ov.CompiledModel) -> str:
    """The precision that the device really computes in, in OpenVINO's short form."""
    try:
        kind = compiled.get_property("INFERENCE_PRECISION_HINT")
    except RuntimeError:
        return ""
    return PRECISIONS.get(kind, str(kind))
