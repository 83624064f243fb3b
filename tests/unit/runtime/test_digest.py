import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pellucid_server.runtime.digest import model_digest
from pellucid_server.runtime.loader import Loader
from pellucid_server.runtime.served import ServedModel
from pellucid_server.spec import ModelSpec

ROOT = Path(__file__).parents[3]
MODELS = ROOT / "models"


def net(weight: float = 2.0, *, negate: bool = False, kind: ov.Type = ov.Type.f32) -> ServedModel:
    x = ops.parameter([1, 4], np.float32, name="x")
    factor = ops.convert(ops.constant(np.full(4, weight, np.float32), kind), np.float32)
    product = ops.multiply(x, factor)
    graph = ov.Model([ops.result(ops.negative(product) if negate else product)], [x])
    return ServedModel("net", 1, ModelSpec(), "openvino", Path("x"), graph, (), (), ())


def test_equal_models_are_equal_wherever_they_were_made() -> None:
    assert model_digest(net()) == model_digest(net())
    assert model_digest(net()) == model_digest(replace(net(), name="other", version=7))


def test_weights_operations_and_descriptions_tell_models_apart() -> None:
    described = replace(net(), spec=ModelSpec(description="other"))
    models = [net(), net(3.0), net(negate=True), net(kind=ov.Type.f16), described]
    assert len({model_digest(model) for model in models}) == len(models)


@pytest.mark.parametrize(
    "kind", [ov.Type.bf16, ov.Type.i4, ov.Type.u4, ov.Type.f8e4m3, ov.Type.i8, ov.Type.f64]
)
def test_weights_of_every_kind_count(kind: ov.Type) -> None:
    assert model_digest(net(1.0, kind=kind)) != model_digest(net(3.0, kind=kind))


def test_a_model_without_weights_has_a_digest() -> None:
    x = ops.parameter([0, 4], np.float32)
    empty = ops.concat([x, ops.constant(np.empty((0, 4), np.float32))], 0)
    model = replace(net(), graph=ov.Model([ops.result(empty)], [x]))
    assert len(model_digest(model)) == 32


def test_another_process_sees_the_same() -> None:
    """As a server that is started again does."""
    path = MODELS / "multistyle" / "1"
    code = (
        "from pathlib import Path; from pellucid_server.runtime.loader import Loader;"
        "from pellucid_server.runtime.digest import model_digest;"
        f"print(model_digest(Loader(Path({str(MODELS)!r})).read(Path({str(path)!r}), None)))"
    )
    command = [sys.executable, "-c", f"import pellucid_server; {code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == model_digest(Loader(MODELS).read(path, None))
