"""What the chart refuses, and how it says why."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.deploy.conftest import Helm

TLS = ("tls.enabled=true", "tls.existingSecret=certificate")
SHARED = ("postgresql.existingSecret=database", "state.persistence.enabled=true")

TOGETHER = {
    "replicas-without-a-store": (
        ("replicaCount=3",),
        (
            "3 replicas must share evaluations and uploads: set postgresql.existingSecret, and "
            "state.persistence.enabled with accessModes [ReadWriteMany]; or, where nobody "
            "evaluates, state.perReplica=true"
        ),
    ),
    "replicas-on-a-claim-for-one": (
        ("replicaCount=2", *SHARED),
        "2 replicas must share evaluations and uploads",
    ),
    "scaled-replicas-without-a-store": (
        ("autoscaling.kind=hpa", "autoscaling.maxReplicas=7"),
        "7 replicas must share evaluations and uploads",
    ),
    "state-kept-twice": (
        ("state.perReplica=true", "state.persistence.enabled=true"),
        (
            "state.perReplica keeps the state in each pod, state.persistence in one claim: switch "
            "one of them off"
        ),
    ),
    "killed-while-draining": (
        ("terminationGracePeriodSeconds=60",),
        (
            "terminationGracePeriodSeconds=60 would kill calls: it must be at least "
            "preStopSeconds + settings.drain_delay_seconds + settings.drain_seconds + 5 = 70, or "
            "none"
        ),
    ),
    "connections-older-than-the-drain": (
        ("settings.connection_seconds=60",),
        (
            "settings.connection_seconds=60 must be below settings.drain_seconds=60, so that "
            "clients move before a server goes"
        ),
    ),
    "a-setting-of-the-chart": (
        ("settings.port=9000",),
        "settings.port is the chart's: service.port is what clients see",
    ),
    "a-certificate-among-settings": (
        ("settings.tls.key=/key", "settings.tls.certificate=/certificate"),
        "settings.tls is the chart's: set tls.enabled",
    ),
    "tokens-among-settings": (
        ("settings.auth.tokens=/tokens.yaml",),
        "settings.auth.tokens is the chart's: set auth.tokens.existingSecret",
    ),
    "a-secret-among-settings": (
        ("settings.evaluations.store=postgresql://me:secret@host/db",),
        (
            "settings.evaluations.store would stand in a ConfigMap: put the URL into a Secret and "
            "name it in postgresql.existingSecret"
        ),
    ),
    "no-claim": (
        ("models.source=persistentVolumeClaim",),
        "models.source=persistentVolumeClaim needs models.persistentVolumeClaim.claimName",
    ),
    "no-image-of-models": (
        ("models.source=initContainer",),
        "models.source=initContainer needs models.initContainer.image",
    ),
    "no-certificate": (
        ("tls.enabled=true",),
        (
            "tls.enabled needs a certificate: set tls.existingSecret, or tls.certManager.enabled "
            "with an issuerRef"
        ),
    ),
    "two-certificates": (
        (*TLS, "tls.certManager.enabled=true", "tls.certManager.issuerRef.name=me"),
        "tls.existingSecret and tls.certManager.enabled exclude each other",
    ),
    "no-issuer": (
        ("tls.enabled=true", "tls.certManager.enabled=true"),
        "tls.certManager.enabled needs tls.certManager.issuerRef.name",
    ),
    "certificates-for-nothing": (
        ("tls.existingSecret=certificate",),
        "certificates are named, but nothing is encrypted: set tls.enabled=true",
    ),
    "a-test-without-a-certificate": (
        (*TLS, "tls.clientCA.existingSecret=clients"),
        (
            "tls.clientCA asks every client for a certificate, helm test too: set "
            "test.clientCertificateSecret, or test.enabled=false"
        ),
    ),
    "a-test-without-a-token": (
        (*TLS, "auth.tokens.existingSecret=tokens"),
        (
            "every call needs a token, helm test too: set test.token.existingSecret, or "
            "test.enabled=false"
        ),
    ),
    "a-token-in-the-open": (
        ("test.token.existingSecret=token",),
        "test.token is sent over TLS only: set tls.enabled=true, or test.enabled=false",
    ),
    "fewest-above-most": (
        ("autoscaling.kind=hpa", "autoscaling.minReplicas=11", "state.perReplica=true"),
        "autoscaling.minReplicas=11 is above autoscaling.maxReplicas=10",
    ),
    "share-of-nothing": (
        ("autoscaling.kind=hpa", "state.perReplica=true", "resources.requests=null"),
        "autoscaling.kind=hpa measures CPU against what was asked for: set resources.requests.cpu",
    ),
    "no-prometheus": (
        ("autoscaling.kind=keda", "state.perReplica=true"),
        "autoscaling.kind=keda needs Prometheus: set autoscaling.keda.serverAddress",
    ),
}
"""Values that do not fit together: the chart's own sentences."""

