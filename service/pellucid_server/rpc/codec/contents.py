"""Typed contents of the Open Inference Protocol: one row for each datatype that has them."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from pellucid_server.datatypes import NUMPY_TYPES
from pellucid_server.errors import InvalidInput
from pellucid_server.open_inference.open_inference_pb2 import InferTensorContents
from pellucid_server.types import Array

CONTENTS: Mapping[str, str] = MappingProxyType(
    {
        "BOOL": "bool_contents",
        "INT8": "int_contents",
        "INT16": "int_contents",
        "INT32": "int_contents",
        "INT64": "int64_contents",
        "UINT8": "uint_contents",
        "UINT16": "uint_contents",
        "UINT32": "uint_contents",
        "UINT64": "uint64_contents",
        "FP32": "fp32_contents",
        "FP64": "fp64_contents",
        "BYTES": "bytes_contents",
    }
)
"""FP16 and BF16 travel raw only."""


def decode_contents(
    contents: InferTensorContents, datatype: str, shape: tuple[int, ...], field: str
) -> Array:
    """The elements of a tensor from the field of its datatype."""
    name = CONTENTS.get(datatype)
    if name is None:
        raise InvalidInput(
            f"{datatype} has no typed contents: send raw_input_contents", field=field
        )
    for other, _ in contents.ListFields():
        if other.name != name:
            raise InvalidInput(f"{datatype} takes {name}, not {other.name}", field=field)
    values, count = getattr(contents, name), math.prod(shape)
    if len(values) != count:
        raise InvalidInput(
            f"{datatype} of shape {list(shape)} takes {count} elements, not {len(values)}",
            field=f"{field}.{name}",
        )
    return _array(values, datatype, f"{field}.{name}").reshape(shape)


def encode_contents(array: Array, datatype: str) -> InferTensorContents:
    """The elements in the field of their datatype."""
    return InferTensorContents(**{CONTENTS[datatype]: array.ravel().tolist()})


def _array(values: list[object], datatype: str, field: str) -> Array:
    dtype = NUMPY_TYPES[datatype]
    if datatype == "BYTES":
        array = np.empty(len(values), dtype)
        array[:] = values
        return array
    if dtype.kind in "iu":
        wide = np.array(values, np.uint64 if dtype.kind == "u" else np.int64)
        bounds = np.iinfo(dtype)
        if wide.size and not bounds.min <= wide.min() <= wide.max() <= bounds.max:
            raise InvalidInput(
                f"an element is out of the range of {datatype}: {bounds.min} to {bounds.max}",
                field=field,
            )
        return wide.astype(dtype)
    return np.array(values, dtype)
