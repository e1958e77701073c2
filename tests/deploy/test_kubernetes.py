"""The kustomizations: they build, every object fits the schemas of Kubernetes 1.29 to 1.35, and what schemas cannot see fits together."""

import importlib.util
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import kubernetes_validate
import yaml

import stage
from tools import BIN, DEPLOY, ROOT, run

KUBERNETES = DEPLOY / "kubernetes"
EXAMPLES = sorted(folder.parent for folder in (KUBERNETES / "examples").glob("*/kustomization.yaml"))
VERSIONS = [f"1.{minor}" for minor in range(29, 36)]
# Custom resources of the Prometheus Operator, whose schemas are not Kubernetes'.
FOREIGN = {"ServiceMonitor", "PodMonitor", "PrometheusRule"}


def build(folder):
    return [each for each in yaml.safe_load_all(run(BIN / "kubectl", "kustomize", folder)) if each]


def by_kind(objects, kind):
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def gateways(objects):
    """The pods that have a gateway, with its container."""
    for deployment in by_kind(objects, "Deployment").values():
        pod = deployment["spec"]["template"]
        for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
            if container["name"] == "steadfast":
                yield deployment, pod, container


class Objects(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.built = {folder.name: build(folder) for folder in EXAMPLES}
        assert len(cls.built) >= 5

    def test_each_fits_every_version(self):
        seen = set()
        for name, objects in self.built.items():
            for each in objects:
                if each["kind"] in FOREIGN:
                    continue
                for version in VERSIONS:
                    with self.subTest(example=name, kind=each["kind"], name=each["metadata"]["name"], version=version):
                        kubernetes_validate.validate(each, version, strict=True)
                        seen.add(version)
        self.assertEqual(seen, set(VERSIONS))

    def test_a_wrong_key_would_be_seen(self):
        deployment = next(iter(by_kind(self.built["gateway"], "Deployment").values()))
        broken = {**deployment, "spec": {**deployment["spec"], "replica": 3}}
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(broken, VERSIONS[0], strict=True)

    def test_every_kind_of_the_issue_is_there(self):
        kinds = {each["kind"] for each in self.built["gateway"] + self.built["gateway-monitored"]}
        wanted = {"Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "ServiceMonitor", "NetworkPolicy", "ConfigMap", "PrometheusRule"}
        self.assertLessEqual(wanted, kinds)

    def test_mounts_have_volumes_and_volumes_have_their_config_maps(self):
        for name, objects in self.built.items():
            maps = by_kind(objects, "ConfigMap")
            for _, pod, container in gateways(objects):
                volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
                for mount in container["volumeMounts"]:
                    self.assertIn(mount["name"], volumes, name)
                    self.assertNotIn("subPath", mount, "such a mount never follows its ConfigMap")
                for volume in volumes.values():
                    if "configMap" in volume:
                        self.assertIn(volume["configMap"]["name"], maps, name)

    def test_probes_and_services_name_ports_that_are_there(self):
        for name, objects in self.built.items():
            for _, pod, container in gateways(objects):
                ports = {port["name"] for port in container["ports"]}
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    self.assertIn(container[probe]["httpGet"]["port"], ports, name)
                for service in by_kind(objects, "Service").values():
                    self.assertLessEqual({port["targetPort"] for port in service["spec"]["ports"]}, ports)
                    labels = pod["metadata"]["labels"]
                    self.assertLessEqual(service["spec"]["selector"].items(), labels.items())
        monitored = self.built["gateway-monitored"]
        monitor, service = by_kind(monitored, "ServiceMonitor")["steadfast"], by_kind(monitored, "Service")["steadfast"]
        self.assertLessEqual(monitor["spec"]["selector"]["matchLabels"].items(), service["metadata"]["labels"].items())
        self.assertIn(monitor["spec"]["endpoints"][0]["port"], {port["name"] for port in service["spec"]["ports"]})
        sidecar = self.built["sidecar-monitored"]
        monitor, (_, pod, container) = by_kind(sidecar, "PodMonitor")["steadfast"], next(gateways(sidecar))
        self.assertLessEqual(monitor["spec"]["selector"]["matchLabels"].items(), pod["metadata"]["labels"].items())
        self.assertIn(monitor["spec"]["podMetricsEndpoints"][0]["port"], {port["name"] for port in container["ports"]})
        for kind, path in (("PodDisruptionBudget", ("selector", "matchLabels")), ("NetworkPolicy", ("podSelector", "matchLabels"))):
            self.assertEqual(by_kind(monitored, kind)["steadfast"]["spec"][path[0]][path[1]], {"app.kubernetes.io/name": "steadfast"})

    def test_the_network_policy_reaches_names_and_providers(self):
        egress = by_kind(self.built["gateway"], "NetworkPolicy")["steadfast"]["spec"]["egress"]
        self.assertEqual([rule.get("to", [{}])[0].get("podSelector") for rule in egress], [{"matchLabels": {"k8s-app": "kube-dns"}}, None])
        self.assertEqual({port["port"] for rule in egress for port in rule["ports"]}, {53, 443})
        egress = by_kind(self.built["vllm"], "NetworkPolicy")["steadfast"]["spec"]["egress"]
        self.assertEqual(egress[-1], {"to": [{"podSelector": {"matchLabels": {"app": "vllm"}}}], "ports": [{"port": 8000, "protocol": "TCP"}]})

    def test_pods_are_as_closed_as_they_can_be(self):
        for name, objects in self.built.items():
            for _, pod, container in gateways(objects):
                security = {**pod["spec"].get("securityContext", {}), **container["securityContext"]}
                self.assertTrue(security["runAsNonRoot"] and security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"], name)
                self.assertEqual((security["capabilities"], security["seccompProfile"]), ({"drop": ["ALL"]}, {"type": "RuntimeDefault"}))
                self.assertNotIn("cpu", container["resources"].get("limits", {}))

    def test_the_sidecar_is_native_and_joins_only_whom_it_should(self):
        objects = self.built["sidecar"]
        shop, cache = (by_kind(objects, "Deployment")[name]["spec"]["template"]["spec"] for name in ("shop", "shop-cache"))
        self.assertEqual([container["name"] for container in shop["initContainers"]], ["steadfast"])
        self.assertEqual(shop["initContainers"][0]["restartPolicy"], "Always")
        self.assertEqual([container["name"] for container in shop["containers"]], ["shop"])
        self.assertNotIn("initContainers", cache)

    def test_streams_have_their_grace(self):
        seconds = lambda text: int(re.fullmatch(r"(\d+)s", text)[1])  # noqa: E731
        for name, objects in self.built.items():
            for _, pod, container in gateways(objects):
                server = self.config(objects, pod)["server"]
                wanted = seconds(server["shutdown_grace"]) + seconds(server.get("drain_delay", "0s"))
                self.assertLess(wanted, pod["spec"].get("terminationGracePeriodSeconds", 30), name)

    def config(self, objects, pod):
        import tomllib

        names = [volume["configMap"]["name"] for volume in pod["spec"]["volumes"] if volume["name"].endswith("config")]
        return tomllib.loads(by_kind(objects, "ConfigMap")[names[0]]["data"]["steadfast.toml"])

    def test_the_program_takes_the_configurations_as_they_are_mounted(self):
        for name, objects in self.built.items():
            for _, pod, container in gateways(objects):
                with self.subTest(name), tempfile.TemporaryDirectory() as root:
                    volumes = {volume["name"]: volume.get("configMap") for volume in pod["spec"]["volumes"]}
                    for mount in container["volumeMounts"]:
                        folder = pathlib.Path(root + mount["mountPath"])
                        folder.mkdir(parents=True)
                        if volumes[mount["name"]]:
                            # As the kubelet lays a ConfigMap: files are links into a folder that is swapped as one.
                            (folder / "..1").mkdir()
                            (folder / "..data").symlink_to("..1")
                            for key, text in by_kind(objects, "ConfigMap")[volumes[mount["name"]]["name"]]["data"].items():
                                (folder / "..1" / key).write_text(text.replace("/etc/steadfast/", f"{root}/etc/steadfast/"))
                                (folder / key).symlink_to(f"..data/{key}")
                    secrets = {entry["name"]: "k" * 24 for entry in container["env"]}
                    classifier = str(ROOT / "classifiers/collapse")
                    command = [stage.program(), "check", "--config", root + "/etc/steadfast/config/steadfast.toml", "--classifier", classifier]
                    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **secrets}, timeout=120)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_operators_rules_are_those_of_prometheus(self):
        spec = importlib.util.spec_from_file_location("rules", KUBERNETES / "monitoring/build.py")
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        self.assertEqual((KUBERNETES / "monitoring/prometheusrule.yaml").read_text(), script.text(), "run deploy/kubernetes/monitoring/build.py")


if __name__ == "__main__":
    unittest.main()
