"""Checks tensors of callers against what a model takes."""

from collections.abc import Mapping, Sequence

import numpy as np

from pellucid_server.datatypes import NUMPY_TYPES
from pellucid_server.errors import InvalidInput
from pellucid_server.nearest import nearest
from pellucid_server.types import ANY, Array, Feeds, Port, TensorInput


def feeds(tensors: TensorInput, ports: Sequence[Port], field: str) -> Feeds:
    """The model's inputs by name.

    Raises:
        InvalidInput: a name is missing, unknown or doubled; a datatype or shape is not the
            model's; a NaN.
    """
    known = {port.name: port for port in ports}
    given: dict[str, Array] = {}
    for index, (name, array) in enumerate(tensors.tensors):
        place = f"{field}[{index}]"
        port = _port(name, known, f"{place}.name")
        if port.name in given:
            raise InvalidInput(f"the input {port.name!r} is given twice", field=f"{place}.name")
        _check(array, port, place)
        given[port.name] = array
    if missing := [name for name in known if name not in given]:
        raise InvalidInput(f"the model also needs {', '.join(missing)}", field=field)
    return given


def _port(name: str, known: Mapping[str, Port], field: str) -> Port:
    if not name and len(known) == 1:
        return next(iter(known.values()))
    if name not in known:
        raise InvalidInput(f"the model has no input {name!r}.{nearest(name, known)}", field=field)
    return known[name]


def _check(array: Array, port: Port, field: str) -> None:
    if array.dtype != NUMPY_TYPES[port.datatype]:
        raise InvalidInput(
            f"{port.name} takes {port.datatype}, not {_datatype(array)}", field=f"{field}.datatype"
        )
    fits = len(array.shape) == len(port.shape) and all(
        wanted in {ANY, side} for side, wanted in zip(array.shape, port.shape, strict=True)
    )
    if not fits or 0 in array.shape:
        raise InvalidInput(
            f"{port.name} takes the shape {list(port.shape)} (-1: any, at least 1), "
            f"not {list(array.shape)}",
            field=f"{field}.shape",
        )
    if array.dtype.kind == "f" and bool(np.isnan(array).any()):
        raise InvalidInput(f"{port.name} contains NaN", field=f"{field}.data")
    if port.datatype == "BYTES" and any(item.endswith(b"\0") for item in array.flat):
        # OpenVINO's Python binding would drop the zeros without a word.
        raise InvalidInput(f"an element of {port.name} ends in a zero byte", field=f"{field}.data")


def _datatype(array: Array) -> str:
    return next((name for name, kind in NUMPY_TYPES.items() if kind == array.dtype), "this type")
