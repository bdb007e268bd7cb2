"""The chart: linted, refused where its values are wrong, taken whole by a real API server, and
giving the operator the rights that it needs and none that it does not."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from apiserver.access import ROOT, Api
from apiserver.charts import (
    CHART,
    EMBEDDED,
    GATEWAY,
    LISTED,
    MONITORED,
    OWN_KEYS,
    RAILWAY,
    ROUTED,
    VALUES,
    Body,
    find,
    helm,
    pod_template,
    rendered,
    try_template,
)
from postbase_operator import __version__
from postbase_operator.gateway.settings import GatewaySettings
from postbase_operator.handlers.far import place_of, prices_of
from postbase_operator.railway.graphql.reads import Place
from postbase_operator.settings import Settings

OPERATOR = "system:serviceaccount:postbase-system:postbase-operator"
GATEWAY_ACCOUNT = "system:serviceaccount:postbase-api:api-gateway"
GATEWAY_OPERATOR = "system:serviceaccount:postbase-api:api-operator"
LISTED_OPERATOR = "system:serviceaccount:postbase-listed:listed-operator"

TOKEN: Body = {"tokenSecretRef": {"name": "railway"}}

each_set_of_values = pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)


@each_set_of_values
def test_lint(values: Body) -> None:
    done = helm("lint", "--strict", str(CHART), values=values)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_versions_agree() -> None:
    """appVersion is the tag of the image where values name none."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert chart["appVersion"] == project["version"] == __version__


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"cpuRequestRatio": 2}, "/cpuRequestRatio"),
        ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
        ({"operator": {"wrokers": 3}}, "wrokers"),
        ({"postgresImages": {"13": "postgres:13"}}, "/postgresImages"),
        ({"podMonitor": {"interval": "often"}}, "/podMonitor/interval"),
        ({"networkPolicy": {"operator": {"from": [{}]}}}, "/networkPolicy/operator/from/0"),
        ({"watch": {"namespaces": ["team-*"]}}, "List each by its name"),
        ({"operator": {"extraEnv": [{"name": "POSTBASE_WORKERS"}]}}, "is the chart's own to set"),
        ({"objectStore": {"embedded": {"enabled": True}}}, "objectStore.embedded.image must name"),
        ({**GATEWAY, **LISTED}, "that needs cluster-wide rights"),
        ({"gateway": {"enabled": True, "ingress": {"enabled": True}}}, "gateway.ingress.host"),
        ({"gateway": {"enabled": True, "httpRoute": {"enabled": True}}}, "httpRoute.parentRefs"),
        ({"gateway": {"allowedOrigins": ["example.com"]}}, "/gateway/allowedOrigins/0"),
        ({"gateway": {"signIn": {"policy": "anybody"}}}, "/gateway/signIn/policy"),
        ({"railway": {"tokenKind": "Team"}}, "/railway/tokenKind"),
        ({"railway": {"endpoint": "railway.com"}}, "/railway/endpoint"),
        ({"railway": {"prices": {"cpu": 25}}}, "asOf"),
        ({"railway": {"prices": {"cpus": 25}}}, "cpus"),
        ({"railway": {"projectId": "p"}}, "without railway.tokenSecretRef.name"),
        ({"railway": {"regions": ["us-west2"]}}, "railway.regions: without"),
        ({"regions": ["a"], "railway": {**TOKEN, "regions": ["b", "a"]}}, '"a" is in regions, too'),
        ({"railway": {**TOKEN, "projectId": "p"}}, "a project's token is for its own project"),
        ({"railway": {**TOKEN, "tokenKind": "Account"}}, "railway.environmentId must be set"),
    ],
    ids=str,
)
def test_wrong_values_are_refused_by_name(values: Body, words: str) -> None:
    done = try_template(values)
    assert done.returncode != 0
    assert words in done.stderr


