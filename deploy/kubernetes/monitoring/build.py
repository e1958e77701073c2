#!/usr/bin/env python3
"""Writes prometheusrule.yaml beside it: the rules of deploy/prometheus as the Prometheus Operator wants them. Needs PyYAML."""

import pathlib

import yaml

HERE = pathlib.Path(__file__).resolve().parent
RULES = HERE.parents[1] / "prometheus/rules"


def text():
    groups = [group for name in ("recording", "alerts") for group in yaml.safe_load((RULES / f"{name}.yml").read_text())["groups"]]
    rule = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "steadfast"}, "spec": {"groups": groups}}
    return "# Written by build.py from deploy/prometheus/rules.\n" + yaml.safe_dump(rule, sort_keys=False, width=150)


if __name__ == "__main__":
    (HERE / "prometheusrule.yaml").write_text(text())
