"""Models that hang or crash, really: with what OpenVINO does not guard against."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

FAR = 10**9
FOREVER = 10**12
DEPTH = 20_000
CLASSES = 4


def write_good(root: Path) -> Path:
    """Doubles `data`."""
    data = _input("data", [8], np.float32)
    return _save(root / "good", ops.add(data, data), [data])


def write_slow(root: Path) -> Path:
    """Takes the sine of `data` as often as `count` says, in one operation."""
    data, count = _input("data", [64], np.float32), _input("count", [1], np.int64)
    value = ops.parameter([64], np.float32)
    always = ops.constant(np.bool_(True))
    body = ov.Model([ops.result(always), ops.result(ops.sin(value))], [value], "body")
    rounds = ops.squeeze(count, ops.constant(np.int64(0)))
    loop = ops.loop(rounds, ops.constant(np.bool_(True)))
    loop.set_function(body)
    loop.set_special_body_ports([-1, 0])
    loop.set_merged_input(value, data.output(0), body.results[1].output(0))
    return _save(root / "slow", loop.get_iter_value(body.results[1].output(0), -1), [data, count])


def write_fragile(root: Path) -> Path:
    """Reads `data` at `place`, wherever that is: `FAR` is a segmentation fault."""
    data, place = _input("data", [8], np.float32), _input("place", [1, 1], np.int64)
    return _save(root / "fragile", ops.gather_nd(data, place), [data, place])


def write_folding(root: Path) -> Path:
    """Crashes whoever compiles it, as constants are computed then."""
    data, far = _input("data", [1], np.float32), ops.constant(np.array([[FAR]], np.int64))
    table = ops.constant(np.ones(8, np.float32))
    return _save(root / "folding", ops.add(data, ops.gather_nd(table, far)), [data])


def write_nested(root: Path) -> Path:
    """Crashes whoever reads it: loops within loops, each of which costs some stack."""
    number = '<port id="{}" precision="FP32"><dim>1</dim></port>'
    inside, outside = number.format(0), number.format(1)
    begin = (
        '<layer id="0" name="in" type="Parameter" version="opset1">'
        f'<data shape="1" element_type="f32"/><output>{inside}</output></layer>'
    )
    end = f'<layer id="2" name="out" type="Result" version="opset1"><input>{inside}</input></layer>'
    edges = "".join(
        f'<edge from-layer="{each}" from-port="{each}" to-layer="{each + 1}" to-port="0"/>'
        for each in range(2)
    )
    loop = (
        '<layer id="1" name="loop" type="TensorIterator" version="opset1">'
        f"<input>{inside}</input><output>{outside}</output><port_map>"
        '<input external_port_id="0" internal_layer_id="0"/>'
        '<output external_port_id="1" internal_layer_id="2"/></port_map>'
        f"<body><layers>{begin}"
    )
    close = f"{end}</layers><edges>{edges}</edges></body></layer>"
    folder = root / "nested" / "1"
    folder.mkdir(parents=True)
    (folder / "model.bin").touch()
    (folder / "model.xml").write_text(
        f'<?xml version="1.0"?><net name="nested" version="11"><layers>{begin}{loop * DEPTH}'
        f"{close * DEPTH}{end}</layers><edges>{edges}</edges></net>"
    )
    return root


def write_afraid_of_the_dark(root: Path) -> Path:
    """A classifier of bright images that a dark one crashes."""
    image = _input("image", [1, 3, 16, 16], np.float32)
    axes = ops.constant(np.array([1, 2, 3], np.int64))
    darkness = ops.relu(ops.subtract(np.float32(0.5), ops.reduce_mean(image, axes)))
    place = ops.convert(ops.multiply(darkness, np.float32(FAR)), "i64")
    table = ops.multiply(ops.reshape(image, np.array([-1]), False), np.float32(0))
    found = ops.gather_nd(table, ops.reshape(place, np.array([1, 1]), False))
    scores = ops.add(
        ops.reshape(found, np.array([1, 1]), False), np.eye(1, CLASSES, dtype=np.float32)
    )
    _save(root / "afraid", scores, [image])
    (root / "afraid" / "model.yaml").write_text(
        "task: classification\nlabels: [a, b, c, d]\npreprocess: {scale: [255]}\n"
    )
    return root


def _input(name: str, shape: list[int], kind: Any) -> Any:
    node = ops.parameter(shape, kind, name=name)
    node.output(0).get_tensor().set_names({name})
    return node


def _save(folder: Path, output: Any, inputs: list[Any]) -> Path:
    result = ops.result(output)
    result.input(0).get_source_output().get_tensor().set_names({"result"})
    (folder / "1").mkdir(parents=True)
    graph = ov.Model([result], inputs, folder.name)
    ov.save_model(graph, folder / "1" / "model.xml", compress_to_fp16=False)
    return folder.parent
