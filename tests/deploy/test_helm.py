"""The Helm chart, by Helm's own library (the package helm-python-sdk carries it): it lints, what it renders is sound, means the same as the
kustomizations, and follows every value; what its schema should refuse, it refuses."""

import atexit
import copy
import json
import pathlib
import shutil
import tempfile
import tomllib
import unittest

import helm_python as helm
import yaml

from objects import Sound, by_kind, configuration, gateways, kustomize
from tools import DEPLOY, ROOT

CHART = DEPLOY / "helm/steadfast"
# A copy with files in place of the chart's links, each of which Helm names on stderr whenever it follows it.
FOLDER = tempfile.TemporaryDirectory()
COPY = pathlib.Path(shutil.copytree(DEPLOY / "helm", FOLDER.name, dirs_exist_ok=True))
PLAIN, EXAMPLE = COPY / "steadfast", COPY / "examples/sidecar"
atexit.register(FOLDER.cleanup)
KUBERNETES = DEPLOY / "kubernetes"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())

VLLM = {
    "config": (KUBERNETES / "examples/vllm/steadfast.toml").read_text(),
    "personas": {"bixley.toml": (KUBERNETES / "examples/vllm/bixley.toml").read_text()},
    "networkPolicy": {"egress": [{"to": [{"podSelector": {"matchLabels": {"app": "vllm"}}}], "ports": [{"port": 8000, "protocol": "TCP"}]}]},
}
SHADOW = {
    "config": (KUBERNETES / "examples/shadow/steadfast.toml").read_text(),
    "env": [
        {"name": "OPENAI_API_KEY", "valueFrom": {"secretKeyRef": {"name": "openai", "key": "api-key"}}},
        {"name": "STEADFAST_CLIENT_KEYS", "valueFrom": {"secretKeyRef": {"name": "steadfast-clients", "key": "keys"}}},
    ],
}
MONITORED = {"monitoring": {"monitor": True, "rules": True, "dashboards": True}}

# Another value for each that there is. What is here renders, alone or with what NEEDS says, other objects than the defaults do.
OTHER = {
    "mode": "sidecar",
    "nameOverride": "guard",
    "fullnameOverride": "my-steadfast",
    "image.repository": "registry.example.com:5000/steadfast",
    "image.tag": "1.2.3",
    "image.digest": "sha256:" + "a1" * 32,
    "image.pullPolicy": "Always",
    "image.pullSecrets": [{"name": "registry"}],
    "adminToken.secret": "other",
    "adminToken.key": "other",
    "config": VLLM["config"].replace("bixley.toml", "aria.toml"),
    "policies": {"house.toml": 'name = "house"\n'},
    "personas": VLLM["personas"],
    "env": SHADOW["env"],
    "resources": {"requests": {"cpu": 2}, "limits": {"memory": "2Gi"}},
    "user": None,
    "incidents.volume": {"persistentVolumeClaim": {"claimName": "incidents"}},
    "replicas": 3,
    "autoscaling.enabled": False,
    "autoscaling.minReplicas": 3,
    "autoscaling.maxReplicas": 30,
    "autoscaling.cpu": 50,
    "podDisruptionBudget.enabled": False,
    "podDisruptionBudget.maxUnavailable": "25%",
    "serviceAccount.create": False,
    "serviceAccount.name": "other",
    "serviceAccount.annotations": {"a": "b"},
    "service.type": "LoadBalancer",
    "service.port": 80,
    "service.annotations": {"a": "b"},
    "networkPolicy.enabled": False,
    "networkPolicy.monitoringNamespace": "observability",
    "networkPolicy.ingress": [{"from": [{"namespaceSelector": {}}], "ports": [{"port": "http", "protocol": "TCP"}]}],
    "networkPolicy.egress": VLLM["networkPolicy"]["egress"],
    "monitoring.monitor": True,
    "monitoring.rules": True,
    "monitoring.dashboards": True,
    "monitoring.interval": "1m",
    "monitoring.labels": {"release": "kube-prometheus-stack"},
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "models"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "sidecar.resources": {"requests": {"cpu": "2"}},
}
NEEDS = {
    "replicas": {"autoscaling": {"enabled": False}},
    "monitoring.interval": {"monitoring": {"monitor": True}},
    "monitoring.labels": {"monitoring": {"rules": True}},
}
# The example chart is where these show.
OF_SIDECARS = {"sidecar.resources"}

