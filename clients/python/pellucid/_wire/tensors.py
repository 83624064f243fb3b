"""NumPy arrays to the contract's tensors and back."""

import struct
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from pellucid.errors import InternalError, InvalidArgumentError
from pellucid.types import Array
from pellucid.v1 import common_pb2 as pb

DATATYPES: Mapping[str, str] = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "bfloat16": "BF16",
    "float32": "FP32",
    "float64": "FP64",
}
"""NumPy's names (bfloat16: of the package ml_dtypes) to the contract's; BYTES apart."""

_DTYPES = {
    datatype: np.dtype(name).newbyteorder("<")
    for name, datatype in DATATYPES.items()
    if name != "bfloat16"
}


def to_tensor(name: str, array: Array) -> pb.Tensor:
    """A tensor of an array; strings and bytes become BYTES.

    Raises:
        InvalidArgumentError: a dtype that the contract has no word for.
    """
    array = np.asarray(array)
    if array.dtype.kind in "OSU":
        return pb.Tensor(name=name, datatype="BYTES", shape=array.shape, data=_pack(array))
    datatype = DATATYPES.get(array.dtype.name)
    if datatype is None:
        known = ", ".join(DATATYPES)
        raise InvalidArgumentError(
            f"tensor {name!r} has dtype {array.dtype}: use one of {known}", field="tensors"
        )
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return pb.Tensor(name=name, datatype=datatype, shape=array.shape, data=little.tobytes())


def from_tensor(tensor: pb.Tensor) -> Array:
    """The array of a tensor; BF16 comes as float32, BYTES as an array of objects.

    Raises:
        InternalError: data that does not fit the shape and datatype.
    """
    try:
        return _elements(tensor).reshape(tuple(tensor.shape))
    except (KeyError, ValueError, struct.error) as error:
        raise InternalError(
            f"the server's tensor {tensor.name!r} is not {tensor.datatype} {list(tensor.shape)}",
        ) from error


def from_tensors(tensors: Iterable[pb.Tensor]) -> dict[str, Array]:
    """The arrays of tensors by name."""
    return {tensor.name: from_tensor(tensor) for tensor in tensors}


def _elements(tensor: pb.Tensor) -> Array:
    if tensor.datatype == "BYTES":
        return np.array([*_unpack(tensor.data), None], dtype=object)[:-1]
    if tensor.datatype == "BF16":
        return (np.frombuffer(tensor.data, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(tensor.data, _DTYPES[tensor.datatype])


def _pack(array: Array) -> bytes:
    def encoded(value: object) -> bytes:
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, bytes):
            return value
        raise InvalidArgumentError(
            f"a BYTES tensor holds str or bytes, not {type(value).__name__}", field="tensors"
        )

    values = map(encoded, array.ravel().tolist())
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


def _unpack(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        (length,) = struct.unpack_from("<I", data, start)
        end = start + 4 + length
        if end > len(data):
            raise ValueError("an element is cut short")
        yield data[start + 4 : end]
        start = end
