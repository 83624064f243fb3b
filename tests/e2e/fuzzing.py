"""Requests of every call, made from the descriptors of the protos: a new call is among them."""

import importlib
import io
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st
from PIL import Image

import pellucid.v1
from pellucid.v1 import common_pb2, evaluation_pb2, explanation_pb2, inference_pb2, model_pb2
from pellucid_server.open_inference import open_inference_pb2

MODEL, RAW = "net", "raw"
DEEPEST = 6
"""Messages in messages."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


@dataclass(frozen=True)
class Method:
    """A call of a service."""

    descriptor: MethodDescriptor

    @property
    def path(self) -> str:
        """As gRPC names it."""
        return f"/{self.descriptor.containing_service.full_name}/{self.descriptor.name}"

    @property
    def answers(self) -> type[Message]:
        """The class of its responses."""
        return GetMessageClass(self.descriptor.output_type)

    def __str__(self) -> str:
        return self.path.strip("/")


def methods() -> Iterator[Method]:
    """Every call of every service that the server has protos of."""
    folder = pellucid.v1.__path__
    ours = (f"pellucid.v1.{each.name}" for each in pkgutil.iter_modules(folder))
    protos = [importlib.import_module(name) for name in ours if name.endswith("_pb2")]
    for proto in (*protos, open_inference_pb2):
        for service in proto.DESCRIPTOR.services_by_name.values():
            yield from map(Method, service.methods)


def encoded(format_: str, side: int = 16) -> bytes:
    """Noise as a file of a format."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format_)
    return file.getvalue()


IMAGES = tuple(map(encoded, FORMATS))
SOURCE = common_pb2.Input(image=IMAGES[0])
TENSOR = common_pb2.Tensor(
    name="image", datatype="FP32", shape=[1, 3, 32, 32], data=bytes(4 * 3 * 32 * 32)
)
PREDICT = inference_pb2.PredictRequest(model_name=MODEL, inputs=[SOURCE])
EVALUATE = evaluation_pb2.EvaluateDatasetRequest(model_name=MODEL, dataset="set")

VALID: tuple[Message, ...] = (
    PREDICT,
    inference_pb2.PredictRequest(
        model_name=RAW, inputs=[common_pb2.Input(tensors=common_pb2.TensorList(tensors=[TENSOR]))]
    ),
    inference_pb2.PredictStreamRequest(id="a", request=PREDICT),
    explanation_pb2.ExplainRequest(
        model_name=MODEL,
        input=SOURCE,
        parameters={"num_masks": common_pb2.ParameterValue(int_value=16)},
    ),
    explanation_pb2.ListMethodsRequest(model_name=MODEL),
    model_pb2.GetModelRequest(model_name=MODEL),
    model_pb2.LoadModelRequest(model_name=MODEL),
    EVALUATE,
    open_inference_pb2.ModelInferRequest(
        model_name=MODEL,
        inputs=[
            open_inference_pb2.ModelInferRequest.InferInputTensor(
                name="image", datatype="FP32", shape=[1, 3, 32, 32]
            )
        ],
        raw_input_contents=[TENSOR.data],
    ),
)


