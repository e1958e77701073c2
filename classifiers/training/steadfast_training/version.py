"""Which version a classifier's folder holds. It must not know what is in the model.

A fresh export is the version that the settings name. A model that is calibrated or measured again stays what its manifest calls it.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

from .settings import CREATED, VERSION


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def version_of(folder: Path) -> tuple[str, str]:
    """Returns (version, date): the manifest's where it is the manifest of this very model, else the settings'."""
    path = folder / "manifest.toml"
    if path.exists():
        manifest = tomllib.loads(path.read_text(encoding="utf-8"))
        if manifest["model"]["sha256"] == sha256(folder / "model.onnx"):
            return manifest["version"], str(manifest["created"])
    return VERSION, CREATED
