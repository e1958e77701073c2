"""The image: its Dockerfile passes hadolint, its final stage is built offline with buildah from the program that is here, and what is in it runs as
its user. And compose.yaml: it fits its schema, and what it mounts is there."""

import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

import yaml

import stage
from tools import BIN, DEPLOY, PROMTOOL, ROOT, run

DOCKER = DEPLOY / "docker"
USER = 65532


class Lint(unittest.TestCase):
    def test_hadolint_has_nothing_to_say(self):
        self.assertEqual(run(BIN / "hadolint", DOCKER / "Dockerfile"), "")

    def test_what_the_build_copies_is_not_ignored(self):
        ignored = [line.strip("/\n") for line in (ROOT / ".dockerignore").read_text().splitlines()]
        for needed in ("Cargo.lock", "src", "policies", "classifiers/collapse", "scripts/fetch-runtime", "deploy/docker/rootfs", "steadfast.example.toml"):
            self.assertTrue((ROOT / needed).exists(), needed)
            self.assertFalse([each for each in ignored if needed == each or needed.startswith(each + "/")], needed)

    def test_the_build_finds_what_it_needs_in_what_it_is_given(self):
        """As far as that can be told without the base image: cargo takes the manifest, and every file that is compiled in is there."""
        ignored = [line.strip("/\n") for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("**")]
        skipped = lambda path: any(path == each or path.startswith(each + "/") for each in ignored)  # noqa: E731
        with tempfile.TemporaryDirectory() as folder:
            for name in run("git", "ls-files").splitlines():
                if not skipped(name):
                    target = pathlib.Path(folder) / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / name, target, follow_symlinks=False)
            run("cargo", "metadata", "--locked", "--no-deps", "--format-version", "1", "--manifest-path", f"{folder}/Cargo.toml")
            compiled = 0
            for file in pathlib.Path(folder, "src").rglob("*.rs"):
                # Tests stand at the end of a file or in one of their own, and are not built.
                code = "" if file.stem.endswith("tests") else file.read_text().partition("#[cfg(test)]\nmod ")[0]
                for name in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', code):
                    self.assertTrue((file.parent / name).exists(), f"{file.relative_to(folder)}: {name} is not given to the build")
                    compiled += 1
            self.assertGreaterEqual(compiled, 5)