@st.composite
def torn(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with a few of them changed, left out or put in; maybe not to their end."""
    torn = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(torn) - 1, 0)))
        match draw(st.sampled_from(("set", "remove", "insert", "fill", "cut"))):
            case "set":
                torn[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case "remove":
                del torn[place : place + draw(st.integers(1, 8))]
            case "insert":
                torn[place:place] = draw(st.binary(min_size=1, max_size=8))
            case "fill":
                torn[place : place + 4] = draw(st.sampled_from((b"\xff" * 4, bytes(4))))
            case _:
                del torn[place:]
    return bytes(torn)


TEXTS = st.one_of(
    st.sampled_from((MODEL, RAW, "set", "1", "rise", "image", "FP32", "BYTES", "int8", "a", "d")),
    st.sampled_from(("..", "../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "s3://a/b")),
    st.sampled_from(("\0", "a\0b", "%00", "%2e%2e/", "\u202e", "\ufeff", "\n", "{}", "' OR 1=1")),
    st.sampled_from(("x" * 100_000, "net/" * 1000, "0" * 400, "-1", "1e999", "nan")),
    st.text(max_size=20),
)
DATA = st.one_of(st.binary(max_size=64), *map(torn, IMAGES))
FLOATS = st.one_of(
    st.sampled_from((0.0, -0.0, 1.0, -1.0, 0.5, 1e-320, 1e300, -1e300)), st.floats(width=32)
)
F = FieldDescriptor


def _whole(low: int, high: int) -> st.SearchStrategy[int]:
    edges = st.sampled_from([each for each in (low, -1, 0, 1, 2, 16, high) if low <= each <= high])
    return st.one_of(edges, st.integers(low, high))


INT32, INT64 = _whole(-(2**31), 2**31 - 1), _whole(-(2**63), 2**63 - 1)
UINT32, UINT64 = _whole(0, 2**32 - 1), _whole(0, 2**64 - 1)
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    F.TYPE_DOUBLE: FLOATS,
    F.TYPE_FLOAT: st.one_of(st.sampled_from((0.0, 0.5, 1.0, -1.0)), st.floats(width=32)),
    F.TYPE_STRING: TEXTS,
    F.TYPE_BYTES: DATA,
    F.TYPE_BOOL: st.booleans(),
    F.TYPE_ENUM: st.one_of(st.integers(-1, 12), INT32),
    **dict.fromkeys((F.TYPE_INT32, F.TYPE_SINT32, F.TYPE_SFIXED32), INT32),
    **dict.fromkeys((F.TYPE_INT64, F.TYPE_SINT64, F.TYPE_SFIXED64), INT64),
    **dict.fromkeys((F.TYPE_UINT32, F.TYPE_FIXED32), UINT32),
    **dict.fromkeys((F.TYPE_UINT64, F.TYPE_FIXED64), UINT64),
}


def _values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return messages(field.message_type, depth + 1)
    return SCALARS[field.type]


@cache
def messages(descriptor: Descriptor, depth: int = 0) -> st.SearchStrategy[Message]:
    """Any message of a type."""
    return _messages(descriptor, depth)


@st.composite
def _messages(draw: st.DrawFn, descriptor: Descriptor, depth: int) -> Message:
    message = GetMessageClass(descriptor)()
    fields = descriptor.fields if depth < DEEPEST else []
    wanted = st.lists(st.sampled_from(list(fields)), max_size=4) if fields else st.just([])
    for field in draw(wanted):
        _put(draw, message, field, depth)
    return message


def _put(draw: st.DrawFn, message: Message, field: FieldDescriptor, depth: int) -> None:
    """Sets a field to anything."""
    message.ClearField(field.name)
    entry = field.message_type
    if entry is not None and _is_map(field):
        values = _values(entry.fields_by_name["value"], depth)
        pairs = st.dictionaries(_values(entry.fields_by_name["key"], depth), values, max_size=2)
        for key, value in draw(pairs).items():
            _put_entry(getattr(message, field.name), key, value)
    elif _repeated(field):
        getattr(message, field.name).extend(draw(st.lists(_values(field, depth), max_size=3)))
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(draw(_values(field, depth)))
    else:
        setattr(message, field.name, draw(_values(field, depth)))


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _repeated(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated)


def _put_entry(entries: Any, key: Any, value: Any) -> None:
    if isinstance(value, Message):
        entries[key].CopyFrom(value)
    else:
        entries[key] = value


@st.composite
def changed(draw: st.DrawFn, valid: Message) -> Message:
    """A right request with one to three fields that are anything."""
    message = type(valid)()
    message.CopyFrom(valid)
    for _ in range(draw(st.integers(1, 3))):
        _change(draw, message, 0)
    return message


def _change(draw: st.DrawFn, message: Message, depth: int) -> None:
    inner: list[Message] = []
    for field, value in message.ListFields():
        if field.message_type is not None and not _is_map(field):
            inner += value if _repeated(field) else [value]
    fields: list[Any] = list(message.DESCRIPTOR.fields)
    deeper: bool = bool(inner) and draw(st.booleans())
    if deeper:
        _change(draw, draw(st.sampled_from(inner)), depth + 1)
    elif fields:
        _put(draw, message, draw(st.sampled_from(fields)), depth)


NONSENSE = st.one_of(
    st.binary(max_size=256),
    st.sampled_from((b"", b"\x0b" * 10_000, b"\xff" * 64, b"\x0a\xff\xff\xff\xff\x0f")),
)
"""No message: random bytes, groups in groups, lengths beyond the end."""


def requests(method: Method) -> st.SearchStrategy[bytes]:
    """Bytes of one request: right ones changed, any of the type, torn ones, nonsense."""
    kind = method.descriptor.input_type
    valid = [each for each in VALID if each.DESCRIPTOR.full_name == kind.full_name]
    near = [changed(each) for each in valid]
    right = [each.SerializeToString() for each in valid]
    made = st.one_of(*near, messages(kind)).map(lambda each: each.SerializeToString())
    whole = st.one_of(made, *(st.just(each) for each in right))
    return st.one_of(made, made, whole.flatmap(torn), NONSENSE)


def streams(method: Method) -> st.SearchStrategy[list[bytes]]:
    """The requests of one call: one, unless it takes a stream, or none."""
    if method.descriptor.client_streaming:
        return st.lists(requests(method), max_size=4)
    return st.one_of(requests(method).map(lambda each: [each]), st.just([]))
