"""Where the real tools are that these checks run, and how they are run. scripts/test-deploy installs them. Knows nothing of what is checked."""

import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
TOOLS = pathlib.Path(os.environ.get("STEADFAST_DEPLOY_TOOLS", ROOT / ".cache/deploy"))
PROMETHEUS = TOOLS / "prometheus/usr/bin/prometheus"
PROMTOOL = TOOLS / "prometheus/usr/bin/promtool"
BIN = TOOLS / "venv/bin"

# Longer than anything here takes on a machine that is busy with other things.
PATIENCE = 300


def run(*command, status=0, patience=PATIENCE, **options):
    """Runs a tool and returns what it printed; fails with all of it where the exit status is another one."""
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience, cwd=ROOT, **options)
    said = f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == status, said
    return done.stdout


def documented_metrics():
    """Metric families by name, with type and labels, as docs/metrics.md has them; a Rust test holds that table to the program."""
    row = re.compile(r"^\| `(steadfast_\w+)` \| (\w+) \|([^|]*)\|", re.MULTILINE)
    found = row.findall((ROOT / "docs/metrics.md").read_text())
    assert len(found) > 15, "docs/metrics.md has lost its table"
    return {name: (kind, set(filter(None, labels.replace(" ", "").split(",")))) for name, kind, labels in found}


def metrics_in(text):
    """The families of the program that a text of PromQL names, without the suffixes of a histogram's series."""
    known = documented_metrics()
    names = set()
    for name in re.findall(r"(?<![\w:])steadfast_\w+", text):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        names.add(base if base in known and known[base][0] == "histogram" else name)
    return names


def queries_in(page):
    """The PromQL of a Markdown page's code blocks. A line that is indented goes on with the query before it."""
    queries = []
    for block in re.findall(r"```promql\n(.*?)```", page, re.DOTALL):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        queries += re.split(r"\n(?! )", "\n".join(lines))
    return queries
