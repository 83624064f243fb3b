"""The objects that the chart renders, for every file of values and both Helms."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest

if TYPE_CHECKING:
    from tests.deploy.conftest import Helm, Manifest, Rendered

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "pellucid"
RESOURCES = {"Certificate", "PrometheusRule", "ScaledObject", "ServiceMonitor"}
"""Kinds that Kubernetes does not bring."""
BUDGET, POLICY = "PodDisruptionBudget", "NetworkPolicy"


def matches(selector: Mapping[str, str], labelled: "Manifest") -> bool:
    labels: Mapping[str, str] = labelled["metadata"]["labels"]
    return selector.items() <= labels.items()


def test_lint_finds_nothing(helm: "Helm", case: Path) -> None:
    done = helm.run("lint", "--strict", CHART, "--kube-version", "1.34.0", "--values", case)
    assert done.returncode == 0, done.stdout + done.stderr


def test_helm_3_and_helm_4_render_the_same(helm: "Helm", rendered: "Rendered", case: Path) -> None:
    other = type(helm)(helm.program.with_name("helm-3")).render("--values", case)
    assert sorted(map(str, rendered.manifests)) == sorted(map(str, other.manifests))


def test_every_object_is_as_kubernetes_wants_it(rendered: "Rendered") -> None:
    for manifest in rendered.manifests:
        if manifest["kind"] not in RESOURCES:
            kubernetes_validate.validate(manifest, "1.34", strict=True)
        assert manifest["metadata"]["namespace"] == "vision"
        assert len(manifest["metadata"]["name"]) <= 63


def test_no_name_stands_twice(rendered: "Rendered") -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in rendered.manifests]
    assert len(names) == len(set(names))


def test_pods_can_do_no_harm(rendered: "Rendered") -> None:
    """Not root, nothing to write on, no capability, no token of Kubernetes."""
    for pod in rendered.pods():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*spec["containers"], *spec.get("initContainers", [])):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_mounts_have_volumes_and_what_kubernetes_updates_is_a_folder(rendered: "Rendered") -> None:
    """A subPath of a Secret would keep the certificate of the first day."""
    for pod in rendered.pods():
        spec = pod["spec"]
        volumes = {each["name"]: each for each in spec["volumes"]}
        assert len(volumes) == len(spec["volumes"])
        for container in (*spec["containers"], *spec.get("initContainers", [])):
            for mount in container["volumeMounts"]:
                volume = volumes[mount["name"]]
                if volume.keys() & {"secret", "configMap"}:
                    assert mount["readOnly"] is True
                    assert "subPath" not in mount


def test_secrets_are_named_and_never_copied(rendered: "Rendered") -> None:
    assert not rendered.all("Secret")
    assert "store" not in rendered.settings.get("evaluations", {})
    for pod in rendered.pods():
        for variable in pod["spec"]["containers"][0]["env"]:
            if variable["name"] in {"PELLUCID_EVALUATIONS__STORE", "PELLUCID_TOKEN"}:
                assert variable.keys() == {"name", "valueFrom"}
                assert variable["valueFrom"].keys() == {"secretKeyRef"}


def test_probes_speak_grpc_but_where_they_would_need_certificates(rendered: "Rendered") -> None:
    encrypted = "tls" in rendered.settings
    ready = {"httpGet": {"path": "/readyz", "port": "metrics"}}
    action = ready if encrypted else {"grpc": {"port": 8001}}
    for probe in ("startupProbe", "readinessProbe"):
        assert action.items() <= rendered.server[probe].items()
    assert rendered.server["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "metrics"}


def test_models_have_minutes_to_load(rendered: "Rendered") -> None:
    probe = rendered.server["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 300


def test_a_pod_is_killed_only_after_it_drained(rendered: "Rendered") -> None:
    grace = rendered.pod["spec"]["terminationGracePeriodSeconds"]
    sleep = rendered.server.get("lifecycle", {"preStop": {"sleep": {"seconds": 0}}})
    before, settings = sleep["preStop"]["sleep"]["seconds"], rendered.settings
    drain = settings["drain_seconds"]
    assert before < before + settings.get("drain_delay_seconds", 0) + drain < grace
    assert settings.get("connection_seconds", 0) < drain


def test_selectors_find_the_servers_and_nothing_else(rendered: "Rendered") -> None:
    spec = rendered.one("Deployment")["spec"]
    selectors = [spec["selector"]["matchLabels"]]
    selectors += [service["spec"]["selector"] for service in rendered.all("Service")]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in rendered.all(BUDGET)]
    selectors += [each["spec"]["podSelector"]["matchLabels"] for each in rendered.all(POLICY)]
    spread = rendered.pod["spec"].get("topologySpreadConstraints", [])
    selectors += [each["labelSelector"]["matchLabels"] for each in spread]
    for selector in selectors:
        assert matches(selector, rendered.pod)
        assert not any(matches(selector, pod) for pod in rendered.all("Pod"))


def test_every_port_of_a_service_and_a_policy_is_one_of_the_container(
    rendered: "Rendered",
) -> None:
    names = {port["name"] for port in rendered.server["ports"]}
    for service in rendered.all("Service"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    for policy in rendered.all(POLICY):
        rules = policy["spec"]["ingress"]
        assert {port["port"] for rule in rules for port in rule["ports"]} == names


def test_metrics_never_leave_the_cluster(rendered: "Rendered") -> None:
    for service in rendered.all("Service"):
        if "metrics" in {port["name"] for port in service["spec"]["ports"]}:
            assert service["spec"].get("type", "ClusterIP") == "ClusterIP"


def test_prometheus_scrapes_each_server_once(rendered: "Rendered") -> None:
    for monitor in rendered.all("ServiceMonitor"):
        port = monitor["spec"]["endpoints"][0]["port"]
        found = [
            service
            for service in rendered.all("Service")
            if matches(monitor["spec"]["selector"]["matchLabels"], service)
            if port in {each["name"] for each in service["spec"]["ports"]}
        ]
        assert len(found) == 1


def test_one_scaler_at_most_decides_how_many_servers_there_are(rendered: "Rendered") -> None:
    deployment = rendered.one("Deployment")
    scalers = rendered.all("HorizontalPodAutoscaler", "ScaledObject")
    assert len(scalers) + ("replicas" in deployment["spec"]) == 1
    for scaler in scalers:
        target = scaler["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])


def test_threads_are_the_cores_that_are_asked_for(rendered: "Rendered", case: Path) -> None:
    resources = rendered.server["resources"]
    assert "cpu" not in resources.get("limits", {})
    asked = resources.get("requests", {}).get("cpu")
    if asked is None:
        assert "threads" not in rendered.settings
    elif case.name != "one-claim-values.yaml":
        assert rendered.settings["threads"] == math.ceil(cores(asked))


def cores(cpu: Any) -> float:
    text = str(cpu)
    return float(text.removesuffix("m")) / (1000 if text.endswith("m") else 1)


@pytest.mark.parametrize(
    ("values", "strategy"),
    [("one-claim", "Recreate"), ("production", "RollingUpdate"), ("defaults", "RollingUpdate")],
)
def test_two_servers_never_share_a_claim_that_only_one_may_write(
    helm: "Helm", values: str, strategy: str
) -> None:
    rendered = helm.render("--values", CHART / "ci" / f"{values}-values.yaml")
    assert rendered.one("Deployment")["spec"]["strategy"]["type"] == strategy


def test_changed_settings_restart_servers_and_a_changed_policy_does_not(helm: "Helm") -> None:
    def checksum(*flags: str) -> str:
        annotations = helm.render(*flags).pod["metadata"]["annotations"]
        return str(annotations["checksum/settings"])

    assert checksum() != checksum("--set", "settings.mask_batch=2")
    policy = ("--set", "auth.policy.default.models={a}")
    assert checksum(*policy) == checksum("--set", "auth.policy.default.models={b}")


def test_callers_and_scrapers_can_be_named(helm: "Helm") -> None:
    """And the test pod is always among the callers."""
    rendered = helm.render("--values", CHART / "ci" / "production-values.yaml")
    calls, scrapes = rendered.one(POLICY)["spec"]["ingress"]
    assert matches(calls["from"][0]["podSelector"]["matchLabels"], rendered.one("Pod"))
    assert [peer.keys() for peer in calls["from"][1:]] == [{"namespaceSelector"}]
    assert [peer.keys() for peer in scrapes["from"]] == [{"namespaceSelector"}]


def test_the_certificate_names_both_services_of_grpc(helm: "Helm") -> None:
    rendered = helm.render("--values", CHART / "ci" / "production-values.yaml")
    names = set(rendered.one("Certificate")["spec"]["dnsNames"])
    for service in ("prod-pellucid", "prod-pellucid-headless"):
        assert f"{service}.vision.svc" in names
    secret = rendered.one("Certificate")["spec"]["secretName"]
    mounted = {
        volume["name"]: volume["secret"]["secretName"]
        for volume in rendered.pod["spec"]["volumes"]
        if "secret" in volume
    }
    assert mounted["tls"] == secret


def test_the_wait_is_measured_for_this_release_alone(helm: "Helm") -> None:
    rendered = helm.render("--values", CHART / "ci" / "mutual-tls-values.yaml")
    (trigger,) = rendered.one("ScaledObject")["spec"]["triggers"]
    query = trigger["metadata"]["query"]
    target = 'namespace="vision",service="prod-pellucid-metrics"'
    assert query == f"sum(avg_over_time(pellucid_expected_wait_seconds{{{target}}}[1m]))"
    assert trigger["metadata"]["authModes"] == "bearer"
    assert trigger["authenticationRef"] == {"name": "prometheus"}
