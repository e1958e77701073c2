"""What must hold for objects of Kubernetes that have a gateway among them, whatever wrote them: a schema's word, and what schemas cannot see. Knows
neither the kustomizations nor the chart."""

import os
import pathlib
import re
import subprocess
import tempfile
import tomllib

import kubernetes_validate
import yaml

import stage
from tools import BIN, ROOT, run

VERSIONS = [f"1.{minor}" for minor in range(29, 36)]
# Custom resources of the Prometheus Operator, whose schemas are not Kubernetes'.
FOREIGN = {"ServiceMonitor", "PodMonitor", "PrometheusRule"}


def kustomize(folder):
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


def configuration(objects, pod):
    names = [volume["configMap"]["name"] for volume in pod["spec"]["volumes"] if volume["name"].endswith("config")]
    return tomllib.loads(by_kind(objects, "ConfigMap")[names[0]]["data"]["steadfast.toml"])


class Sound:
    """Tests for a TestCase whose `built` has lists of objects by name, each with at least one gateway."""

    def test_each_fits_every_version(self):
        seen = set()
        for name, objects in self.built.items():
            for each in objects:
                if each["kind"] in FOREIGN:
                    continue
                for version in VERSIONS:
                    with self.subTest(built=name, kind=each["kind"], name=each["metadata"]["name"], version=version):
                        # Where it has no schemas of a version it takes those of an older one, and says which.
                        found = kubernetes_validate.validate(each, version, strict=True)
                        self.assertEqual(found, version)
                        seen.add(found)
        self.assertEqual(seen, set(VERSIONS))

    def test_there_is_a_gateway_in_each(self):
        for name, objects in self.built.items():
            self.assertTrue(list(gateways(objects)), name)

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

    def test_probes_services_and_monitors_name_what_is_there(self):
        for name, objects in self.built.items():
            services = by_kind(objects, "Service").values()
            for deployment, pod, container in gateways(objects):
                ports, labels = {port["name"] for port in container["ports"]}, pod["metadata"]["labels"]
                self.assertLessEqual(deployment["spec"]["selector"]["matchLabels"].items(), labels.items())
                # A pod that is not ready is not ill: only /livez may have it killed.
                for probe, path in (("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")):
                    asked = container[probe]["httpGet"]
                    self.assertIn(asked["port"], ports, name)
                    self.assertEqual(asked["path"], path, f"{name}: {probe}")
                for service in services:
                    self.assertLessEqual({port["targetPort"] for port in service["spec"]["ports"]}, ports)
                    self.assertLessEqual(service["spec"]["selector"].items(), labels.items())
                for monitor in by_kind(objects, "PodMonitor").values():
                    self.assertLessEqual(monitor["spec"]["selector"]["matchLabels"].items(), labels.items())
                    self.assertIn(monitor["spec"]["podMetricsEndpoints"][0]["port"], ports)
                for scaler in by_kind(objects, "HorizontalPodAutoscaler").values():
                    self.assertEqual(scaler["spec"]["scaleTargetRef"]["name"], deployment["metadata"]["name"])
                for kind, selector in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
                    for each in by_kind(objects, kind).values():
                        self.assertLessEqual(each["spec"][selector]["matchLabels"].items(), labels.items())
            for monitor in by_kind(objects, "ServiceMonitor").values():
                (service,) = services
                self.assertLessEqual(monitor["spec"]["selector"]["matchLabels"].items(), service["metadata"]["labels"].items())
                self.assertIn(monitor["spec"]["endpoints"][0]["port"], {port["name"] for port in service["spec"]["ports"]})

    def test_apps_talk_to_the_sidecar_beside_them(self):
        for name, objects in self.built.items():
            for _, pod, container in gateways(objects):
                apps = [each for each in pod["spec"]["containers"] if each is not container]
                asked = [entry["value"] for app in apps for entry in app.get("env", []) if entry["name"] == "OPENAI_BASE_URL"]
                # A sidecar, and only that, has apps beside it.
                self.assertEqual(bool(asked), container in pod["spec"].get("initContainers", []), name)
                listens = configuration(objects, pod)["server"]["listen"]
                self.assertEqual(set(asked), {f"http://{listens}/v1"} if asked else set(), name)

    def test_pods_are_as_closed_as_they_can_be(self):
        for name, objects in self.built.items():
            for _, pod, container in gateways(objects):
                security = {**pod["spec"].get("securityContext", {}), **container["securityContext"]}
                self.assertTrue(security["runAsNonRoot"] and security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"], name)
                self.assertEqual((security["capabilities"], security["seccompProfile"]), ({"drop": ["ALL"]}, {"type": "RuntimeDefault"}))
                self.assertNotIn("cpu", container["resources"].get("limits", {}))

    def test_streams_have_their_grace(self):
        seconds = lambda text: int(re.fullmatch(r"(\d+)s", text)[1])  # noqa: E731
        for name, objects in self.built.items():
            for _, pod, _ in gateways(objects):
                server = configuration(objects, pod)["server"]
                wanted = seconds(server["shutdown_grace"]) + seconds(server.get("drain_delay", "0s"))
                self.assertLess(wanted, pod["spec"].get("terminationGracePeriodSeconds", 30), name)

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
