"""Settings of the server: one frozen object, read once."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

Port = Annotated[int, Field(ge=0, le=65535)]


class Section(BaseModel):
    """A frozen group of settings that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(Section):
    """What one caller may ask for."""

    message_bytes: PositiveInt = 64 * 2**20
    """Largest request, in bytes."""
    image_pixels: PositiveInt = 50_000_000
    """Largest image, in pixels, checked before decoding."""
    inputs: PositiveInt = 64
    """Most inputs in one Predict."""
    concurrent_calls: PositiveInt = 256
    """Calls that run or wait at once; more are refused with RESOURCE_EXHAUSTED."""


class Logging(Section):
    """How the server logs."""

    level: Literal["debug", "info", "warning", "error"] = "info"
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


class Settings(Section):
    """Every setting of the server."""

    host: str = "127.0.0.1"
    """Address to listen on; beyond loopback only where the network is trusted."""
    port: Port = 8001
    """gRPC port; 0: any free one, printed at start."""
    metrics_port: Port | None = 8002
    """Prometheus port; 0: any free one; none: no metrics endpoint."""
    model_repository: Path = Path("models")
    """Folder of the models."""
    data_roots: tuple[Path, ...] = ()
    """Folders from which URIs may be read; none: URIs are refused."""
    poll_interval: PositiveFloat = 1.0
    """Seconds between looks at the repository for changes."""
    device: str = "CPU"
    """OpenVINO's name of the device."""
    precision: Literal["f32", "bf16", "f16"] = "f32"
    """Precision of inference where a model does not say."""
    streams: PositiveInt | None = None
    """Inferences at once for each model; none: one for each core, at most 8."""
    threads: PositiveInt | None = None
    """Threads for inference; none: all cores."""
    drain_seconds: PositiveFloat = 30.0
    """How long running calls may go on after SIGTERM."""
    limits: Limits = Limits()
    log: Logging = Logging()
    tls: Tls = Tls()
