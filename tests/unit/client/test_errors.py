"""Status to exception, with what the error details say."""

import pickle
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Detail
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

import pellucid
from pellucid import errors

CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


def failing(code: grpc.StatusCode, message: str, *details: Any) -> Any:
    """A Predict that ends with a status and its details."""
    packed = []
    for detail in details:
        packed.append(Detail())
        packed[-1].Pack(detail)
    status = status_pb2.Status(code=code.value[0], message=message, details=packed)

    def predict(_request: Any, context: Any) -> None:
        context.abort_with_status(rpc_status.to_status(status))

    return predict


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
def test_every_status_has_its_exception(code: grpc.StatusCode) -> None:
    assert issubclass(errors.EXCEPTIONS[code], pellucid.PellucidError)


def test_every_exception_stands_for_its_own_status() -> None:
    """The class's code maps to the class; and every class but the root is in the table."""
    classes = set(errors.EXCEPTIONS.values())
    assert all(errors.EXCEPTIONS[each.code] is each for each in classes)
    assert classes == set(pellucid.PellucidError.__subclasses__())


def test_the_tree_in_the_docstring_is_complete() -> None:
    drawn = errors.__doc__ or ""
    assert all(each.__name__ in drawn for each in errors.EXCEPTIONS.values())


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
def test_a_call_raises_it(make: Any, fake: Any, scripted: Any, code: grpc.StatusCode) -> None:
    fake.predict = failing(code, "what is wrong")
    with pytest.raises(errors.EXCEPTIONS[code]) as caught:
        make(retries=0).predict(scripted.png(), model="lights")
    assert caught.value.code is code


def test_details_become_attributes(make: Any, fake: Any, scripted: Any) -> None:
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="inputs[0].image", description="not an image")
    bad.field_violations.add(field="classification.top_k", description="negative")
    info = error_details_pb2.RequestInfo(request_id="abc")
    fake.predict = failing(grpc.StatusCode.INVALID_ARGUMENT, "two fields are wrong", bad, info)
    with pytest.raises(pellucid.InvalidArgumentError, match="two fields are wrong") as caught:
        make().predict(scripted.png(), model="lights")
    assert caught.value.field == "inputs[0].image"
    assert caught.value.request_id == "abc"
    assert caught.value.violations == (
        pellucid.FieldViolation("inputs[0].image", "not an image"),
        pellucid.FieldViolation("classification.top_k", "negative"),
    )


def test_without_details_the_id_is_the_one_sent(make: Any, fake: Any, scripted: Any) -> None:
    fake.predict = lambda _request, context: context.abort(grpc.StatusCode.INTERNAL, "it broke")
    with pytest.raises(pellucid.InternalError) as caught:
        make().predict(scripted.png(), model="lights")
    assert caught.value.request_id == fake.metadata[-1]["x-request-id"] != ""


@pytest.mark.parametrize(
    "trailer",
    [
        b"\xff\xff",
        status_pb2.Status(code=5, message="another").SerializeToString(),
        status_pb2.Status(
            code=13,
            message="it broke",
            details=[
                Detail(type_url="type.googleapis.com/google.rpc.RetryInfo", value=b"\xff\xff")
            ],
        ).SerializeToString(),
    ],
    ids=["garbage", "contradiction", "garbage within"],
)
def test_details_of_foreign_servers_do_no_harm(
    make: Any, fake: Any, scripted: Any, trailer: bytes
) -> None:
    def predict(_request: Any, context: Any) -> None:
        context.set_trailing_metadata((("grpc-status-details-bin", trailer),))
        context.abort(grpc.StatusCode.INTERNAL, "it broke")

    fake.predict = predict
    with pytest.raises(pellucid.InternalError, match="it broke"):
        make().predict(scripted.png(), model="lights")


def test_streams_carry_numbers() -> None:
    late = errors.from_number(4, "too late", "inputs")
    assert isinstance(late, pellucid.DeadlineExceededError)
    assert late.field == "inputs"
    assert isinstance(errors.from_number(99, "?"), pellucid.InternalError)


def test_some_are_pythons_own_too() -> None:
    assert issubclass(pellucid.UnavailableError, ConnectionError)
    assert issubclass(pellucid.DeadlineExceededError, TimeoutError)
    assert issubclass(pellucid.InvalidArgumentError, ValueError)


def test_exceptions_survive_pickling() -> None:
    error = pellucid.UnavailableError("gone", field="a", request_id="b", retry_after=2.0)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(copy), copy.field, copy.request_id, copy.retry_after) == ("gone", "a", "b", 2.0)


def test_retry_info_says_when(make: Any, fake: Any, scripted: Any) -> None:
    retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))
    fake.predict = failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", retry)
    with pytest.raises(pellucid.ResourceExhaustedError) as caught:
        make(retries=0).predict(scripted.png(), model="lights")
    assert caught.value.retry_after == 1.5
