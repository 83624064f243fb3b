from pellucid.v1 import common_pb2
from pellucid_server.errors import InvalidInput
from pellucid_server.rpc.codec.tensors import decode_tensors
from pellucid_server.types import EncodedImage, Source, Uri


def decode_input(message: common_pb2.Input, field: str) -> Source:
    """What a caller sent, or where it lies."""
    match message.WhichOneof("source"):
        case "image":
            return EncodedImage(message.image)
        case "tensors":
            return decode_tensors(message.tensors, f"{field}.tensors")
        case "uri":
            return Uri(message.uri)
        case _:
            raise InvalidInput("an input needs an image, tensors or a uri", field=field)
