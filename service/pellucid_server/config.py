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

from pellucid_server.network import is_safe_url


def _share(value: str) -> str:
    return _named(value, "share")


def _rate(value: str) -> str:
    return _named(value, "rate")


def _named(value: str, what: str) -> str:
    name, _, number = value.partition("=")
    try:
        if name and 0 < float(number) < math.inf:
            return value
    except ValueError:
        pass
    raise ValueError(f"must be name={what}, with a {what} above 0")


Weight = Annotated[str, AfterValidator(_share)]
NamedRate = Annotated[str, AfterValidator(_rate)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
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
    concurrent_streams: Annotated[int, Field(gt=0, le=4096)] = 128
    """Streams (PredictStream, Explain, evaluations, uploads) among those calls."""
    wait_seconds: Seconds | None = 0.5
    """Longest wait of a Predict for its turn, by estimate: one that would wait longer is refused
    with RESOURCE_EXHAUSTED before its image is decoded, one of a stream waits; none: no limit."""
    tenant_calls: PositiveInt | None = None
    """Calls of one tenant that run at once; none: no limit."""
    tenant_rate: Rate | None = None
    """Calls of one tenant in a second; each request of a PredictStream is one; none: no limit."""
    tenant_burst: PositiveInt | None = None
    """Calls that a tenant may make at once after a pause; none: those of one second."""
    tenant_rates: Annotated[tuple[NamedRate, ...], BeforeValidator(_split)] = ()
    """Rates of single tenants, as name=calls in a second."""
    queue_interactive: PositiveInt = 1024
    """Inferences of Predict that wait; more are refused with RESOURCE_EXHAUSTED."""
    queue_explain: PositiveInt = 16384
    """Units of Explain that wait, up to eight inferences each; a running Explain waits for room, a
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
    crashes: PositiveInt = 3
    """Times that the server may crash at the same image of an evaluation before that is given up;
    of other deaths, whose reason nobody knows, eight times as many."""


class Faults(Section):
    """What is done about models that hang or crash; see reliability.md."""

    stall_seconds: Seconds = 60
    """Seconds for which an inference is waited for, or 50 times what its kind took lately if that
    is longer; then its call fails."""
    compile_seconds: Seconds = 600
    """Seconds for which the compilation of a model is waited for; then the model is refused."""
    stalls: PositiveInt = 2
    """Inferences of a model version that may be given up before it is refused."""
    screen: bool = True
    """Whether a model that is added while the server runs is read and compiled in a process of
    its own first, so that files which crash take only that."""


class Connections(Section):
    """How long the server waits for its clients; see reliability.md."""

    ping_seconds: Seconds = 60
    """Seconds of silence after which a client is asked whether it is there."""
    ping_timeout_seconds: Seconds = 20
    """Seconds that it has to answer, and to greet at first; then its connection is closed and its
    work cancelled."""
    stall_seconds: Seconds = 120
    """Seconds that a call waits for its client: for a message that has begun or the next one of
    a stream, or until an answer is taken; then it is cancelled."""
    idle_seconds: Seconds | None = None
    """Seconds without calls after which a connection is closed; clients connect anew when they
    need to; none: never."""


class Logging(Section):
    """How the server logs."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged."""
    format: Literal["auto", "json", "console"] = "auto"
    """auto: readable on a terminal, JSON elsewhere."""


class Tracing(Section):
    """Traces of calls, by OpenTelemetry; needs the extra `tracing`."""

    enabled: bool = False
    """Whether calls are traced, and spans sent by OTLP over gRPC; OTEL_ variables say the rest."""
    endpoint: Annotated[str, Field(pattern=r"^https?://")] | None = None
    """http://COLLECTOR:4317, or https://; none: OTEL_EXPORTER_OTLP_ENDPOINT, or this machine."""
    sample: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the calls that are traced where the caller does not say; none:
    OTEL_TRACES_SAMPLER, or all."""


class Tls(Section):
    """Certificates; none: no encryption. Changed files are used for new connections."""

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


SIGNATURES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Algorithms whose keys may be known to all; those of shared secrets are not among them."""


def _signature(value: str) -> str:
    if value not in SIGNATURES:
        raise ValueError(f"must be among {', '.join(SIGNATURES)}")
    return value


def _url(value: str) -> str:
    if not is_safe_url(value):
        raise ValueError("must be a URL with https, or http on this machine")
    return value


SafeUrl = Annotated[str, AfterValidator(_url)]
Signature = Annotated[str, AfterValidator(_signature)]


class Oidc(Section):
    """An identity provider, whose tokens (JWT) are taken; needs the extra `oidc`."""

    issuer: SafeUrl | None = None
    """Its URL, as tokens have it in `iss`; none: no provider."""
    audience: Names = ()
    """What tokens must be meant for: one of these in `aud`; needed with `issuer`."""
    jwks: SafeUrl | None = None
    """URL of its keys; none: the one that it publishes."""
    algorithms: Annotated[tuple[Signature, ...], BeforeValidator(_split), Field(min_length=1)] = (
        "RS256",
        "ES256",
    )
    """Signatures that are taken; none and those of shared secrets (HS256) never are."""
    tenant_claim: Annotated[str, Field(min_length=1)] = "sub"
    """The claim that names the tenant."""
    leeway_seconds: Annotated[float, Field(ge=0, le=600)] = 30.0
    """How far its clock may be off ours."""
    cache_seconds: Seconds = 300.0
    """How long its keys are good before they are fetched again."""
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How long it may take to answer."""
    ca: Path | None = None
    """PEM bundle of the authorities to trust for it; none: the system's."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.issuer and not self.audience:
            raise ValueError("audience is needed with issuer: tokens for others would be taken")
        if self.jwks and not self.issuer:
            raise ValueError("issuer is needed with jwks")
        return self


class Auth(Section):
    """Who may call, and what they may do; see security.md."""

    tokens: Path | None = None
    """YAML file of tenants and the hashes of their tokens; none: no tokens of our own."""
    policy: Path | None = None
    """YAML file of methods and models by tenant; none: whoever is let in may do everything, but
    sees no evaluations of others."""
    anonymous: bool = False
    """Whether calls without a token are let in where tokens or a provider are set; without these
    and client certificates, everybody is."""
    certificate_tenant: Literal["common_name", "dns", "uri"] = "common_name"
    """What of a client's certificate names its tenant, where `tls.client_ca` is set and neither
    tokens nor a provider are: its common name, or the first of its alternative names of a kind."""
    reflection: bool = True
    """Whether reflection is served, to everybody: it tells the contract and nothing else. Health
    is open always."""
    oidc: Oidc = Oidc()

    @property
    def by_token(self) -> bool:
        """Whether callers are known by tokens."""
        return bool(self.tokens or self.oidc.issuer)


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
    """Folder of evaluations, uploads and what is known of crashes; none: a temporary one, which
    is gone when the server ends."""
    poll_interval: Seconds = 1.0
    """Seconds between looks at the repository for changes."""
    devices: Annotated[Names, Field(min_length=1)] = ("CPU",)
    """OpenVINO's names of devices; work goes to whichever is free. `CPU` named several times
    shares the threads."""
    precision: Literal["f32", "bf16", "f16"] = "f32"
    """Precision of inference where a model does not say."""
    streams: PositiveInt | None = None
    """Inferences at once for each model; none: one for each core, at most 8."""
    mask_batch: PositiveInt | None = None
    """Masks in one inference; none: 2 in f32 and 4 in bf16 for light models that take as many,
    where a Predict does not wait for them (see scheduling.md), else 1. GPUs want more. Another
    number rounds otherwise, by less than 1e-6."""
    predict_batch: PositiveInt = 1
    """Predictions of a model that may share one inference where more wait than run at once; none
    waits for company. Meant for GPUs: on CPUs it gains little (see scheduling.md). Together they
    round otherwise, by less than 1e-6."""
    model_cache: Path | None = None
    """Folder in which compiled models are kept between starts; none: nowhere."""
    memory_bytes: PositiveInt | None = None
    """Budget of compiled models, by estimate; the least recently used go first; none: no limit."""
    tenant_weights: Annotated[tuple[Weight, ...], BeforeValidator(_split)] = ()
    """Shares of tenants, as name=share; others: 1. Tenants are those of `auth`, or, without it,
    of the metadata key x-pellucid-tenant."""
    explain_share: Share = 0.05
    """Work that Explain gets for each unit of Predict's that passes it; 0: it may starve. Between
    lanes of a CPU (see scheduling.md) the larger of this and `bulk_share` is a nice value."""
    bulk_share: Share = 0.05
    """The same for evaluations, of Predict's and Explain's."""
    threads: PositiveInt | None = None
    """Threads for inference; none: all cores."""
    drain_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0
    """How long running calls may go on after SIGTERM."""
    drain_delay_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """How long after SIGTERM new calls are still taken, while probes already say that the server
    goes away: for load balancers that look at these; in Kubernetes, preStop does it."""
    connection_seconds: Seconds | None = None
    """Age at which clients are asked to connect anew, so that new replicas get calls;
    none: never."""
    limits: Limits = Limits()
    datasets: Datasets = Datasets()
    uploads: UploadLimits = UploadLimits()
    evaluations: EvaluationSettings = EvaluationSettings()
    connections: Connections = Connections()
    faults: Faults = Faults()
    log: Logging = Logging()
    tracing: Tracing = Tracing()
    tls: Tls = Tls()
    auth: Auth = Auth()
