"""Training of steadfast's collapse classifier: prepare, train, export, calibrate, evaluate, card."""
