"""Outputs that are pictures or maps: where their channels stand."""

import math
from typing import Literal

import numpy as np

from pellucid_server.errors import InvalidInput
from pellucid_server.types import ANY, Array, Port

Layout = Literal["NCHW", "NHWC"]


def channel_axis(port: Port, layout: Layout | None, channels: int = 0) -> int | None:
    """The dimension of the channels: of the layout, or that of `channels`, or the smaller.

    None: the output is batch x height x width.

    Raises:
        InvalidInput: the output is no map.
    """
    if len(port.shape) == 3:
        return None
    if len(port.shape) != 4:
        raise InvalidInput(
            f"output {port.name!r} of shape {list(port.shape)} is not a map of three or four "
            "dimensions: set decode.output to one that is",
            field="decode.output",
        )
    if layout:
        return layout.index("C")
    first, last = (math.inf if each == ANY else each for each in (port.shape[1], port.shape[3]))
    if (first == channels) != (last == channels):
        return 1 if first == channels else 3
    return 3 if last < first else 1


def channels_first(output: Array, axis: int | None) -> Array:
    """The only map of a batch as channels x height x width."""
    return output[:1] if axis is None else np.moveaxis(output[0], axis - 1, 0)
