"""No call of any service is left out: they are found by reflection, as tools find them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
import structlog
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from structlog.testing import capture_logs

from pellucid.v1 import evaluation_pb2, explanation_pb2, inference_pb2, model_pb2
from pellucid_server.config import Settings
from pellucid_server.engine.evaluation.request import EvaluationRequest
from pellucid_server.engine.explanation import MethodInfo
from pellucid_server.evaluate.store import Evaluation, Page
from pellucid_server.evaluate.store.evaluations import no_evaluation
from pellucid_server.rpc.access.authorise import HIDE
from pellucid_server.rpc.access.contract import FILES, every_method
from pellucid_server.rpc.access.subjects import OPTIONAL, fields_of
from pellucid_server.rpc.access.tokens import digest_of
from pellucid_server.rpc.server import RpcServer, build_server
from pellucid_server.telemetry.metrics import Metrics

from .conftest import SETTINGS, FakeEngine

METHODS = [
    method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
OPEN = {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
TENANTS = ("all", "dogs", "pets", "reader")
POLICY = """
anonymous: {methods: [ListModels]}
tenants:
  all: {methods: ["*"], models: ["*"], evaluations: all}
  dogs: {methods: ["*"], models: ["dog*"]}
  pets: {methods: ["*"], models: ["pet*"]}
  reader: {methods: ["Get*"], models: ["*"]}
"""
NAMES_NO_MODEL = {
    "ListModels",
    "FindUploadedFiles",
    "UploadDataset",
    "ServerLive",
    "ServerReady",
    "ServerMetadata",
}
"""Their answers show what the caller may see; uploads are nobody's, and found by their content."""
STORED = {
    name: Evaluation(
        request=EvaluationRequest(model, "photos").to_json(),
        model_name=model,
        model_version="3",
        task="classification",
        tenant=tenant,
        name=name,
    )
    for name, model, tenant in (
        ("evaluations/ours", "pets", "pets"),
        ("evaluations/theirs", "pets", "all"),
        ("evaluations/dogs", "dogs", "pets"),
    )
}


def token(tenant: str) -> str:
    return f"token-of-{tenant}"


def stored(name: str) -> Evaluation:
    if name not in STORED:
        raise no_evaluation(name)
    return STORED[name]


def listed(**wanted: Any) -> Page[Evaluation]:
    found = [each for each in STORED.values() if wanted["tenant"] in {None, each.tenant}]
    return Page(tuple(found), "")


@dataclass
class Guarded:
    """A server with tokens and a policy."""

    server: RpcServer
    channel: grpc.Channel
    metrics: Metrics
    logs: list[Any] = field(default_factory=list)

    def call(
        self, method: MethodDescriptor, request: Message, *metadata: tuple[str, str]
    ) -> tuple[grpc.StatusCode, str, list[Any]]:
        """One request, whatever the method's kind: how the call ended, and its answers."""
        streams = method.client_streaming, method.server_streaming
        kind = "_".join("stream" if each else "unary" for each in streams)
        channel: Any = self.channel
        start = getattr(channel, kind)(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        argument = iter([request]) if method.client_streaming else request
        try:
            answer = start(argument, metadata=metadata, timeout=30)
            answers = list(answer) if method.server_streaming else [answer]
        except grpc.RpcError as error:
            return error.code(), error.details() or "", []
        return grpc.StatusCode.OK, "", answers

    def by(self, tenant: str, method: str, request: Message) -> tuple[grpc.StatusCode, str, Any]:
        """As one of the tenants."""
        (found,) = (each for each in METHODS if each.name == method)
        code, details, answers = self.call(
            found, request, ("authorization", f"Bearer {token(tenant)}")
        )
        return code, details, answers[0] if answers else None


def tokens_of(*tenants: str) -> str:
    entries = [f"{{tenant: {each}, sha256: {digest_of(token(each)).hex()}}}" for each in tenants]
    return f"tokens: [{', '.join(entries)}]"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "tokens.yaml").write_text(tokens_of(*TENANTS))
    (folder / "policy.yaml").write_text(POLICY)
    auth = {"tokens": folder / "tokens.yaml", "policy": folder / "policy.yaml"}
    with running(auth) as guarded:
        yield guarded