# What a person may get wrong, and what the refusal has to name.
REFUSED = {
    "replica=3": "replica",
    "mode=proxy": "mode",
    "image.tga=1": "tga",
    "image.repository=registry/steadfast:1": "repository",
    "image.tag=a b": "tag",
    "image.digest=sha256:12": "digest",
    "image.pullPolicy=Sometimes": "pullPolicy",
    "image.pullSecrets[0]=registry": "pullSecrets",
    "adminToken.secret=": "secret",
    "adminToken=abc": "adminToken",
    "config.server=x": "config",
    "policies.house=x": "house",
    r"policies.house\.toml=": "house.toml",
    "env[0].name=STEADFAST_ADMIN_TOKEN,env[0].value=x": "env",
    "env[0].name=A": "env",
    "env.A=b": "env",
    "resources.request.cpu=1": "request",
    "user=0": "user",
    "incidents.volume.emptyDir.sizeLimit=1Gi,incidents.volume.hostPath.path=/tmp": "volume",
    "replicas=many": "replicas",
    "autoscaling.minReplicas=0": "minReplicas",
    "autoscaling.cpu=70%": "cpu",
    "podDisruptionBudget.maxUnavailable=half": "maxUnavailable",
    "service.type=External": "type",
    "service.port=0": "port",
    "service.port=9464": "port",
    "networkPolicy.egress.to=x": "egress",
    "monitoring.enabled=true": "enabled",
    "monitoring.interval=15": "interval",
    "podLabels.a=true": "podLabels",
    "tolerations=x": "tolerations",
    "sidecar.resources.limits=1": "limits",
}


def render(values=None, release="steadfast", chart=PLAIN):
    """The objects, and the notes."""
    with helm.Chart.load(chart) as loaded:
        texts = loaded.render(values or {}, name=release, namespace="models")
    notes = {name: text for name, text in texts.items() if name.endswith("NOTES.txt")}
    return [each for name, text in texts.items() if name not in notes for each in yaml.safe_load_all(text) if each], "".join(notes.values())


def objects(values=None, **options):
    return render(values, **options)[0]


def leaves(values, under=""):
    """The values' names, dotted; one that is free to have any keys is a leaf."""
    for key, value in values.items():
        name = under + key
        if isinstance(value, dict) and value and name not in OTHER:
            yield from leaves(value, name + ".")
        else:
            yield name


def nested(name, value):
    for key in reversed(name.split(".")):
        value = {key: value}
    return value


def merged(one, other):
    result = copy.deepcopy(one)
    for key, value in other.items():
        result[key] = merged(result[key], value) if isinstance(value, dict) and isinstance(result.get(key), dict) else value
    return result


def meaning(each):
    """An object without what Helm adds to every object and without what says only what would hold anyway."""
    helms = {"app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"}

    def strip(value):
        if isinstance(value, dict):
            return {key: strip(inner) for key, inner in value.items() if key not in helms and (key, inner) != ("imagePullPolicy", "IfNotPresent")}
        return [strip(inner) for inner in value] if isinstance(value, list) else value

    each = strip(each)
    for key in ("namespace", "labels"):
        each["metadata"].pop(key, None)
    if each["kind"] == "Service" and each["spec"].get("type") == "ClusterIP":
        del each["spec"]["type"]
    if each["kind"] == "Deployment":
        pod = each["spec"]["template"]["spec"]
        for container in pod.get("initContainers", []) + pod["containers"]:
            container.get("env", []).sort(key=lambda variable: variable["name"])
    return each


