"""Whatever an owner does to a folder, in whatever order, the rules of the page hold."""

import itertools
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import openvino as ov
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from openvino import opset13 as ops

from pellucid_server.errors import ModelUnavailable, NotFound
from pellucid_server.runtime.repository import ModelRepository, ModelState
from pellucid_server.runtime.served import ServedModel
from pellucid_server.telemetry.metrics import Metrics

VERSIONS = st.integers(1, 3)


class Owner(RuleBasedStateMachine):
    """Writes good and broken versions of one model, removes them, unloads and loads them."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.clock = itertools.count(10**18, 10**9)
        self.dropped: list[ServedModel] = []
        self.held: set[ServedModel] = set()
        self.on_disk: dict[int, str] = {}
        self.asked = False
        self.repository = ModelRepository(self.root, Metrics(), on_unload=self.dropped.append)
        self.repository.scan()

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    def write(self, version: int, text: str) -> None:
        path = self.root / "model" / str(version) / "model.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        now = next(self.clock)
        os.utime(path, ns=(now, now))

    @rule(version=VERSIONS)
    def put_good(self, version: int) -> None:
        tag = f"good{next(self.clock)}"
        data = ops.parameter([1], np.float32, name="data")
        graph = ov.Model([ops.result(ops.relu(data))], [data], tag)
        ov.save_model(graph, self.root / "graph.xml")
        self.write(version, (self.root / "graph.xml").read_text())
        self.on_disk[version] = tag

    @rule(version=VERSIONS)
    def put_broken(self, version: int) -> None:
        self.write(version, "<net>")
        self.on_disk[version] = "broken"

    @rule(version=VERSIONS)
    def remove(self, version: int) -> None:
        shutil.rmtree(self.root / "model" / str(version), ignore_errors=True)
        self.on_disk.pop(version, None)

    @rule(version=VERSIONS, load=st.booleans())
    def call(self, version: int, load: bool) -> None:  # noqa: FBT001  # drawn by name
        act = self.repository.load if load else self.repository.unload
        try:
            act("model", str(version))
            self.asked = True
        except NotFound:
            pass
        except ModelUnavailable:
            self.asked = True
            assert self.on_disk.get(version) == "broken"

    @rule()
    def look(self) -> None:
        self.repository.scan()

    @rule()
    def settle(self) -> None:
        self.repository.scan()
        self.repository.scan()
        states = {
            each.version: each for entry in self.repository.entries() for each in entry.versions
        }
        assert states.keys() == self.on_disk.keys()
        for version, each in states.items():
            tag = self.on_disk[version]
            if tag == "broken" and each.served:
                assert "stays served" in each.reason
            elif each.served:
                assert each.served.graph.get_friendly_name() == tag
        good = [version for version, tag in self.on_disk.items() if tag != "broken"]
        if good and not self.asked:
            default = self.repository.entry("model").default_version
            assert default is not None
            assert default >= max(good)

    @invariant()
    def what_is_served_was_not_dropped(self) -> None:
        served = {
            each.served
            for entry in self.repository.entries()
            for each in entry.versions
            if each.served
        }
        assert len(set(self.dropped)) == len(self.dropped)
        assert served.isdisjoint(self.dropped)
        assert self.held - served <= set(self.dropped)
        self.held |= served

    @invariant()
    def the_default_is_ready(self) -> None:
        for entry in self.repository.entries():
            states = {each.version: each.state for each in entry.versions}
            ready = [number for number, state in states.items() if state is ModelState.READY]
            assert entry.default_version == max(ready, default=None)


TestOwner = Owner.TestCase
TestOwner.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
