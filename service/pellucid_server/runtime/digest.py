"""Whether two served models are the same, wherever and whenever they were read."""

import hashlib
from weakref import WeakKeyDictionary

import openvino as ov

from pellucid_server.runtime.served import ServedModel

BYTES = 16
_KNOWN: WeakKeyDictionary[ServedModel, str] = WeakKeyDictionary()


def model_digest(served: ServedModel) -> str:
    """Of the operations, the weights and the description, as hexadecimal digits.

    Names of operations do not count: readers make some up.
    """
    if served not in _KNOWN:
        _KNOWN[served] = _digest(served)
    return _KNOWN[served]


def _digest(served: ServedModel) -> str:
    digest = hashlib.blake2b(served.spec.model_dump_json().encode(), digest_size=BYTES)
    for node in served.graph.get_ordered_ops():
        shapes = [str(output.get_partial_shape()) for output in node.outputs()]
        digest.update(repr((node.get_type_name(), shapes)).encode())
        if node.get_type_name() == "Constant":
            digest.update(_bytes(node))
    return digest.hexdigest()


def _bytes(constant: ov.Node) -> bytes | memoryview:
    if constant.get_element_type() == ov.Type.string:
        return repr(constant.str_data.tolist()).encode()
    return memoryview(constant.data.ravel().view("uint8"))
