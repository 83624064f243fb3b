"""Ways round faults of OpenVINO that would give silent wrong answers."""

import openvino as ov
from openvino.passes import ConstantFolding, Manager

BYTES = (ov.Type.i8, ov.Type.u8)


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