@contextmanager
def running(auth: dict[str, Any]) -> Iterator[Guarded]:
    """A server with these settings of `auth`."""
    structlog.reset_defaults()
    fake, metrics = FakeEngine(), Metrics()
    fake.evaluations = SimpleNamespace(store=SimpleNamespace(get=stored, evaluations=listed))
    fake.methods = (MethodInfo("rise", "", "", (), (), ("pets", "dogs")),)
    settings = Settings.model_validate({**SETTINGS.model_dump(), "auth": auth})
    with capture_logs() as logs:
        server = build_server(fake.engine(), settings, metrics)
        server.start()
        server.health.start()
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield Guarded(server, channel, metrics, logs)
        server.stop(0)


def named(kind: Descriptor, model: str, evaluation: str) -> Any:
    """A request about a model or an evaluation, wherever it names one."""
    request: Any = GetMessageClass(kind)()
    models, evaluations = fields_of(kind)
    for name in models:
        setattr(request, name, model)
    for name in evaluations:
        setattr(request, name, evaluation)
    if kind.full_name == "pellucid.v1.PredictStreamRequest":
        request.request.model_name = model
    return request


def test_reflection_shows_no_call_that_these_tests_do_not_know(guarded: Guarded) -> None:
    """Health and reflection are open, and the only other services."""
    database = ProtoReflectionDescriptorDatabase(guarded.channel)
    pool = DescriptorPool(database)
    services = set(database.get_services()) - OPEN
    found = {
        f"{name}/{method.name}"
        for name in services
        for method in pool.FindServiceByName(name).methods
    }
    assert found == set(every_method())


def calls(*, silent: bool = True) -> pytest.MarkDecorator:
    """Every call, or those that name a model or an evaluation."""
    found = [each for each in METHODS if silent or each.name not in NAMES_NO_MODEL]
    return pytest.mark.parametrize("method", found, ids=lambda method: method.full_name)


class TestEveryCall:
    @calls()
    def test_it_refuses_whoever_has_no_token(
        self, guarded: Guarded, method: MethodDescriptor
    ) -> None:
        code, details, _ = guarded.call(method, GetMessageClass(method.input_type)())
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert "authorization: Bearer TOKEN" in details

    @calls()
    def test_it_refuses_whoever_has_a_wrong_one(
        self, guarded: Guarded, method: MethodDescriptor
    ) -> None:
        code, details, _ = guarded.call(
            method, GetMessageClass(method.input_type)(), ("authorization", "Bearer wrong")
        )
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert "wrong" not in details

    @calls()
    def test_it_refuses_a_tenant_that_may_not_call_it(
        self, guarded: Guarded, method: MethodDescriptor
    ) -> None:
        code, details, _ = guarded.by("reader", method.name, GetMessageClass(method.input_type)())
        if method.name.startswith("Get"):
            assert code is not grpc.StatusCode.PERMISSION_DENIED
        else:
            assert code is grpc.StatusCode.PERMISSION_DENIED
            assert details.startswith(f"the tenant 'reader' may not call {method.name}:")

    @calls(silent=False)
    def test_it_refuses_a_model_that_the_tenant_may_not_use(
        self, guarded: Guarded, method: MethodDescriptor
    ) -> None:
        """In the same words whether there is one or not."""
        there = named(method.input_type, "pets", "evaluations/ours")
        nowhere = named(method.input_type, "pest", "evaluations/gone")
        refusals = [_refusal(*guarded.by("dogs", method.name, each)) for each in (there, nowhere)]
        assert refusals[0] == refusals[1]
        assert refusals[0][0] in {
            grpc.StatusCode.PERMISSION_DENIED.value[0],
            grpc.StatusCode.NOT_FOUND.value[0],
        }


