import inspect
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from pellucid_server import errors
from pellucid_server.evaluate import store
from pellucid_server.rpc.status import (
    CODES,
    LONGEST_MESSAGE,
    SPREAD,
    code_of,
    status_of,
    stream_error,
)

CLASSES = [
    kind
    for module in (errors, store)
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, errors.PellucidError)
]


def details(status: status_pb2.Status, message: type[Any]) -> list[Any]:
    found = []
    for item in status.details:
        unpacked = message()
        if item.Unpack(unpacked):
            found.append(unpacked)
    return found


def test_every_domain_error_has_a_status_of_its_own_row() -> None:
    assert set(CODES) == set(CLASSES)
    assert len(CLASSES) > 8


def test_no_error_maps_to_success_or_to_the_unknown() -> None:
    assert not {grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN} & set(CODES.values())


def test_a_new_kind_of_a_known_error_has_that_one_s_status() -> None:
    class TooWide(errors.InvalidInput):
        pass

    assert code_of(TooWide("x")) is grpc.StatusCode.INVALID_ARGUMENT


def test_a_field_at_fault_is_named_in_bad_request() -> None:
    status = status_of(errors.InvalidInput("too big", field="inputs[0].image"), "id")
    (bad,) = details(status, error_details_pb2.BadRequest)
    assert [(v.field, v.description) for v in bad.field_violations] == [
        ("inputs[0].image", "too big")
    ]
    assert (status.code, status.message) == (3, "too big")


def test_an_error_without_a_field_has_no_bad_request() -> None:
    assert details(status_of(errors.Cancelled("x"), "id"), error_details_pb2.BadRequest) == []


def test_every_status_carries_the_request_id() -> None:
    for kind in set(CLASSES) - {errors.Overloaded}:
        (info,) = details(status_of(kind("x"), "the-id"), error_details_pb2.RequestInfo)
        assert info.request_id == "the-id"


def test_overload_says_when_to_try_again() -> None:
    status = status_of(errors.Overloaded("full", retry_after=1.5), "id")
    (retry,) = details(status, error_details_pb2.RetryInfo)
    assert 1.5 <= retry.retry_delay.ToNanoseconds() / 1e9 <= 1.5 * SPREAD
    assert status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]


def test_a_server_that_stops_says_when_to_try_again() -> None:
    status = status_of(errors.Stopping("the server goes away"), "id")
    assert details(status, error_details_pb2.RetryInfo)
    assert status.code == grpc.StatusCode.UNAVAILABLE.value[0]


def test_what_is_unexpected_tells_nothing_but_the_request_id() -> None:
    status = status_of(ValueError("secret path /etc/x"), "the-id")
    assert status.code == grpc.StatusCode.INTERNAL.value[0]
    assert status.message == "internal error; request id the-id"
    assert "secret" not in str(status)


def test_a_long_message_is_cut_so_that_it_fits_into_headers() -> None:
    status = status_of(errors.NotFound("x" * 100_000, field="f"), "id")
    assert len(status.message) <= LONGEST_MESSAGE + 3
    assert status.ByteSize() < 8192


@pytest.mark.parametrize(
    ("error", "code", "message", "field"),
    [
        (errors.NotFound("no model", field="model_name"), 5, "no model", "model_name"),
        (KeyError("secret"), 13, "internal error; request id r", ""),
    ],
)
def test_an_error_on_a_stream_is_the_same(
    error: Exception, code: int, message: str, field: str
) -> None:
    told = stream_error(error, "r")
    assert (told.code, told.message, told.field) == (code, message, field)
