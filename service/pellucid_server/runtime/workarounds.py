"""Ways round faults of OpenVINO that would give silent wrong answers, or none."""

import numpy as np
import openvino as ov
from openvino.passes import ConstantFolding, Manager

BYTES = (ov.Type.i8, ov.Type.u8)


def fill_type_tables() -> None:
    """Lets the bindings fill their tables of types while nobody else uses them.

    They are filled on first use, behind a C++ lock, by code that gives Python's lock away.
    In OpenVINO 2026.4, where another thread takes Python's lock then and asks for the same table,
    each waits for the other, and with them all threads of the process, for ever.
    """
    for values in (np.zeros(1, np.float32), np.array([b"text"])):
        tensor = ov.Tensor(values)
        tensor.element_type.to_dtype()
        ov.Type(values.dtype)
    _ = ov.Tensor(np.zeros(1, np.float32)).data, ov.Tensor(np.array([b"text"])).bytes_data


def unpack_weights(graph: ov.Model) -> ov.Model:
    """Turns weights stored in 8 bits into floats, where activations are not quantised too.

    With several streams the CPU plugin of OpenVINO 2026.4 gives some layers the weights of
    others, at random from one compilation to the next: its cache of unpacked weights mixes them
    up. Quantised models (with FakeQuantize) run in 8 bits and are not touched.
    """
    kinds = {node.get_type_name() for node in graph.get_ops()}
    packed = any(
        node.get_type_name() == "Constant"
        and node.get_element_type() in BYTES
        and len(node.get_output_shape(0)) > 1
        for node in graph.get_ops()
    )
    if not packed or "FakeQuantize" in kinds:
        return graph
    unpacked = graph.clone()
    folding = Manager()
    folding.register_pass(ConstantFolding())
    folding.run_passes(unpacked)
    return unpacked