def _refusal(code: grpc.StatusCode, details: str, answer: Any) -> tuple[int, str]:
    """How a call, or a request of a stream, was refused, without the name that it gave."""
    number, message = code.value[0], details
    if isinstance(answer, inference_pb2.PredictStreamResponse):
        number, message = answer.error.code, answer.error.message
    for name in ("pets", "pest", "ours", "gone"):
        message = message.replace(name, "NAME")
    return number, message


def test_the_calls_that_name_no_model_are_known() -> None:
    """A new one is added here only when it is seen what its answers tell."""
    silent = {
        method.name
        for method in METHODS
        if not any(fields_of(method.input_type))
        and method.input_type.full_name != "pellucid.v1.PredictStreamRequest"
    }
    assert silent == NAMES_NO_MODEL
    assert set(OPTIONAL) <= {method.input_type.full_name for method in METHODS}


def test_every_answer_that_lists_models_is_looked_through() -> None:
    """Those to requests that need not name one, with messages of ours in them."""
    listing = {
        method.output_type.full_name
        for method in METHODS
        if method.name in NAMES_NO_MODEL or method.input_type.full_name in OPTIONAL
        if any(
            each.message_type and each.message_type.file.package == "pellucid.v1"
            for each in method.output_type.fields
        )
    }
    assert {kind.DESCRIPTOR.full_name for kind in HIDE} == listing  # type: ignore[attr-defined]


def test_lists_show_what_the_caller_may_see(guarded: Guarded) -> None:
    models, methods = model_pb2.ListModelsRequest(), explanation_pb2.ListMethodsRequest()
    evaluations = evaluation_pb2.ListEvaluationsRequest()
    seen = {
        tenant: (
            [each.name for each in guarded.by(tenant, "ListModels", models)[2].models],
            list(guarded.by(tenant, "ListMethods", methods)[2].methods[0].model_names),
            [
                each.name.partition("/")[2]
                for each in guarded.by(tenant, "ListEvaluations", evaluations)[2].evaluations
            ],
        )
        for tenant in ("all", "pets", "dogs")
    }
    assert seen == {
        "all": (["pets"], ["pets", "dogs"], ["ours", "theirs", "dogs"]),
        "pets": (["pets"], ["pets"], ["ours"]),
        "dogs": ([], ["dogs"], []),
    }


@pytest.mark.parametrize(
    ("tenant", "name", "code"),
    [
        ("pets", "ours", grpc.StatusCode.OK),
        ("all", "theirs", grpc.StatusCode.OK),
        ("pets", "theirs", grpc.StatusCode.NOT_FOUND),
        ("pets", "dogs", grpc.StatusCode.NOT_FOUND),
        ("reader", "ours", grpc.StatusCode.NOT_FOUND),
    ],
)
def test_an_evaluation_is_its_tenants(
    guarded: Guarded, tenant: str, name: str, code: grpc.StatusCode
) -> None:
    request = evaluation_pb2.GetEvaluationRequest(evaluation=f"evaluations/{name}")
    found, details, _ = guarded.by(tenant, "GetEvaluation", request)
    assert found is code
    if code is grpc.StatusCode.NOT_FOUND:
        assert details == no_evaluation(f"evaluations/{name}").message


def test_an_alias_leads_where_its_model_may_be_used(guarded: Guarded) -> None:
    request = model_pb2.GetModelRequest(model_name="pet")
    assert guarded.by("pets", "GetModel", request)[0] is grpc.StatusCode.OK
    assert guarded.by("dogs", "GetModel", request)[0] is grpc.StatusCode.PERMISSION_DENIED


def test_what_is_not_there_is_told_without_the_names_of_hidden_models(guarded: Guarded) -> None:
    request = model_pb2.GetModelRequest(model_name="dogs-of-mine")
    code, details, _ = guarded.by("dogs", "GetModel", request)
    assert code is grpc.StatusCode.NOT_FOUND
    assert "pets" not in details
    assert "pets" in guarded.by("all", "GetModel", request)[1]