def test_the_gateway_is_told_the_regions_of_both() -> None:
    values = {
        **GATEWAY,
        "regions": ["here", "there"],
        "railway": {**TOKEN, "regions": ["us-west2"]},
    }
    (gateway,) = (
        each
        for each in rendered(values)
        if each["kind"] == "Deployment" and each["metadata"]["name"].endswith("gateway")
    )
    (container,) = gateway["spec"]["template"]["spec"]["containers"]
    told = GatewaySettings.from_env(
        {each["name"]: each.get("value", "") for each in container["env"]}
    )
    assert (told.regions, told.railway_regions) == (("here", "there"), ("us-west2",))


@each_set_of_values
def test_a_real_api_server_takes_all_of_it(api: Api, namespace: str, values: Body) -> None:
    objects = rendered(values, namespace=namespace)
    present(api, objects)
    told = api.kubectl(
        *("apply", "--dry-run=server", "--validate=strict", "-f", "-"),
        stdin=yaml.safe_dump_all(objects),
    )
    assert told.count("(server dry run)") == len(objects)


def present(api: Api, objects: list[Body]) -> None:
    """What a dry run of the others presupposes: their namespaces, and the Pod's account."""
    names = {o["metadata"].get("namespace") for o in objects} - {None}
    namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in names]
    accounts = [o for o in objects if o["kind"] == "ServiceAccount"]
    api.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([*namespaces, *accounts]))


def test_every_pod_is_restricted(api: Api, namespace: str) -> None:
    """Pod Security admission only warns about templates, so the warnings are what is looked at."""
    label = "pod-security.kubernetes.io/warn=restricted"
    api.kubectl("label", "namespace", namespace, label)
    objects = rendered({**EMBEDDED, **GATEWAY}, namespace=namespace)
    present(api, objects)
    workloads = [each for each in objects if each["kind"] in ("Deployment", "StatefulSet", "Pod")]
    assert len(workloads) == 4
    told = subprocess.run(
        [
            *(str(api.program), f"--kubeconfig={api.kubeconfig}"),
            *("apply", "--dry-run=server", "-f", "-"),
        ],
        input=yaml.safe_dump_all(workloads),
        check=True,
        capture_output=True,
        text=True,
    )
    assert "would violate" not in told.stderr
    assert "Warning" not in told.stderr


# -- what is asked for by a value ----------------------------------------------------------------


def test_keys_of_the_embedded_store_may_be_ones_own() -> None:
    """Without a cluster to look into, those that the chart makes are new each time."""
    made = [find(rendered(EMBEDDED), "Secret", "postbase-object-store")["data"] for _ in range(2)]
    assert made[0] != made[1]
    objects = rendered(OWN_KEYS)
    assert objects == rendered(OWN_KEYS)
    assert not [o for o in objects if o["kind"] == "Secret"]
    pod = pod_template(objects, "postbase-object-store")["spec"]
    assert {e["valueFrom"]["secretKeyRef"]["name"] for e in pod["containers"][0]["env"]} == {"keys"}


def test_a_monitor_selects_the_operators_pods_and_their_port() -> None:
    objects = rendered(MONITORED)
    monitor = find(objects, "PodMonitor", "postbase-operator")
    pod = pod_template(objects, "postbase-operator")
    labels = monitor["spec"]["selector"]["matchLabels"]
    assert labels.items() <= pod["metadata"]["labels"].items()
    ports = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
    assert monitor["spec"]["podMetricsEndpoints"] == [
        {"port": "metrics", "path": "/metrics", "interval": "30s"}
    ]
    assert ports == {"metrics": 8080}
    assert monitor["metadata"]["labels"]["team"] == "data"


def test_a_route_leads_to_the_gateways_service() -> None:
    objects = rendered(ROUTED)
    spec = find(objects, "HTTPRoute", "postbase-gateway")["spec"]
    assert spec["parentRefs"] == [{"name": "public", "namespace": "edge"}]
    assert spec["hostnames"] == ["api.example.com"]
    ((backend,),) = [rule["backendRefs"] for rule in spec["rules"]]
    service = find(objects, "Service", backend["name"])
    assert backend["port"] in [port["port"] for port in service["spec"]["ports"]]


