"""An inference request: what it reads and writes stays where it is from one run to the next."""

from collections.abc import Sequence

import openvino as ov

from pellucid_server.runtime.convert import from_openvino, shared, to_openvino
from pellucid_server.types import Array, Feeds, Outputs

SMALL = 2**20
"""Bytes that are copied in less time than it takes to get Python's lock back."""


class Request:
    """One inference at a time, on one thread.

    To make tensors and to bind them costs Python more than to copy a small image, so arrays are
    kept over OpenVINO's own memory where the model says how much it is, on CPUs: other devices
    promise nowhere that it stays in its place.
    """

    def __init__(self, compiled: ov.CompiledModel, outputs: Sequence[str]) -> None:
        self._request = request = compiled.create_infer_request()
        stays = compiled.get_property("EXECUTION_DEVICES") == ["CPU"]
        self._kinds = {port.get_any_name(): port.get_element_type() for port in compiled.inputs}
        self._indices = {name: index for index, name in enumerate(self._kinds)}
        self._inputs = {
            port.get_any_name(): memory
            for port in compiled.inputs
            if stays and (memory := _memory(request, port)) is not None
        }
        self._outputs = [
            (name, port, _memory(request, port) if stays else None)
            for name, port in zip(outputs, compiled.outputs, strict=True)
        ]
        self._bound: dict[str, ov.Tensor] = {}

    def write(self, feeds: Feeds) -> None:
        """Sets all inputs: nothing of the run before is left.

        Raises:
            RuntimeError: one is not what the model takes, as OpenVINO says it.
        """
        self.update({name: feeds[name] for name in self._kinds})

    def update(self, feeds: Feeds) -> None:
        """Sets some inputs; as `write`."""
        for name, values in feeds.items():
            memory = self._inputs.get(name)
            if memory is None or (memory.shape, memory.dtype) != (values.shape, values.dtype):
                self._bind(name, values)
            else:
                _copy(values, memory)

    def run(self) -> Outputs:
        """Runs once; the outputs are copies.

        Raises:
            RuntimeError: what OpenVINO says; it does not tell a wrong input from a broken device.
        """
        # `infer` would also make a dictionary of outputs: a twentieth of a millisecond.
        self._request.start_async()
        self._request.wait()
        return {
            name: from_openvino(self._request.get_tensor(port)) if memory is None else memory.copy()
            for name, port, memory in self._outputs
        }

    def cancel(self) -> None:
        """Asks what runs to end: CPUs do between two operations, others may not."""
        self._request.cancel()

    def _bind(self, name: str, values: Array) -> None:
        tensor = to_openvino(values, self._kinds[name])
        self._request.set_input_tensor(self._indices[name], tensor)
        self._inputs.pop(name, None)  # what is bound is read from now on
        self._bound[name] = tensor


def _copy(values: Array, memory: Array) -> None:
    """As `memory[...] = values`, which would let Python's lock go for the time of a small copy.

    Others wait for it, and who gets it then keeps the device from its next inference.
    """
    if 0 < values.nbytes <= SMALL and values.flags.c_contiguous:
        memory.data.cast("B")[:] = values.data.cast("B")
    else:
        memory[...] = values


def _memory(request: ov.InferRequest, port: ov.ConstOutput) -> Array | None:
    """An array over a tensor that never moves; None where there is none."""
    if not port.get_partial_shape().is_static:
        return None
    return shared(request.get_tensor(port))
