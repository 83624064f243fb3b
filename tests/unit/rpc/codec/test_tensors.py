import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.v1 import common_pb2
from pellucid_server.datatypes import NUMPY_TYPES
from pellucid_server.errors import InvalidInput
from pellucid_server.rpc.codec.tensors import decode_tensor, decode_tensors, encode_tensor
from pellucid_server.types import Array

NUMERIC = [name for name in NUMPY_TYPES if name != "BYTES"]


def refused(tensor: common_pb2.Tensor) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        decode_tensor(tensor, "inputs[0].tensors.tensors[1]")
    return caught.value


@pytest.mark.parametrize("datatype", NUMERIC)
def test_a_tensor_comes_back_as_it_was(datatype: str) -> None:
    dtype = NUMPY_TYPES[datatype]
    array: Array = np.random.default_rng(0).integers(0, 2, (2, 3, 1)).astype(dtype)
    message = encode_tensor("x", array, datatype)
    assert (message.name, message.datatype, list(message.shape)) == ("x", datatype, [2, 3, 1])
    back = decode_tensor(message, "x")
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, array)


def test_bytes_are_little_endian_and_row_by_row() -> None:
    array = np.array([[1, 2], [3, 4]], dtype=">i2")
    data = encode_tensor("x", array, "INT16").data
    assert data == struct.pack("<4h", 1, 2, 3, 4)
    assert encode_tensor("x", array.T, "INT16").data == struct.pack("<4h", 1, 3, 2, 4)


def test_the_datatype_is_the_array_s_where_none_is_said() -> None:
    assert encode_tensor("x", np.zeros(1, np.float64)).datatype == "FP64"
    assert encode_tensor("x", np.zeros(1, np.uint16)).datatype == "UINT16"
    assert encode_tensor("x", np.zeros(1, np.uint16), "BF16").datatype == "BF16"


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_byte_strings_come_back_as_they_were(elements: list[bytes]) -> None:
    array = np.empty(len(elements), object)
    array[:] = elements
    back = decode_tensor(encode_tensor("x", array), "x")
    assert list(back) == elements


@given(st.binary(max_size=40), st.lists(st.integers(0, 3), max_size=3))
def test_byte_strings_of_strangers_are_read_whole_or_refused(data: bytes, shape: list[int]) -> None:
    tensor = common_pb2.Tensor(datatype="BYTES", shape=shape, data=data)
    array = None
    with suppress(InvalidInput):
        array = decode_tensor(tensor, "x")
    assert array is None or encode_tensor("", array).data == data


def test_any_byte_but_zero_is_true() -> None:
    tensor = common_pb2.Tensor(datatype="BOOL", shape=[3], data=b"\0\1\xff")
    assert decode_tensor(tensor, "x").tolist() == [False, True, True]


def test_a_scalar_has_no_dimensions() -> None:
    array = decode_tensor(common_pb2.Tensor(datatype="INT8", data=b"\5"), "x")
    assert (array.shape, array.item()) == ((), 5)


def test_an_empty_tensor_has_no_elements() -> None:
    assert decode_tensor(common_pb2.Tensor(datatype="FP32", shape=[0, 7]), "x").shape == (0, 7)


@pytest.mark.parametrize(
    ("tensor", "field", "message"),
    [
        ({"datatype": "FP23"}, "datatype", "Did you mean 'FP32'?"),
        ({"datatype": ""}, "datatype", "Known: BOOL, UINT8"),
        ({"datatype": "FP32", "shape": [2, -1]}, "shape[1]", "not -1"),
        ({"datatype": "FP32", "shape": [2**62]}, "shape[0]", f"not {2**62}"),
        ({"datatype": "FP32", "shape": [1] * 17}, "shape", "at most 16 dimensions, not 17"),
        (
            {"datatype": "FP32", "shape": [2], "data": bytes(7)},
            "data",
            "FP32 of shape [2] takes 8 bytes, not 7",
        ),
        (
            {"datatype": "UINT8", "shape": [2**31 - 1] * 16, "data": b"1"},
            "data",
            "bytes, not 1",
        ),
        ({"datatype": "BYTES", "shape": [2**31 - 1]}, "data", "0 bytes are too few"),
        (
            {"datatype": "BYTES", "shape": [1], "data": struct.pack("<I", 5) + b"abc"},
            "data",
            "element 0 reaches beyond the data",
        ),
        (
            {"datatype": "BYTES", "shape": [2], "data": struct.pack("<I", 2) + b"abcd"},
            "data",
            "element 1 reaches beyond the data",
        ),
        (
            {"datatype": "BYTES", "shape": [1], "data": struct.pack("<I", 1) + b"abc"},
            "data",
            "2 bytes follow the last of 1 elements",
        ),
    ],
)
def test_bad_tensors_are_refused_by_field(
    tensor: dict[str, object], field: str, message: str
) -> None:
    error = refused(common_pb2.Tensor(**tensor))  # type: ignore[arg-type]  # any of its fields
    assert error.field == f"inputs[0].tensors.tensors[1].{field}"
    assert message in error.message


def test_tensors_keep_their_names_and_order() -> None:
    message = common_pb2.TensorList(
        tensors=[encode_tensor("b", np.zeros(1)), encode_tensor("a", np.ones(2))]
    )
    names = [name for name, _ in decode_tensors(message, "x").tensors]
    assert names == ["b", "a"]


def test_a_list_without_tensors_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_tensors(common_pb2.TensorList(), "inputs[0].tensors")
    assert caught.value.field == "inputs[0].tensors.tensors"
