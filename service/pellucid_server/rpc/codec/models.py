from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from google.protobuf.timestamp_pb2 import Timestamp

from pellucid.v1 import model_pb2
from pellucid_server.rpc.codec.choices import STATES, TASKS
from pellucid_server.runtime.lineage import Lineage, Optimization
from pellucid_server.runtime.repository import ModelEntry, VersionEntry
from pellucid_server.runtime.served import ServedModel
from pellucid_server.types import Layer, Port

OPTIMIZATIONS: Mapping[Optimization, "model_pb2.Optimization.ValueType"] = MappingProxyType(
    {each: model_pb2.Optimization.Value(f"OPTIMIZATION_{each.name}") for each in Optimization}
)


@dataclass(frozen=True)
class ModelWriter:
    """Describes models; `precision` reads a served model's back from its device."""

    device: str
    precision: Callable[[ServedModel], str]

    def model(self, entry: ModelEntry) -> model_pb2.Model:
        """A model with all its versions."""
        default = entry.default_version
        return model_pb2.Model(
            name=entry.name,
            aliases=entry.spec.aliases,
            task=TASKS[entry.spec.task],
            description=entry.spec.description,
            default_version="" if default is None else str(default),
            versions=map(self.version, entry.versions),
            labels=entry.spec.labels,
        )

    def version(self, entry: VersionEntry) -> model_pb2.ModelVersion:
        """A version of a model."""
        served = entry.served
        message = model_pb2.ModelVersion(
            version=str(entry.version),
            state=STATES[entry.state],
            reason=entry.reason,
            lineage=_lineage(entry.lineage) if entry.lineage else None,
            size_bytes=entry.size_bytes,
        )
        if served is not None:
            load_time = Timestamp()
            load_time.FromDatetime(served.load_time)
            message.MergeFrom(
                model_pb2.ModelVersion(
                    format=served.format,
                    inputs=map(_port, served.inputs),
                    outputs=map(_port, served.outputs),
                    layers=map(_layer, served.layers),
                    device=self.device,
                    precision=self.precision(served),
                    load_time=load_time,
                )
            )
        return message


def _lineage(lineage: Lineage) -> model_pb2.Lineage:
    create_time = Timestamp()
    create_time.FromDatetime(lineage.create_time)
    return model_pb2.Lineage(
        parent_version=str(lineage.parent_version),
        optimization=OPTIMIZATIONS[lineage.optimization],
        settings=lineage.settings,
        dataset_digest=lineage.dataset_digest,
        create_time=create_time,
    )


def _port(port: Port) -> model_pb2.TensorSpec:
    return model_pb2.TensorSpec(name=port.name, datatype=port.datatype, shape=port.shape)


def _layer(layer: Layer) -> model_pb2.Layer:
    return model_pb2.Layer(
        name=layer.name, operation=layer.operation, shape=layer.shape, default=layer.default
    )
