"""Arrays to OpenVINO's tensors and back, for the types that NumPy lacks."""

import numpy as np
import openvino as ov

from pellucid_server.runtime.workarounds import fill_type_tables
from pellucid_server.types import Array

fill_type_tables()

BYTE = 8


def to_openvino(array: Array, kind: ov.Type) -> ov.Tensor:
    """A tensor over the array's memory; BF16 comes as uint16 bits, strings as bytes."""
    if kind == ov.Type.string:
        tensor = ov.Tensor(kind, ov.Shape(array.shape))
        tensor.bytes_data = array.astype(np.bytes_)
        return tensor
    # OpenVINO shares writeable memory alone; what came with a message is read-only.
    array = np.require(array, requirements=["C", "W"])
    if kind == ov.Type.bf16 and array.dtype == np.uint16:
        return ov.Tensor(array, ov.Shape(array.shape), kind)
    return ov.Tensor(array, shared_memory=True)


def shared(tensor: ov.Tensor) -> Array | None:
    """An array over a tensor's memory; None where NumPy has no such elements."""
    kind = tensor.get_element_type()
    if kind == ov.Type.string or kind.bitwidth < BYTE:
        return None
    values = np.asarray(tensor.data)
    return values.view(np.uint16) if kind == ov.Type.bf16 else values


def from_openvino(tensor: ov.Tensor) -> Array:
    """A copy of a tensor: the request's own memory is written again by the next inference."""
    if tensor.get_element_type() == ov.Type.string:
        return np.asarray(tensor.bytes_data, dtype=object)
    values = shared(tensor)
    return np.array(tensor.data if values is None else values)
