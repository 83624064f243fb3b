from pathlib import Path

import pytest

from pellucid_server.rpc.access.identity import OWN, Evaluations, Grant, Identity, Proof
from pellucid_server.rpc.access.policy import Policy, read_policy

TEXT = """
default: {methods: ["List*"], models: [nanodet]}
anonymous: {methods: [ListModels]}
tenants:
  team-a:
    methods: [Predict, "pellucid.v1.ModelService/*"]
    models: ["efficientnet-*"]
  platform: {methods: ["*"], models: ["*"], evaluations: all}
"""


def policy(text: str) -> Policy:
    return read_policy([text.encode()], Path("policy.yaml"))


def grant(tenant: str, proof: Proof = Proof.TOKEN) -> Grant:
    return policy(TEXT).grant(Identity(tenant, proof))


def test_a_tenant_may_do_what_its_entry_says() -> None:
    theirs = grant("team-a")
    assert theirs.allows("pellucid.v1.InferenceService/Predict")
    assert theirs.allows("pellucid.v1.ModelService/UnloadModel")
    assert not theirs.allows("pellucid.v1.InferenceService/PredictStream")
    assert not theirs.allows("inference.GRPCInferenceService/ModelInfer")
    assert theirs.sees("efficientnet-lite0")
    assert not theirs.sees("nanodet")
    assert theirs.evaluations is Evaluations.OWN


def test_a_tenant_without_an_entry_gets_the_default() -> None:
    assert grant("somebody").allows("pellucid.v1.ModelService/ListModels")
    assert not grant("somebody").allows("pellucid.v1.InferenceService/Predict")


def test_a_name_that_nobody_proved_counts_for_nothing() -> None:
    assert grant("platform").everything
    assert grant("platform", Proof.NOTHING) == Grant(("ListModels",))


def test_what_a_file_does_not_allow_is_denied() -> None:
    assert policy("").grant(Identity("a", Proof.TOKEN)) == Grant()
    assert policy("").grant(Identity()) == Grant()


def test_without_a_file_everything_is_allowed_but_others_evaluations() -> None:
    assert Policy().grant(Identity("a", Proof.TOKEN)) == OWN


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tenants: {a: {methods: [Predikt]}}", r"tenants\.a\.methods: 'Predikt' covers no method"),
        ("default: {methods: [Predikt]}", r"default\.methods: 'Predikt' .*Did you mean 'Predict'"),
        ("tenants: {a: {method: [Predict]}}", r"tenants\.a\.method is not known"),
        ("tenants: {a: {evaluations: some}}", r"tenants\.a\.evaluations: .*'own' or 'all'"),
        ("tenants: {a: {methods: Predict}}", r"tenants\.a\.methods"),
        ("tenants: [", "is not YAML"),
    ],
)
def test_a_slip_in_a_file_is_told(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        policy(text)
