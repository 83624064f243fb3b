from pellucid.v1 import common_pb2
from pellucid_server.types import Box, Category, Size


def encode_size(size: Size) -> common_pb2.ImageSize:
    """Width and height."""
    return common_pb2.ImageSize(width=size.width, height=size.height)


def encode_box(box: Box) -> common_pb2.Box:
    """A rectangle."""
    return common_pb2.Box(x_min=box.x_min, y_min=box.y_min, x_max=box.x_max, y_max=box.y_max)


def decode_box(box: common_pb2.Box) -> Box:
    """A rectangle."""
    return Box(box.x_min, box.y_min, box.x_max, box.y_max)


def encode_category(category: Category) -> common_pb2.Category:
    """A class with its confidence."""
    return common_pb2.Category(
        class_id=category.class_id, label=category.label, confidence=category.confidence
    )
