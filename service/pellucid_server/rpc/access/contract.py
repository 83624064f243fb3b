"""Every call that there is."""

from collections.abc import Iterator

from pellucid.v1 import evaluation_pb2, explanation_pb2, inference_pb2, model_pb2
from pellucid_server.open_inference import open_inference_pb2

FILES = (inference_pb2, explanation_pb2, model_pb2, evaluation_pb2, open_inference_pb2)


def every_method() -> Iterator[str]:
    """As policies and logs name them: `package.Service/Method`."""
    for file in FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            yield from (f"{service.full_name}/{method.name}" for method in service.methods)
