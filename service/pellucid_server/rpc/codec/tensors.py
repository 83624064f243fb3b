"""Dense tensors: row-major little-endian bytes as NumPy arrays, and back."""

import math
import struct
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from pellucid.v1 import common_pb2
from pellucid_server.datatypes import NUMPY_TYPES
from pellucid_server.errors import InvalidInput
from pellucid_server.nearest import nearest
from pellucid_server.types import Array, TensorInput

LARGEST_EXTENT = 2**31 - 1
MOST_DIMENSIONS = 16
LENGTH = struct.Struct("<I")


def decode_tensors(tensors: common_pb2.TensorList, field: str) -> TensorInput:
    """Every tensor by its name."""
    if not tensors.tensors:
        raise InvalidInput("a list of tensors needs at least one", field=f"{field}.tensors")
    return TensorInput(
        tuple(
            (tensor.name, decode_tensor(tensor, f"{field}.tensors[{index}]"))
            for index, tensor in enumerate(tensors.tensors)
        )
    )


def decode_tensor(tensor: common_pb2.Tensor, field: str) -> Array:
    """One tensor."""
    check_datatype(tensor.datatype, f"{field}.datatype")
    shape = check_shape(tensor.shape, f"{field}.shape")
    return decode_elements(tensor.data, tensor.datatype, shape, f"{field}.data")


def encode_tensor(name: str, array: Array, datatype: str = "") -> common_pb2.Tensor:
    """One tensor; the datatype is needed where NumPy has none of its own (BF16)."""
    datatype = datatype or datatype_of(array)
    return common_pb2.Tensor(
        name=name, datatype=datatype, shape=array.shape, data=encode_elements(array, datatype)
    )


def encode_tensors(
    arrays: Mapping[str, Array], datatypes: Mapping[str, str]
) -> list[common_pb2.Tensor]:
    """Tensors by name."""
    return [encode_tensor(name, array, datatypes.get(name, "")) for name, array in arrays.items()]


def check_datatype(datatype: str, field: str) -> None:
    """Refuses unknown names."""
    if datatype not in NUMPY_TYPES:
        raise InvalidInput(
            f"no datatype is called {datatype!r}.{nearest(datatype, NUMPY_TYPES)}", field=field
        )


def check_shape(shape: Sequence[int], field: str) -> tuple[int, ...]:
    """Refuses shapes that no array can have."""
    if len(shape) > MOST_DIMENSIONS:
        raise InvalidInput(
            f"a tensor has at most {MOST_DIMENSIONS} dimensions, not {len(shape)}", field=field
        )
    for index, extent in enumerate(shape):
        if not 0 <= extent <= LARGEST_EXTENT:
            raise InvalidInput(
                f"an extent must be 0 to {LARGEST_EXTENT}, not {extent}", field=f"{field}[{index}]"
            )
    return tuple(shape)


def decode_elements(data: bytes, datatype: str, shape: tuple[int, ...], field: str) -> Array:
    """The elements of a tensor; without a copy where that can be."""
    if datatype == "BYTES":
        return _decode_bytes(data, shape, field)
    dtype = NUMPY_TYPES[datatype]
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise InvalidInput(
            f"{datatype} of shape {list(shape)} takes {expected} bytes, not {len(data)}",
            field=field,
        )
    if datatype == "BOOL":
        return np.not_equal(np.frombuffer(data, np.uint8), 0).reshape(shape)
    elements: Array = np.frombuffer(data, dtype.newbyteorder("<")).reshape(shape)
    return elements if sys.byteorder == "little" else elements.astype(dtype)


def encode_elements(array: Array, datatype: str) -> bytes:
    """The elements as they travel."""
    if datatype == "BYTES":
        return b"".join(LENGTH.pack(len(item)) + item for item in array.ravel())
    return array.astype(NUMPY_TYPES[datatype].newbyteorder("<"), copy=False).tobytes()


def datatype_of(array: Array) -> str:
    """The datatype's name."""
    return next(name for name, dtype in NUMPY_TYPES.items() if dtype == array.dtype)


def _decode_bytes(data: bytes, shape: tuple[int, ...], field: str) -> Array:
    count = math.prod(shape)
    if count * LENGTH.size > len(data):
        raise InvalidInput(
            f"BYTES of shape {list(shape)} needs {count} elements, each with a 4-byte length: "
            f"{len(data)} bytes are too few",
            field=field,
        )
    elements = np.empty(count, dtype=object)
    position = 0
    for index in range(count):
        elements[index], position = _element(data, position, index, field)
    if position != len(data):
        raise InvalidInput(
            f"{len(data) - position} bytes follow the last of {count} elements", field=field
        )
    return elements.reshape(shape)


def _element(data: bytes, position: int, index: int, field: str) -> tuple[bytes, int]:
    start = position + LENGTH.size
    end = start + LENGTH.unpack_from(data, position)[0] if start <= len(data) else math.inf
    if end > len(data):
        raise InvalidInput(f"element {index} reaches beyond the data", field=field)
    return data[start : int(end)], int(end)
