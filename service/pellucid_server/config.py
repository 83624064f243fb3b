"""Settings of the server: one frozen object, read once by `command_line`."""

import math
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    model_validator,
)


def _share(value: str) -> str:
    name, _, share = value.partition("=")
    try:
        if name and 0 < float(share) < math.inf:
            return value
    except ValueError:
        pass
    raise ValueError("must be name=share, with a share above 0")


Weight = Annotated[str, AfterValidator(_share)]
Port = Annotated[int, Field(ge=0, le=65535)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _split(value: object) -> object:
    if value is None:
        return ()
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
Paths = Annotated[tuple[Path, ...], BeforeValidator(_split)]
"""Folders; in flags and variables separated by commas."""


class StartError(Exception):
    """Why the server cannot start: a line for whoever starts it."""


class Section(BaseModel):
    """A frozen group of settings that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Limits(Section):
    """What callers may ask for."""

    message_bytes: Annotated[int, Field(gt=0, le=2**31 - 1)] = 64 * 2**20
    """Largest request, in bytes."""
    image_pixels: PositiveInt = 50_000_000
    """Largest image, in pixels, checked before decoding."""
    inputs: PositiveInt = 64
    """Most inputs in one Predict."""
    concurrent_calls: Annotated[int, Field(gt=0, le=4096)] = 256
    """Calls that run at once; more are refused with RESOURCE_EXHAUSTED."""
    queue_interactive: PositiveInt = 1024
    """Inferences of Predict that wait; more are refused with RESOURCE_EXHAUSTED."""
    queue_explain: PositiveInt = 16384
    """Units of Explain that wait, up to eight masks each; a running Explain waits for room, a
    new one is refused."""
    queue_bulk: PositiveInt = 16384
    """Inferences of evaluations that wait."""


class Datasets(Section):
    """What a data set may cost, and from where it may come beside `data_roots`."""

    remotes: Names = ()
    """Schemes (s3) or beginnings of URIs (s3://bucket/folder) that may be read; none: no
    remote data sets."""
    files: PositiveInt = 5_000_000
    """Most files of a data set."""
    file_bytes: PositiveInt = 4 * 2**30
    """Largest file of an archive, unpacked."""
    total_bytes: PositiveInt = 2**40
    """Most bytes of a data set, unpacked."""
    ratio: PositiveInt = 250
    """How many times its size something may unpack to; not looked at up to 16 MiB."""
    spool_bytes: PositiveInt = 32 * 2**30
    """Largest temporary copy of one archive."""
    spool: Path | None = None
    """Folder of temporary copies; none: the system's."""


class UploadLimits(Section):
    """Data sets that callers send."""

    quota_bytes: PositiveInt = 100 * 2**30
    """Most bytes of all uploads."""
    expiry: Seconds = 7 * 24 * 3600
    """Seconds without use after which an upload is removed."""
    sweep_interval: Seconds = 600
    """Seconds between looks for expired uploads."""


class EvaluationSettings(Section):
    """How evaluations are kept and run."""

    store: str | None = None
    """postgresql://USER@HOST/DATABASE, which replicas share, or sqlite:///FILE; none: SQLite in
    the `state` folder."""
    concurrent: Annotated[int, Field(ge=0, le=64)] = 1
    """Evaluations that run at once on this server; 0: it accepts them, and others run them."""
    lease_seconds: Seconds = 20
    """Seconds after which a server that gives no sign of life is taken for dead: others, or it
    when it is started again, go on with its evaluations."""


class Logging(Section):
    """How the server logs."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged."""
    format: Literal["auto", "json", "console"] = "auto"
    """auto: readable on a terminal, JSON elsewhere."""


class Tls(Section):
    """Certificates; none: no encryption."""

    certificate: Path | None = None
    """PEM chain of the server."""
    key: Path | None = None
    """PEM key of the server."""
    client_ca: Path | None = None
    """PEM bundle; set: clients must present a certificate signed by it."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key are needed together")
        if self.client_ca and not self.certificate:
            raise ValueError("client_ca needs certificate and key")
        return self


class Settings(Section):
    """Where the server listens, what it serves and how it runs models."""

    host: str = "127.0.0.1"
    """Address to listen on; beyond loopback only where the network is trusted."""
    port: Port = 8001
    """gRPC port; 0: any free one, printed at start."""
    metrics_port: Port | None = 8002
    """Prometheus port; 0: any free one; none: no metrics endpoint."""
    model_repository: Path = Path("models")
    """Folder of the models."""
    data_roots: Paths = ()
    """Folders from which URIs may be read; none: URIs are refused."""
    state: Path | None = None
    """Folder of evaluations and uploads; none: a temporary one, which is gone when the server
    ends."""
    poll_interval: Seconds = 1.0
    """Seconds between looks at the repository for changes."""
    devices: Annotated[Names, Field(min_length=1)] = ("CPU",)
    """OpenVINO's names of devices; work goes to whichever is free. `CPU` named several times
    shares the threads."""
    precision: Literal["f32", "bf16", "f16"] = "f32"
    """Precision of inference where a model does not say."""
    streams: PositiveInt | None = None
    """Inferences at once for each model; none: one for each core, at most 8."""
    mask_batch: PositiveInt = 1
    """Masks in one inference: 1 is best on CPUs and keeps predictions fast; GPUs want more."""
    model_cache: Path | None = None
    """Folder in which compiled models are kept between starts; none: nowhere."""
    memory_bytes: PositiveInt | None = None
    """Budget of compiled models, by estimate; the least recently used go first; none: no limit."""
    tenant_weights: Annotated[tuple[Weight, ...], BeforeValidator(_split)] = ()
    """Shares of tenants, as name=share, by the metadata key x-pellucid-tenant; others: 1."""
    explain_share: Share = 0.05
    """Work that Explain gets for each unit of Predict's that passes it; 0: it may starve."""
    bulk_share: Share = 0.05
    """The same for evaluations, of Predict's and Explain's."""
    threads: PositiveInt | None = None
    """Threads for inference; none: all cores."""
    drain_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0
    """How long running calls may go on after SIGTERM."""
    connection_seconds: Seconds | None = None
    """Age at which clients are asked to connect anew, so that new replicas get calls;
    none: never."""
    limits: Limits = Limits()
    datasets: Datasets = Datasets()
    uploads: UploadLimits = UploadLimits()
    evaluations: EvaluationSettings = EvaluationSettings()
    log: Logging = Logging()
    tls: Tls = Tls()