class Compose(unittest.TestCase):
    FILE = yaml.safe_load((DOCKER / "compose.yaml").read_text())

    def test_it_fits_the_schema(self):
        run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DOCKER / "compose.yaml")

    def test_what_it_mounts_is_there_and_every_port_is_on_the_loopback_interface(self):
        for name, service in self.FILE["services"].items():
            for mount in service["volumes"]:
                source = mount.split(":")[0]
                there = (DOCKER / source).exists() if source.startswith(".") else source in self.FILE["volumes"]
                self.assertTrue(there, f"{name}: {mount}")
            for port in service["ports"]:
                self.assertTrue(port.startswith("127.0.0.1:"), port)
        context = DOCKER / self.FILE["services"]["gateway"]["build"]["context"]
        self.assertEqual(context.resolve(), ROOT)

    def test_the_gateway_writes_to_one_folder_only(self):
        gateway = self.FILE["services"]["gateway"]
        self.assertIs(gateway["read_only"], True)
        self.assertEqual([mount.split(":")[1] for mount in gateway["volumes"] if not mount.endswith(":ro")], ["/var/lib/steadfast"])

    def test_the_services_find_each_other_and_the_dashboards(self):
        services = self.FILE["services"]
        data, boards, scrapes = (
            yaml.safe_load((DOCKER / name).read_text()) for name in ("grafana/datasources.yml", "grafana/dashboards.yml", "prometheus.yml")
        )
        port = lambda name: services[name]["ports"][-1].rsplit(":", 1)[1]  # noqa: E731
        self.assertEqual(data["datasources"][0]["url"], f"http://prometheus:{port('prometheus')}")
        self.assertEqual(scrapes["scrape_configs"][0]["static_configs"][0]["targets"], [f"gateway:{port('gateway')}"])
        mounts = {mount.split(":")[1]: DOCKER / mount.split(":")[0] for mount in services["grafana"]["volumes"]}
        folder = mounts[boards["providers"][0]["options"]["path"]]
        self.assertEqual({file.name for file in folder.glob("*.json")}, {"steadfast.json", "persona-drift.json"})

    def test_prometheus_and_the_gateway_take_their_files(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(DOCKER / "prometheus.yml", folder)
            shutil.copytree(DEPLOY / "prometheus/rules", pathlib.Path(folder) / "rules")
            run(PROMTOOL, "check", "config", pathlib.Path(folder) / "prometheus.yml")
        run(stage.program(), "check", "--config", DOCKER / "steadfast.toml", "--classifier", ROOT / "classifiers/collapse")


class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        assert shutil.which("buildah"), "buildah is not installed: apt install buildah"
        assert os.geteuid() == 0, "building the image needs root"
        cls.work = pathlib.Path(tempfile.mkdtemp(prefix="steadfast-image-"))
        cls.addClassCleanup(shutil.rmtree, cls.work, ignore_errors=True)
        runtime = pathlib.Path(run(ROOT / "scripts/fetch-runtime", "--print").strip()).parent
        run(DOCKER / "rootfs", stage.program(), runtime, cls.work / "rootfs")
        # The last stage as it is, but for where it copies from: the other stage needs the network.
        final = re.search(r"^FROM scratch\n.*", (DOCKER / "Dockerfile").read_text(), re.MULTILINE | re.DOTALL)[0]
        final, copies = re.subn("^COPY --from=build /rootfs", "COPY rootfs", final, flags=re.MULTILINE)
        assert copies == 1, "the Dockerfile's last stage has changed"
        (cls.work / "Dockerfile").write_text(final)
        cls.buildah("build", "--isolation", "chroot", "--format", "docker", "--tag", "steadfast:test", cls.work)
        cls.container = cls.buildah("from", "steadfast:test").strip()
        cls.root = pathlib.Path(cls.buildah("mount", cls.container).strip())

    @classmethod
    def buildah(cls, *command, **more):
        places = ["--storage-driver", "vfs", "--root", cls.work / "store", "--runroot", cls.work / "run"]
        return run("buildah", *places, *command, **more)

    def inside(self, *command, status=0):
        """What the program prints in the image, as the image's user; its standard error is in the failure."""
        return self.buildah("run", "--isolation", "chroot", self.container, "--", "/usr/local/bin/steadfast", *command, status=status)

    def test_it_says_how_it_is_to_be_run(self):
        config = json.loads(self.buildah("inspect", "--type", "image", "steadfast:test"))["Docker"]["config"]
        self.assertEqual(config["User"], f"{USER}:{USER}")
        self.assertEqual((config["Entrypoint"], config["Cmd"]), (["/usr/local/bin/steadfast"], ["serve"]))
        self.assertEqual(config["Healthcheck"]["Test"], ["CMD", "/usr/local/bin/steadfast", "health"])
        self.assertEqual(set(config["ExposedPorts"]), {"8080/tcp", "9464/tcp"})

    def test_there_is_no_shell_and_only_one_folder_to_write_to(self):
        # A container of its own: where something has run, there are files of buildah's too.
        root = pathlib.Path(self.buildah("mount", self.buildah("from", "steadfast:test").strip()).strip())
        files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
        programs = {str(path.relative_to(root)) for path in files if os.access(path, os.X_OK) and ".so" not in path.name}
        self.assertEqual(programs, {"usr/local/bin/steadfast"})
        writable = [path for path in root.rglob("*") if path.stat().st_uid == USER or path.stat().st_mode & 0o002]
        self.assertEqual({str(path.relative_to(root)) for path in writable}, {"tmp", "var/lib/steadfast"})
        self.assertGreater((root / "etc/ssl/certs/ca-certificates.crt").stat().st_size, 100_000)
        size = {name: sum(path.stat().st_size for path in files if name in str(path)) / 1e6 for name in ("", "bin/steadfast", "onnxruntime.so", "classifiers")}
        print(f"\nimage: {size['']:.0f} MB, of which the program {size['bin/steadfast']:.0f}, ONNX Runtime {size['onnxruntime.so']:.0f}, "
              f"the classifier {size['classifiers']:.0f} ({stage.program()})")
        if "release" in pathlib.Path(stage.program()).parts:
            page = " ".join((DOCKER / "README.md").read_text().split())
            said = re.search(r"release build: (\d+) MB, of which the program is (\d+) MB, ONNX Runtime (\d+) MB, the classifier (\d+) MB", page).groups()
            for (name, real), written in zip(size.items(), said, strict=True):
                self.assertAlmostEqual(real, int(written), delta=real / 10, msg=f"deploy/docker/README.md: {name or 'all'}")

    def test_its_classifier_and_policies_are_good(self):
        self.assertIn("classifier /usr/local", self.inside("check", "--upstream", "http://127.0.0.1:1"))
        self.inside("classifier", "verify")
        self.inside("health", "--admin", "127.0.0.1:1", status=1)

    def test_it_serves_and_is_healthy_on_a_read_only_root(self):
        """As compose.yaml and the Kubernetes objects run it: nothing but the incidents' folder can be written to."""
        model = http.server.ThreadingHTTPServer(("127.0.0.1", 0), stage.Model)
        model.daemon_threads = True
        threading.Thread(target=model.serve_forever, daemon=True).start()
        self.addCleanup(lambda: (model.shutdown(), model.server_close()))
        state = self.work / "state"
        state.mkdir()
        os.chown(state, USER, USER)
        listen, admin = (f"127.0.0.1:{port}" for port in (stage.free_port(), stage.free_port()))
        # A mount namespace of its own, so that the others see the root as it was. Even root cannot write there.
        readonly = '''mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && mount --bind "$2" "$1/var/lib/steadfast" || exit 9
            ! touch "$1/tmp/file" 2>&- || exit 8
            root=$1; shift 2; exec chroot --userspec="$OWNER" "$root" /usr/local/bin/steadfast "$@"'''
        serve = ["serve", "--upstream", f"http://127.0.0.1:{model.server_port}", "--listen", listen, "--admin", admin]
        command = ["unshare", "--mount", "sh", "-c", readonly, "sh", self.root, state, *serve]
        environment = {"PATH": os.environ["PATH"], "OWNER": f"{USER}:{USER}", "STEADFAST_INCIDENTS__STORE": "/var/lib/steadfast/incidents.db"}
        log = self.work / "log"
        with log.open("w") as sink:
            process = subprocess.Popen(command, env=environment, stdout=sink, stderr=sink)
        try:
            stage.wait(lambda: stage.fetch(f"http://{admin}/readyz")[0] == 200 or process.poll(), "the image to be ready", log)
            self.assertIsNone(process.poll(), log.read_text())
            health = ["chroot", f"--userspec={USER}:{USER}", self.root, "/usr/local/bin/steadfast", "health", "--admin", f"http://{admin}"]
            self.assertTrue(run(*health).startswith("ready; "))
            body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
            status, answer = stage.fetch(f"http://{listen}/v1/chat/completions", body, {"content-type": "application/json"})
            self.assertEqual((status, json.loads(answer)["choices"][0]["message"]["content"] in stage.GOOD), (200, True), answer)
            self.assertTrue((state / "incidents.db").exists())
        finally:
            process.terminate()
            self.assertEqual(process.wait(60), 0)


if __name__ == "__main__":
    unittest.main()