ALONE = {
    "unknown-value": ("replicas=3", "replicas"),
    "unknown-value-below": ("state.persistence.claim=a", "claim"),
    "unknown-setting": ("settings.prot=8001", "prot"),
    "unknown-limit": ("settings.limits.input=3", "input"),
    "a-setting-of-another-kind": ("settings.threads=many", "settings.threads"),
    "a-setting-out-of-range": ("settings.evaluations.concurrent=65", "64"),
    "no-replica": ("replicaCount=0", "replicaCount"),
    "a-size-without-a-unit": ("state.sizeLimit=20", "state.sizeLimit"),
    "a-size-in-other-units": ("state.sizeLimit=20GB", "[KMGT]i"),
    "another-source": ("models.source=s3", "imageVolume"),
    "another-scaler": ("autoscaling.kind=vpa", "keda"),
    "another-mode": ("state.persistence.accessModes={ReadOnlyMany}", "ReadWriteMany"),
    "a-relative-folder": ("models.path=models", "models.path"),
    "a-port-too-high": ("service.port=70000", "service.port"),
    "a-model-that-is-a-command": ("test.model=$(id)", "test.model"),
    "a-digest-that-is-none": ("image.digest=sha256:abc", "image.digest"),
    "a-policy-with-a-slip": ("auth.policy.default.model={a}", "model"),
}
"""Values that are wrong in themselves: the schema, in Helm's words, names the place."""


@pytest.mark.parametrize(("values", "reason"), TOGETHER.values(), ids=TOGETHER)
def test_values_that_do_not_fit_together(
    helm: "Helm", values: tuple[str, ...], reason: str
) -> None:
    assert f"- {reason}" in helm.refuse("--set", ",".join(values))


@pytest.mark.parametrize(("value", "place"), ALONE.values(), ids=ALONE)
def test_values_that_are_wrong_in_themselves(helm: "Helm", value: str, place: str) -> None:
    reason = helm.refuse("--set", value).replace("/", ".")
    assert "values don't meet the specifications of the schema" in reason
    assert place in reason


def test_all_problems_are_told_at_once(helm: "Helm") -> None:
    reason = helm.refuse("--set", "tls.enabled=true,replicaCount=2,settings.state=/state")
    assert reason.count("\n- ") == 3


def test_an_old_kubernetes_has_no_volumes_of_images(helm: "Helm") -> None:
    values = "models.source=imageVolume,models.imageVolume.reference=zoo:1"
    reason = helm.refuse("--kube-version", "1.32.0", "--set", values)
    assert "models.source=imageVolume needs Kubernetes 1.33, this is v1.32.0" in reason


def test_a_wait_that_is_never_reached_scales_nothing(helm: "Helm") -> None:
    scaled = "state.perReplica=true,autoscaling.kind=keda,autoscaling.keda.serverAddress=http://p"
    limit = ("--set-json", "settings.limits.wait_seconds=0.2")  # --set knows no fractions
    assert (
        "- autoscaling.keda.threshold=0.3 is never passed: calls are refused at "
        "settings.limits.wait_seconds=0.2"
    ) in helm.refuse("--set", scaled, *limit)
