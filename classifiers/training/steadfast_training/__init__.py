"""Training of steadfast's collapse classifier: prepare, train, export, calibrate, evaluate, card."""

import os

# ONNX Runtime would report what is run to its maker; it looks when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
