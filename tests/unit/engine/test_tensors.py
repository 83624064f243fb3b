import numpy as np
import pytest

from pellucid_server.engine.tensors import feeds
from pellucid_server.errors import InvalidInput
from pellucid_server.types import ANY, Array, Port, TensorInput

PORTS = (Port("image", "FP32", (1, 3, ANY, ANY)), Port("weights", "INT64", (2,)))
IMAGE = np.zeros((1, 3, 4, 5), np.float32)
WEIGHTS = np.zeros(2, np.int64)


def test_tensors_that_fit_become_feeds() -> None:
    given = feeds(TensorInput((("weights", WEIGHTS), ("image", IMAGE))), PORTS, "tensors")
    assert given["image"] is IMAGE
    assert given["weights"] is WEIGHTS


def test_a_single_input_needs_no_name() -> None:
    assert feeds(TensorInput((("", IMAGE),)), PORTS[:1], "tensors")["image"] is IMAGE


NAN = np.full((1, 3, 4, 5), np.nan, np.float32)


@pytest.mark.parametrize(
    ("tensors", "field", "telling"),
    [
        ([("imaeg", IMAGE)], "tensors[0].name", "'image'"),
        ([("image", IMAGE), ("", WEIGHTS)], "tensors[1].name", "Known: image, weights"),
        ([("image", IMAGE), ("image", IMAGE)], "tensors[1].name", "twice"),
        ([("image", IMAGE)], "tensors", "weights"),
        ([], "tensors", "image, weights"),
        ([("image", IMAGE.astype(np.float64))], "tensors[0].datatype", "takes FP32, not FP64"),
        ([("image", IMAGE[0])], "tensors[0].shape", "not \\[3, 4, 5\\]"),
        ([("image", IMAGE[:, :2])], "tensors[0].shape", "\\[1, 3, -1, -1\\]"),
        ([("image", IMAGE[..., :0])], "tensors[0].shape", "at least 1"),
        ([("image", NAN)], "tensors[0].data", "NaN"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    tensors: list[tuple[str, Array]], field: str, telling: str
) -> None:
    """The error names the tensor's field and what the model takes."""
    with pytest.raises(InvalidInput, match=telling) as caught:
        feeds(TensorInput(tuple(tensors)), PORTS, "tensors")
    assert caught.value.field == field


def test_strings_that_openvino_would_cut_are_refused() -> None:
    text = np.asarray([b"ends in zero\0"], dtype=object)
    with pytest.raises(InvalidInput, match="zero byte"):
        feeds(TensorInput((("", text),)), (Port("text", "BYTES", (1,)),), "tensors")
