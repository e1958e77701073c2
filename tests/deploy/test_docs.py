"""The documents: links lead somewhere, configurations and policies in them are taken by the program, the first policy's cases pass."""

import pathlib
import re
import tempfile
import unittest

import stage
from tools import ROOT, run

PAGES = sorted(
    page
    for folder in (ROOT, ROOT / "docs", ROOT / "deploy", ROOT / "classifiers")
    for page in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
    if "node_modules" not in page.parts
)
ENVIRONMENT = {"XAI_API_KEY": "k", "GROQ_API_KEY": "k", "STEADFAST_CLIENT_KEYS": "k" * 20}


def prose(text):
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def files(section):
    """The files that a text shows: blocks that begin with a comment that is a name."""
    return re.findall(r"```toml\n# ([\w./-]+\.toml)\n(.*?)```", section, re.DOTALL)


class Links(unittest.TestCase):
    def test_every_link_leads_somewhere(self):
        checked = 0
        for page in PAGES:
            for target in re.findall(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)", prose(page.read_text())):
                if re.match(r"\w+:", target):
                    continue
                path, _, anchor = target.partition("#")
                file = (page.parent / path).resolve() if path else page
                with self.subTest(page=str(page.relative_to(ROOT)), target=target):
                    self.assertTrue(file.exists())
                    if anchor:
                        self.assertIn(anchor, anchors(file))
                checked += 1
        self.assertGreater(checked, 50)


class Configurations(unittest.TestCase):
    def check(self, shown, *command):
        """Lays the files out and runs the program on them."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in shown:
                file = pathlib.Path(folder) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            return run(stage.program(), *(part.replace("FOLDER", folder) for part in command), env=ENVIRONMENT | {"HOME": str(pathlib.Path.home())})

    def test_each_recipe_is_taken_by_the_program(self):
        sections = [files(section) for section in re.split(r"^## ", (ROOT / "docs/recipes.md").read_text(), flags=re.MULTILINE)]
        sections = [shown for shown in sections if shown]
        self.assertGreaterEqual(len(sections), 4)
        classifier = str(ROOT / "classifiers/collapse")
        for shown in sections:
            with self.subTest(shown[0][1][:80]):
                self.check(shown, "check", "--config", "FOLDER/steadfast.toml", "--classifier", classifier)

    def test_the_configuration_beside_envoy_is_taken_by_the_program(self):
        file = ROOT / "deploy/envoy/steadfast.toml"
        self.check([("steadfast.toml", file.read_text())], "check", "--config", "FOLDER/steadfast.toml", "--classifier", str(ROOT / "classifiers/collapse"))

    def test_the_first_policy_does_what_is_written_down(self):
        shown = files((ROOT / "docs/first-policy.md").read_text())
        self.assertEqual([name for name, _ in shown], ["persona.toml", "policy.toml", "policy.test.toml", "steadfast.toml"])
        # With a classifier or without one.
        for classifier in (str(ROOT / "classifiers/collapse"), "none"):
            self.check(shown, "check", "--config", "FOLDER/steadfast.toml", "--classifier", classifier)
            said = self.check(shown, "test", "FOLDER/policy.toml", "--config", "FOLDER/steadfast.toml", "--classifier", classifier)
            self.assertIn("3 passed, 0 failed", said)


if __name__ == "__main__":
    unittest.main()