def test_railway_is_served_with_a_token_from_a_secret() -> None:
    """What the chart sets is what the operator reads: it starts with it, in every kind of token."""
    env = environment(RAILWAY)
    token = env.pop("POSTBASE_RAILWAY_TOKEN")
    assert token == {"secretKeyRef": {"name": "railway", "key": "token"}}
    settings = Settings.from_env({**env, "POSTBASE_RAILWAY_TOKEN": "t"})
    assert place_of(settings) == Place("p-1", "e-1")
    assert settings.railway_endpoint == "http://railway.test/graphql/v2"
    prices = prices_of(settings)
    assert (prices.as_of.isoformat(), prices.volume) == ("2026-11-01", Decimal("0.2"))
    env = environment({"railway": TOKEN})
    assert env.pop("POSTBASE_RAILWAY_TOKEN")
    settings = Settings.from_env({**env, "POSTBASE_RAILWAY_TOKEN": "t"})
    assert (settings.railway_token_kind, place_of(settings)) == ("Project", None)
    assert not [name for name in environment({}) if "RAILWAY" in name]


def environment(values: Body) -> dict[str, Any]:
    """Of the operator's container: values, and where others come from."""
    (container,) = pod_template(rendered(values), "postbase-operator")["spec"]["containers"]
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def test_a_new_number_of_the_chart_alone_restarts_no_pod(tmp_path: Path) -> None:
    """The S3 server has one replica: each restart of it is an outage of every archive."""
    shutil.copytree(CHART, tmp_path / "postbase")
    file = tmp_path / "postbase" / "Chart.yaml"
    before = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**before, "version": "99.0.0"}))
    now, later = rendered(OWN_KEYS), rendered(OWN_KEYS, chart=tmp_path / "postbase")
    assert now != later
    for workload in ("postbase-operator", "postbase-object-store"):
        assert pod_template(now, workload) == pod_template(later, workload)


# -- rights ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(api: Api) -> Api:
    """For every namespace as `postbase-operator`, for two listed ones as `listed-operator`; with a
    gateway as `api-operator`, which has bound `api-gateway` in the namespace of an Account."""
    everywhere = rendered({})
    listed = rendered(LISTED, namespace="postbase-listed", release="listed")
    gateway = rendered(GATEWAY, namespace="postbase-api", release="api")
    for objects in (everywhere, listed, gateway):
        present(api, objects)
        rest = [o for o in objects if o["kind"] != "Pod" and not is_policy(o)]
        api.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(rest))
    api.kubectl("create", "namespace", "tenant")
    role = ("--clusterrole=api-gateway-tenant", "--serviceaccount=postbase-api:api-gateway")
    api.kubectl("create", "rolebinding", "tenant", *role, "--namespace=tenant")
    return api