def test_a_request_of_a_stream_is_refused_and_the_stream_goes_on(guarded: Guarded) -> None:
    stub: Any = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"]
    method = stub.methods_by_name["PredictStream"]
    channel: Any = guarded.channel
    requests = [
        inference_pb2.PredictStreamRequest(
            id=name, request=inference_pb2.PredictRequest(model_name=name)
        )
        for name in ("dogs", "pets", "dogs-too")
    ]
    answers = channel.stream_stream(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=inference_pb2.PredictStreamRequest.SerializeToString,
        response_deserializer=inference_pb2.PredictStreamResponse.FromString,
    )(iter(requests), metadata=[("authorization", f"Bearer {token('pets')}")], timeout=30)
    codes = {answer.id: answer.error.code for answer in answers}
    denied = grpc.StatusCode.PERMISSION_DENIED.value[0]
    assert codes == {"dogs": denied, "pets": 0, "dogs-too": denied}


def test_the_message_of_a_stranger_is_not_read(guarded: Guarded) -> None:
    """It is no message at all; whoever is known is told so."""
    channel: Any = guarded.channel
    predict = channel.unary_unary("/pellucid.v1.InferenceService/Predict")
    for metadata, code in (
        ([], grpc.StatusCode.UNAUTHENTICATED),
        ([("authorization", f"Bearer {token('all')}")], grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            predict(b"\xff" * 1000, metadata=metadata, timeout=30)
        assert caught.value.code() is code


def test_health_is_open(guarded: Guarded) -> None:
    stub = health_pb2_grpc.HealthStub(guarded.channel)
    assert stub.Check(health_pb2.HealthCheckRequest()).status == 1


def test_refusals_are_counted_and_logged_without_the_token(guarded: Guarded) -> None:
    (method,) = (each for each in METHODS if each.name == "GetModel")
    secret = ("authorization", "Bearer a-token-that-nobody-has")
    guarded.call(method, model_pb2.GetModelRequest(), secret)
    request = model_pb2.GetModelRequest(model_name="pets")
    guarded.by("dogs", "GetModel", request)
    guarded.by("pets", "GetModel", request)
    value = guarded.metrics.registry.get_sample_value
    for reason in ("unauthenticated", "permission_denied"):
        labels = {"method": "pellucid.v1.ModelService/GetModel", "reason": reason}
        assert (value("pellucid_refusals_total", labels) or 0) >= 1
    assert "a-token-that-nobody-has" not in str(guarded.logs)
    assert token("pets") not in str(guarded.logs)
    assert [entry["tenant"] for entry in guarded.logs if entry["event"] == "call"][-2:] == [
        "dogs",
        "pets",
    ]


def test_anonymous_callers_may_do_what_the_policy_says(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(tokens_of("all"))
    (tmp_path / "policy").write_text(POLICY)
    auth = {"tokens": tmp_path / "tokens", "policy": tmp_path / "policy", "anonymous": True}
    with running(auth) as lenient:
        codes = {
            method.name: lenient.call(method, GetMessageClass(method.input_type)())[0]
            for method in METHODS
            if method.name in {"ListModels", "GetModel"}
        }
    assert codes == {
        "ListModels": grpc.StatusCode.OK,
        "GetModel": grpc.StatusCode.PERMISSION_DENIED,
    }


def test_reflection_can_be_switched_off() -> None:
    with running({"reflection": False}) as silent:
        database = ProtoReflectionDescriptorDatabase(silent.channel)
        with pytest.raises(grpc.RpcError) as caught:
            database.get_services()
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_token_that_is_taken_out_of_the_file_is_good_no_more(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(tokens_of("pets", "dogs"))
    request = model_pb2.ListModelsRequest()
    with running({"tokens": file}) as guarded:
        assert guarded.by("pets", "ListModels", request)[0] is grpc.StatusCode.OK
        file.write_text(tokens_of("dogs"))
        deadline = time.monotonic() + 60
        while guarded.by("pets", "ListModels", request)[0] is grpc.StatusCode.OK:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert guarded.by("pets", "ListModels", request)[0] is grpc.StatusCode.UNAUTHENTICATED
        assert guarded.by("dogs", "ListModels", request)[0] is grpc.StatusCode.OK
