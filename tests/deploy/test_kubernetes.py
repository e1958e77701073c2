"""The kustomizations: they build, what they build is sound, and each part does what it is for."""

import importlib.util
import unittest

import kubernetes_validate

from objects import VERSIONS, Sound, by_kind, kustomize
from tools import DEPLOY

KUBERNETES = DEPLOY / "kubernetes"
EXAMPLES = sorted(folder.parent for folder in (KUBERNETES / "examples").glob("*/kustomization.yaml"))


class Objects(Sound, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.built = {folder.name: kustomize(folder) for folder in EXAMPLES}
        assert len(cls.built) >= 5

    def test_a_wrong_key_would_be_seen(self):
        deployment = next(iter(by_kind(self.built["gateway"], "Deployment").values()))
        broken = {**deployment, "spec": {**deployment["spec"], "replica": 3}}
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(broken, VERSIONS[0], strict=True)

    def test_every_kind_is_there(self):
        kinds = {each["kind"] for each in self.built["gateway"] + self.built["gateway-monitored"]}
        wanted = {"Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "ServiceMonitor", "NetworkPolicy", "ConfigMap", "PrometheusRule"}
        self.assertLessEqual(wanted, kinds)
        self.assertTrue(by_kind(self.built["sidecar-monitored"], "PodMonitor"))

    def test_the_network_policy_reaches_names_and_providers(self):
        egress = by_kind(self.built["gateway"], "NetworkPolicy")["steadfast"]["spec"]["egress"]
        self.assertEqual([rule.get("to", [{}])[0].get("podSelector") for rule in egress], [{"matchLabels": {"k8s-app": "kube-dns"}}, None])
        self.assertEqual({port["port"] for rule in egress for port in rule["ports"]}, {53, 443})
        egress = by_kind(self.built["vllm"], "NetworkPolicy")["steadfast"]["spec"]["egress"]
        self.assertEqual(egress[-1], {"to": [{"podSelector": {"matchLabels": {"app": "vllm"}}}], "ports": [{"port": 8000, "protocol": "TCP"}]})

    def test_the_sidecar_is_native_and_joins_only_whom_it_should(self):
        objects = self.built["sidecar"]
        shop, cache = (by_kind(objects, "Deployment")[name]["spec"]["template"]["spec"] for name in ("shop", "shop-cache"))
        self.assertEqual([container["name"] for container in shop["initContainers"]], ["steadfast"])
        self.assertEqual(shop["initContainers"][0]["restartPolicy"], "Always")
        self.assertEqual([container["name"] for container in shop["containers"]], ["shop"])
        self.assertNotIn("initContainers", cache)

    def test_the_operators_rules_are_those_of_prometheus(self):
        spec = importlib.util.spec_from_file_location("rules", KUBERNETES / "monitoring/build.py")
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        self.assertEqual((KUBERNETES / "monitoring/prometheusrule.yaml").read_text(), script.text(), "run deploy/kubernetes/monitoring/build.py")


if __name__ == "__main__":
    unittest.main()