def is_policy(each: Body) -> bool:
    """Those would hold for the other tests of this API server, too."""
    return bool(each["kind"].startswith("ValidatingAdmissionPolicy"))


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        ("watch", "databases.postbase.sh", True),
        ("patch", "databases.postbase.sh", True),
        ("patch", "databases.postbase.sh/status", True),
        ("update", "databases.postbase.sh/finalizers", True),
        ("update", "databases.postbase.sh", False),
        ("create", "databases.postbase.sh", True),  # the new one of a PitrRestore
        ("delete", "databases.postbase.sh", True),  # with a Project that says so
        ("patch", "projects.postbase.sh", True),  # its finalizer
        ("update", "projects.postbase.sh", False),
        ("delete", "projects.postbase.sh", False),
        ("patch", "backups.postbase.sh", True),  # its finalizer
        ("update", "backups.postbase.sh", False),
        ("create", "jobs.batch", True),
        ("patch", "jobs.batch", False),
        ("get", "secrets", True),
        ("create", "secrets", True),
        ("list", "secrets", False),
        ("watch", "secrets", False),
        ("delete", "secrets", False),
        ("create", "pods", True),  # dryRun alone: no more than what its right to Jobs comes to
        ("create", "pods/exec", False),
        ("get", "pods/log", False),
        ("patch", "statefulsets.apps", True),
        ("update", "statefulsets.apps", True),
        ("delete", "statefulsets.apps", True),
        ("patch", "pods/resize", True),
        ("create", "networkpolicies.networking.k8s.io", True),
        ("delete", "networkpolicies.networking.k8s.io", False),
        ("delete", "services", False),
        ("delete", "configmaps", False),
        ("delete", "poddisruptionbudgets.policy", False),
        ("get", "nodes", False),
        ("list", "namespaces", False),
        ("delete", "namespaces", False),
        ("delete", "persistentvolumes", False),
        ("create", "clusterroles.rbac.authorization.k8s.io", False),
        ("impersonate", "users", False),
    ],
)
def test_the_operators_rights(installed: Api, verb: str, resource: str, allowed: bool) -> None:
    assert can(installed, OPERATOR, verb, resource, "default") is allowed
    assert can(installed, LISTED_OPERATOR, verb, resource, "team-b") is allowed
    assert not can(installed, LISTED_OPERATOR, verb, resource, "default")


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("patch", "persistentvolumes"),
        ("get", "namespaces"),
        ("patch", "namespaces"),
        ("get", "storageclasses"),
    ],
)
def test_what_only_the_whole_cluster_gives(installed: Api, verb: str, resource: str) -> None:
    """Rights over what is in no namespace: an operator of listed ones does without, and says so."""
    assert can(installed, OPERATOR, verb, resource, "default")
    assert not can(installed, LISTED_OPERATOR, verb, resource, "team-b")


@pytest.mark.parametrize(
    ("verb", "resource", "tenants", "elsewhere"),
    [
        ("watch", "databases.postbase.sh", True, True),
        ("create", "databases.postbase.sh", True, False),
        ("patch", "databases.postbase.sh", True, False),
        ("delete", "backups.postbase.sh", True, False),
        ("patch", "databases.postbase.sh/status", False, False),
        ("get", "secrets", True, False),
        ("list", "secrets", False, False),
        ("create", "secrets", False, False),
        ("get", "pods", True, False),
        ("create", "pods/exec", False, False),
        ("list", "events", True, False),
        ("create", "accounts.postbase.sh", True, True),
        ("delete", "accounts.postbase.sh", False, False),
        ("patch", "accounts.postbase.sh/status", False, False),
        ("get", "apitokens.postbase.sh", False, False),
        ("create", "namespaces", False, False),
        ("create", "rolebindings.rbac.authorization.k8s.io", False, False),
        ("impersonate", "users", False, False),
    ],
)
def test_the_gateways_rights(
    installed: Api, verb: str, resource: str, tenants: bool, elsewhere: bool
) -> None:
    assert can(installed, GATEWAY_ACCOUNT, verb, resource, "tenant") is tenants
    assert can(installed, GATEWAY_ACCOUNT, verb, resource, "default") is elsewhere


def test_tokens_are_read_in_the_gateways_own_namespace(installed: Api) -> None:
    assert can(installed, GATEWAY_ACCOUNT, "watch", "apitokens.postbase.sh", "postbase-api")
    assert not can(installed, GATEWAY_ACCOUNT, "get", "secrets", "postbase-api")


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("create", "namespaces"),
        ("watch", "accounts.postbase.sh"),
        ("patch", "accounts.postbase.sh/status"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("create", "resourcequotas"),
    ],
)
def test_what_only_a_gateway_gives_the_operator(installed: Api, verb: str, resource: str) -> None:
    assert can(installed, GATEWAY_OPERATOR, verb, resource, "tenant")
    assert not can(installed, OPERATOR, verb, resource, "tenant")


def can(api: Api, account: str, verb: str, resource: str, namespace: str) -> bool:
    resource, _, subresource = resource.partition("/")
    words = ["auth", "can-i", verb, resource, f"--namespace={namespace}", f"--as={account}"]
    if subresource:
        words.append(f"--subresource={subresource}")
    done = subprocess.run(
        [str(api.program), f"--kubeconfig={api.kubeconfig}", *words],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() in ("yes", "no"), done.stderr
    return done.stdout.strip() == "yes"
