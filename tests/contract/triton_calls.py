"""What an unmodified tritonclient sees of a server, as JSON.

A process of its own: its stubs and ours both register the proto package `inference`.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

SAMPLES: dict[str, list[Any]] = {
    "BOOL": [True, False, False, True],
    "UINT8": [0, 1, 200, 255],
    "UINT16": [0, 1, 40_000, 2**16 - 1],
    "UINT32": [0, 1, 2**31, 2**32 - 1],
    "UINT64": [0, 1, 2**53 + 1, 2**64 - 1],
    "INT8": [0, 1, -128, 127],
    "INT16": [0, 1, -(2**15), 2**15 - 1],
    "INT32": [0, 1, -(2**31), 2**31 - 1],
    "INT64": [0, 1, -(2**63), 2**63 - 1],
    "FP16": [0, 0.5, -65504, 6e-8],
    "BF16": [0, 0.5, -1.5, 2.0**100],
    "FP32": [0, 0.1, -3.4e38, 1e-38],
    "FP64": [0, 0.1, -1.7e308, 5e-324],
    "BYTES": [b"", b"a", "ü".encode(), b"a\0b"],
}


def infer(client: Any, model: str, datatype: str, array: Any, output: str = "x") -> Any:
    """One call with one input."""
    x = triton.InferInput("x", array.shape, datatype)
    x.set_data_from_numpy(array)
    wanted = [triton.InferRequestedOutput(output)]
    return client.infer(model, [x], outputs=wanted, request_id="mine")


def identity(client: Any, datatype: str) -> list[str]:
    """What is wrong about a datatype."""
    array = np.array(SAMPLES[datatype], triton_to_np_dtype(datatype)).reshape(2, 2)
    model = f"identity-{datatype.lower()}"
    result = infer(client, model, datatype, array)
    back, response = result.as_numpy("x"), result.get_response()
    problems = []
    if not np.array_equal(back, array):
        problems.append(f"sent {array.tolist()}, got {back.tolist()}")
    if result.get_output("x").datatype != datatype:
        problems.append(f"datatype {result.get_output('x').datatype}")
    if (response.id, response.model_name, response.model_version) != ("mine", model, "1"):
        problems.append(f"{response.id} {response.model_name} {response.model_version}")
    return problems


def status(call: Callable[[], Any]) -> str:
    """The status that a call ends with."""
    try:
        call()
    except InferenceServerException as error:
        return str(error.status()).removeprefix("StatusCode.")
    return "OK"


def main(target: str) -> dict[str, Any]:
    """Everything."""
    client = triton.InferenceServerClient(target)
    model = "identity-fp32"
    array = np.zeros((1, 2), np.float32)
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": client.is_model_ready(model),
        "server": client.get_server_metadata(as_json=True),
        "model": client.get_model_metadata(model, as_json=True),
        "identity": {datatype: identity(client, datatype) for datatype in SAMPLES},
        "statuses": {
            "unknown model": status(lambda: infer(client, "random", "FP32", array)),
            "unknown model ready": status(lambda: client.is_model_ready("random")),
            "unknown version": status(lambda: client.get_model_metadata(model, "7")),
            "unknown output": status(lambda: infer(client, model, "FP32", array, "y")),
            "wrong datatype": status(lambda: infer(client, "identity-fp64", "FP32", array)),
            "wrong shape": status(lambda: infer(client, model, "FP32", array.T)),
            "not served": status(lambda: client.get_model_config(model)),
        },
    }


if __name__ == "__main__":
    json.dump(main(sys.argv[1]), sys.stdout)