class Rendered(Sound, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        helm.dependency_build(EXAMPLE)
        everything = merged(MONITORED, {})
        for name in set(OTHER) - {"mode", "autoscaling.enabled", "podDisruptionBudget.enabled", "networkPolicy.enabled", "serviceAccount.create"}:
            everything = merged(everything, nested(name, OTHER[name]))
        guard = {**MONITORED, "nameOverride": "guard", "sidecar": {"resources": OTHER["sidecar.resources"]}}
        cls.built = {
            "default": objects(),
            "another name": objects(release="blue"),
            "monitored": objects(MONITORED),
            "vllm": objects(VLLM),
            "shadow": objects(SHADOW),
            "everything": objects(everything),
            "everything off": objects({key: {"enabled": False} for key in ("autoscaling", "podDisruptionBudget", "networkPolicy")}),
            "sidecar": cls.sidecar(),
            "monitored sidecar": cls.sidecar({"global": {"team": "shop"}, "steadfast": guard}),
        }

    @classmethod
    def sidecar(cls, values=None):
        return objects(values, release="shop", chart=EXAMPLE)

    def test_it_means_what_the_kustomizations_mean(self):
        base, monitored = (kustomize(KUBERNETES / folder) for folder in ("base", "examples/gateway-monitored"))
        for ours, theirs in (
            (self.built["default"], base),
            (self.built["monitored"], monitored),
            (self.built["vllm"], kustomize(KUBERNETES / "examples/vllm")),
            (self.built["shadow"], kustomize(KUBERNETES / "examples/shadow")),
        ):
            ours, theirs = ({(each["kind"], each["metadata"]["name"]): each for each in side} for side in (ours, theirs))
            self.assertEqual(ours.keys(), theirs.keys())
            for key, each in ours.items():
                with self.subTest(key):
                    self.assertEqual(meaning(each), meaning(theirs[key]))
                    labels = theirs[key]["metadata"].get("labels", {})
                    self.assertLessEqual(labels.items(), each["metadata"]["labels"].items())

    def test_the_sidecar_is_that_of_the_kustomization(self):
        theirs = kustomize(KUBERNETES / "examples/sidecar-monitored")
        # Two releases in a namespace have maps of their own, so their names begin with the release's.
        renamed = json.loads(json.dumps(self.built["sidecar"]).replace('"shop-steadfast-', '"steadfast-'))
        for kind, name in (("Deployment", "shop"), *(("ConfigMap", f"steadfast-{part}") for part in ("config", "policies", "personas"))):
            with self.subTest(kind=kind, name=name):
                self.assertEqual(meaning(by_kind(renamed, kind)[name]), meaning(by_kind(theirs, kind)[name]))
        self.assertEqual({each["kind"] for each in self.built["sidecar"]}, {"Deployment", "ConfigMap"}, "no gateway beside the sidecars")
        _, _, container = next(gateways(self.built["monitored sidecar"]))
        self.assertEqual(container["resources"]["requests"]["cpu"], "2")
        ours = by_kind(self.built["monitored sidecar"], "PodMonitor")["shop-guard"]
        self.assertEqual(ours["spec"], by_kind(theirs, "PodMonitor")["steadfast"]["spec"])

    def test_a_packed_chart_is_the_same(self):
        with tempfile.TemporaryDirectory() as folder:
            archive = helm.package(CHART, destination=folder)
            self.assertEqual(render(chart=archive), render())

    def test_two_releases_do_not_meet(self):
        blue, green = (objects(MONITORED, release=name) for name in ("blue", "green"))
        names = [{(each["kind"], each["metadata"]["name"]) for each in side} for side in (blue, green)]
        self.assertFalse(names[0] & names[1])
        (_, pod, _), (service,) = next(gateways(blue)), by_kind(green, "Service").values()
        self.assertFalse(service["spec"]["selector"].items() <= pod["metadata"]["labels"].items())

    def test_the_notes_name_what_was_made(self):
        _, notes = render({"service": {"port": 80}, "adminToken": {"secret": "guard-admin", "key": "t"}}, release="blue")
        for words in ("http://blue-steadfast.models.svc:80", "create secret generic guard-admin --from-literal=t=", "deployment/blue-steadfast"):
            self.assertIn(words, notes)
        _, notes = render({"mode": "sidecar"})
        self.assertIn("secret generic steadfast-admin", notes)
        self.assertNotIn("deployment/", notes)


class Values(unittest.TestCase):
    def test_every_value_has_an_effect(self):
        self.assertEqual(set(leaves(VALUES)), set(OTHER), "a value without another one in this test")
        for name in set(OTHER) - OF_SIDECARS:
            with self.subTest(name):
                needs = NEEDS.get(name, {})
                self.assertNotEqual(objects(merged(needs, nested(name, OTHER[name]))), objects(needs))
        self.assertEqual(configuration(objects(VLLM), next(gateways(objects(VLLM)))[1])["route"][0]["name"], "bixley")

    def test_the_schema_knows_the_values_and_no_others(self):
        def named(schema, values, under=""):
            for key, inner in schema["properties"].items():
                if under + key in ("global", "enabled"):
                    continue
                self.assertIn(key, values, under)
                # Maps that stand for Kubernetes' own types are not gone into.
                if inner.get("properties") and under + key not in OTHER:
                    named(inner, values[key], f"{under}{key}.")

        named(SCHEMA, VALUES)
        with helm.Chart.load(PLAIN) as chart:
            chart.validate_schema({})
            for name, value in OTHER.items():
                chart.validate_schema(nested(name, value))

    def test_what_is_wrong_is_refused_and_named(self):
        with helm.Chart.load(PLAIN) as chart:
            for expression, word in REFUSED.items():
                with self.subTest(expression), self.assertRaises(helm.HelmValuesError) as refused:
                    chart.validate_schema(helm.parse_set_string(expression))
                self.assertIn(word, str(refused.exception))


class Chart(unittest.TestCase):
    def test_helm_has_nothing_to_say_but_that_there_is_no_icon(self):
        for values in ({}, MONITORED, {"mode": "sidecar"}):
            report = helm.lint(PLAIN, values, strict=True)
            self.assertEqual((report["errors"], report["total_charts_linted"]), ([], 1))
            self.assertEqual([message["error"] for message in report["messages"]], ["icon is recommended"])

    def test_it_would_say_it(self):
        with tempfile.TemporaryDirectory() as folder:
            broken = shutil.copytree(PLAIN, pathlib.Path(folder) / "steadfast")
            (broken / "templates/pdb.yaml").write_text("kind: {{ .Values.nothing.here }}\n")
            self.assertTrue(helm.lint(broken)["errors"])

    def test_it_is_of_the_programs_version(self):
        version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        self.assertEqual((chart["version"], chart["appVersion"]), (version, version))
        wanted = yaml.safe_load((EXAMPLE / "Chart.yaml").read_text())["dependencies"][0]
        self.assertEqual((wanted["name"], wanted["version"]), ("steadfast", version))


if __name__ == "__main__":
    unittest.main()
