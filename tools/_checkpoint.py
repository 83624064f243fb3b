"""Reads a torch checkpoint of the format before 1.6 without torch, and without running it."""

import io
import pickle
import struct
from collections import OrderedDict
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
PREAMBLE = 3
"""Magic number, protocol version and system stand before the weights."""


class Tensor(NamedTuple):
    """Where an array lies: strides and offset count elements."""

    key: str
    kind: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild(storage: tuple[Any, ...], offset: int, shape: Any, strides: Any, *_: Any) -> Tensor:
    _, kind, key, *_ = storage
    return Tensor(key, kind, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Knows four names, and nothing that runs code."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in TYPES:
            return name
        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
        }
        return known.get((module, name)) or _refuse(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        return pid


def _refuse(name: str) -> NoReturn:
    message = f"the checkpoint asks for {name}"
    raise pickle.UnpicklingError(message)


def read_checkpoint(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a state dictionary by name."""
    file = io.BytesIO(data)
    *_, tensors, keys = [_Unpickler(file).load() for _ in range(PREAMBLE + 2)]
    kinds = {tensor.key: TYPES[tensor.kind] for tensor in tensors.values()}
    storages = {key: _storage(file, kinds[key]) for key in keys}
    return {name: _array(tensor, storages[tensor.key]) for name, tensor in tensors.items()}


def _storage(file: io.BytesIO, kind: np.dtype[Any]) -> NDArray[Any]:
    (count,) = struct.unpack("<q", file.read(8))
    return np.frombuffer(file.read(count * kind.itemsize), kind)


def _array(tensor: Tensor, storage: NDArray[Any]) -> NDArray[Any]:
    strides = [stride * storage.itemsize for stride in tensor.strides]
    last = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if tensor.offset + last >= len(storage):
        message = f"a tensor reaches past its storage of {len(storage)} elements"
        raise ValueError(message)
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides).copy()
