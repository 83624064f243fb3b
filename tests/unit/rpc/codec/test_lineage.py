"""Where a version comes from, and how large it is, as the contract says it."""

from dataclasses import replace
from datetime import UTC, datetime

from pellucid.v1 import model_pb2
from pellucid_server.rpc.codec.models import OPTIMIZATIONS, ModelWriter
from pellucid_server.runtime.lineage import Lineage, Optimization
from pellucid_server.runtime.repository import ModelEntry

MADE = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


def test_a_version_tells_what_it_was_made_of(entry: ModelEntry) -> None:
    lineage = Lineage(
        parent_version=1,
        optimization=Optimization.INT8,
        settings={"preset": "mixed"},
        dataset_digest="ab12",
        create_time=MADE,
    )
    version = replace(entry.versions[0], lineage=lineage, size_bytes=5_000_000_000)
    told = ModelWriter("CPU", lambda _: "").model(replace(entry, versions=(version,))).versions[0]
    assert told.size_bytes == 5_000_000_000
    assert told.lineage.parent_version == "1"
    assert told.lineage.optimization == model_pb2.OPTIMIZATION_INT8
    assert dict(told.lineage.settings) == {"preset": "mixed"}
    assert told.lineage.dataset_digest == "ab12"
    assert told.lineage.create_time.ToDatetime(UTC) == MADE


def test_a_version_of_its_owner_has_no_lineage(entry: ModelEntry) -> None:
    for version in ModelWriter("CPU", lambda _: "").model(entry).versions:
        assert not version.HasField("lineage")


def test_every_optimisation_of_the_contract_has_one_of_the_domain() -> None:
    assert sorted(OPTIMIZATIONS.values()) == sorted(model_pb2.Optimization.values())[1:]
