#!/usr/bin/env python3
"""Writes the dashboards beside it with the Grafana Foundation SDK, so that what is imported is what Grafana's schema allows.

    python deploy/grafana/build.py            writes steadfast.json and persona-drift.json
    python deploy/grafana/build.py --print    prints them, by name, as one JSON object

Needs grafana-foundation-sdk (tests/deploy/requirements.txt). The panels read the raw series, so the dashboards work without the recording rules.
"""

import json
import pathlib
import sys

from grafana_foundation_sdk.builders import bargauge, common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
# What a verdict on the text itself is, as opposed to one because there was none.
JUDGED = 'rule!~"on_(error|overload|unknown)"'
JOB = 'job=~"$job"'
ROUTE = 'job=~"$job", route=~"$route"'
ASKED = ROUTE + ', persona=~"$persona", model=~"$model"'


def query(expr, legend="", instant=False, form=None):
    made = prometheus.Dataquery().expr(expr).legend_format(legend)
    made = made.instant() if instant else made.range()
    return made.format(form) if form else made


def dress(panel, title, text, queries, width, height, unit=None):
    panel = panel.title(title).description(text).datasource(SOURCE).span(width).height(height)
    for number, made in enumerate(queries):
        panel = panel.with_target(made.ref_id(chr(ord("A") + number)))
    return panel.unit(unit) if unit else panel


def lines(title, text, *queries, unit="short", width=8, stacked=False, limit=None, least=0.0):
    panel = dress(timeseries.Panel(), title, text, queries, width, 8, unit)
    panel = panel.min(least).line_width(1).show_points(kinds.VisibilityMode.NEVER)
    panel = panel.legend(common.VizLegendOptions().display_mode(kinds.LegendDisplayMode.LIST).placement(kinds.LegendPlacement.BOTTOM).show_legend(True))
    panel = panel.tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
    if stacked:
        panel = panel.fill_opacity(35).stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL))
    if limit is not None:
        steps = [models.Threshold(value=None, color="transparent"), models.Threshold(value=limit, color="red")]
        panel = panel.thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
        panel = panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(kinds.GraphTresholdsStyleMode.LINE))
    return panel


def number(title, text, expr, unit="short", warn=None, bad=None, width=4):
    panel = dress(stat.Panel(), title, text, [query(expr)], width, 4, unit)
    steps = [models.Threshold(value=None, color="green")]
    steps += [models.Threshold(value=value, color=color) for value, color in ((warn, "orange"), (bad, "red")) if value is not None]
    panel = panel.thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    return panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"])).graph_mode(kinds.BigValueGraphMode.AREA)


def heat_map(title, text, expr, unit="short", width=8):
    panel = dress(heatmap.Panel(), title, text, [query(expr, "{{le}}", form=PromQueryFormat.HEATMAP)], width, 8)
    panel = panel.calculate(False).color(heatmap.HeatmapColorOptions().mode(heat.HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
    return panel.y_axis(heatmap.YAxisConfig().unit(unit)).show_tooltip()


def bars(title, text, expr, legend, unit="short", width=8):
    panel = dress(bargauge.Panel(), title, text, [query(expr, legend, instant=True)], width, 8, unit)
    return panel.orientation(kinds.VizOrientation.HORIZONTAL).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def rows(title, text, expr, width=8):
    return dress(table.Panel(), title, text, [query(expr, instant=True, form=PromQueryFormat.TABLE)], width, 8)


def quantiles(family, labels, by, *shares):
    """One query for each share, of a histogram's observations by `by`."""
    kept = ", ".join([*by, "le"])
    name = " ".join("{{" + label + "}}" for label in by)
    return [
        query(f"histogram_quantile({share}, sum by ({kept}) (rate({family}_bucket{{{labels}}}[$__rate_interval])))", f"p{share * 100:g} {name}".strip())
        for share in shares
    ]


def rate(family, labels, by):
    return f"sum by ({by}) (rate({family}{{{labels}}}[$__rate_interval]))" if by else f"sum(rate({family}{{{labels}}}[$__rate_interval]))"


def share(part, whole):
    return f"{part} / ({whole} > 0)"


def variable(name, label, definition):
    made = dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(definition)
    made = made.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)
    return made.multi(True).include_all(True).all_value(".*")


def marks(name, expr, color):
    return dashboard.AnnotationQuery().name(name).datasource(SOURCE).expr(expr).icon_color(color).enable(True)


def board(title, uid, text, other):
    made = dashboard.Dashboard(title).uid(uid).description(text).tags(["steadfast"]).readonly().timezone("browser")
    made = made.time("now-6h", "now").refresh("30s").tooltip(models.DashboardCursorSync.CROSSHAIR)
    made = made.with_variable(dashboard.DatasourceVariable("datasource").label("data source").type("prometheus"))
    made = made.with_variable(variable("job", "job", "label_values(steadfast_build_info, job)"))
    made = made.with_variable(variable("route", "route", 'label_values(steadfast_in_flight_requests{job=~"$job"}, route)'))
    made = made.with_variable(variable("persona", "persona", f"label_values(steadfast_answers_total{{{ROUTE}}}, persona)"))
    made = made.with_variable(variable("model", "model", f"label_values(steadfast_answers_total{{{ROUTE}}}, model)"))
    made = made.annotation(marks("reloads", f"sum by (instance, result) (increase(steadfast_policy_reloads_total{{{JOB}}}[1m])) > 0", "blue"))
    made = made.annotation(
        marks("incidents", f'sum by (route, rule) (increase(steadfast_verdicts_total{{{ROUTE}, action="block", {JUDGED}}}[1m])) > 0', "red")
    )
    link = dashboard.DashboardLink(other[0]).type(models.DashboardLinkType.LINK).url(f"/d/{other[1]}").keep_time(True).include_vars(True)
    return made.link(link)


def gateway():
    verdicts, unscored, requests = "steadfast_verdicts_total", "steadfast_unscored_total", "steadfast_requests_total"
    made = board(
        "steadfast", "steadfast", "A gateway that keeps a language model in character: traffic, guard, classifier, operation.", ("persona drift", "steadfast-drift")
    ).with_variable(variable("upstream", "upstream", 'label_values(steadfast_upstream_duration_seconds_count{job=~"$job"}, upstream)'))
    judged = rate(verdicts, f"{ROUTE}, {JUDGED}", "")
    for panel in [
        number("Requests", "Answered per second.", rate(requests, ROUTE, ""), "reqps"),
        number("Withheld", "Share of judged answers that were blocked because of what they said, in enforce mode.",
               share(rate(verdicts, f'{ROUTE}, action="block", mode="enforce", {JUDGED}', ""), rate(verdicts, f'{ROUTE}, mode="enforce", {JUDGED}', "")),
               "percentunit", 0.01, 0.05),
        number("Asked again", "Share of judged answers that a retry replaced or tried to replace.",
               share(rate(verdicts, f'{ROUTE}, action="retry"', ""), judged), "percentunit", 0.02, 0.1),
        number("Not judged, share", "Share of requests of which a part could not be judged. on_error, on_overload and on_unknown say what became of them.",
               share(rate(unscored, ROUTE, ""), rate(requests, ROUTE, "")), "percentunit", 0.001, 0.01),
        number("Guard, p99", "What the guard added to one answer in a hundred: from the upstream's last byte to the last byte released.",
               quantiles("steadfast_guard_duration_seconds", ROUTE, [], 0.99)[0].build().expr, "s", 0.1, 0.25),
        number("Replicas", "Instances that answer to Prometheus.", f"count(steadfast_build_info{{{JOB}}})"),
    ]:
        made = made.with_panel(panel)

    made = made.with_row(dashboard.Row("Traffic"))
    for panel in [
        lines("Requests by status", "By the status sent to the client. A block with status 200 is a 200 here.",
              query(rate(requests, ROUTE, "code"), "{{code}}"), unit="reqps", stacked=True),
        lines("Requests by route and format", "unknown: no wire format that can be judged.",
              query(rate(requests, ROUTE, "route, api"), "{{route}} {{api}}"), unit="reqps"),
        lines("In flight", "Requests whose response body has not ended.", query(f"sum by (route) (steadfast_in_flight_requests{{{ROUTE}}})", "{{route}}")),
        lines("Upstream errors", "Share of upstream calls that ended in a 5xx or in no answer.",
              query(share(rate("steadfast_upstream_duration_seconds_count", f'{JOB}, upstream=~"$upstream", code=~"5..|5xx|none"', "upstream"),
                          rate("steadfast_upstream_duration_seconds_count", f'{JOB}, upstream=~"$upstream"', "upstream")), "{{upstream}}"),
              unit="percentunit", limit=0.05),
        lines("Upstream calls", "From the request sent to the end of the body.",
              *quantiles("steadfast_upstream_duration_seconds", f'{JOB}, upstream=~"$upstream"', ["upstream"], 0.5, 0.95), unit="s"),
        lines("First text", "From the request to the first text released to the client.",
              *quantiles("steadfast_time_to_first_text_seconds", ROUTE, ["route"], 0.5, 0.95), unit="s"),
    ]:
        made = made.with_panel(panel)

    made = made.with_row(dashboard.Row("Guard"))
    for panel in [
        lines("Verdicts", "Judged answers by action, attempts that were asked again included.",
              query(rate(verdicts, ROUTE, "action"), "{{action}}"), unit="ops", stacked=True),
        lines("Answers by persona and model", "Judged answers of the chosen personas and models. The first fifty models that answer have a name, the others are other.",
              query(rate("steadfast_answers_total", ASKED, "persona, model"), "{{persona}}: {{model}}"), unit="ops", stacked=True),
        lines("Rules that fired", "Flags, retries and blocks by rule and mode. on_error, on_overload and on_unknown are outages.",
              query(rate(verdicts, f'{ROUTE}, action!="allow"', "rule, action, mode"), "{{rule}}: {{action}} ({{mode}})"), unit="ops"),
        lines("Not judged", "Answers of which a part could not be judged, by reason.", query(rate(unscored, ROUTE, "reason"), "{{reason}}"), unit="ops"),
        lines("Retries", "Wishes to ask again, by what became of them.",
              query(rate("steadfast_retries_total", ROUTE, "outcome"), "{{outcome}}"), unit="ops"),
        lines("Time the guard added", "From the upstream's last byte to the last byte released.",
              *quantiles("steadfast_guard_duration_seconds", ROUTE, [], 0.5, 0.95, 0.99), unit="s", limit=0.25),
        lines("Time text was held", "In streams: from its arrival to its release.",
              *quantiles("steadfast_stream_hold_seconds", ROUTE, [], 0.5, 0.95, 0.99), unit="s"),
    ]:
        made = made.with_panel(panel)

    made = made.with_row(dashboard.Row("Drift"))
    for panel in [
        lines("Collapse rate", "Share of judged answers that a rule would block or ask again, in shadow mode too.",
              query(share(rate(verdicts, f'{ROUTE}, action=~"retry|block", {JUDGED}', "route"), rate(verdicts, f"{ROUTE}, {JUDGED}", "route")), "{{route}}"),
              unit="percentunit", limit=0.05),
        lines("Fleet drift", "Chart (CUSUM) of the collapse rate, the replica that is furthest off. 10 is the alert's limit.",
              query(f"max by (route) (steadfast_fleet_drift{{{ROUTE}}})", "{{route}}"), limit=10),
        lines("Drift of conversations", "In standard deviations, after each judged turn.",
              *quantiles("steadfast_session_drift", ROUTE, ["route"], 0.5, 0.95), limit=5),
    ]:
        made = made.with_panel(panel)

    made = made.with_row(dashboard.Row("Classifier"))
    windows = "steadfast_windows_scored_total"
    for panel in [
        lines("Windows", "Windows of text judged, by stage and whether the cache answered.",
              query(rate(windows, JOB, "stage, cached"), "{{stage}}, cached {{cached}}"), unit="ops", stacked=True),
        lines("Time for one window", "In the classifier, its wait in the queue left out.",
              *quantiles("steadfast_classifier_duration_seconds", JOB, ["stage"], 0.5, 0.99), unit="s"),
        lines("Queue", "Windows waiting, by replica.", query(f"steadfast_classifier_queue_length{{{JOB}}}", "{{instance}}")),
        lines("Windows at once", "How many the classifier took together, on average.",
              query(share(rate("steadfast_classifier_batch_size_sum", JOB, "instance"), rate("steadfast_classifier_batch_size_count", JOB, "instance")), "{{instance}}")),
        lines("Cache", "Share of windows that the cache answered.",
              query(share(rate(windows, f'{JOB}, cached="true"', ""), rate(windows, JOB, "")), "hits"), unit="percentunit"),
        lines("Cores at work", "Seconds of classifier time per second.",
              query(rate("steadfast_classifier_duration_seconds_sum", JOB, "instance"), "{{instance}}")),
    ]:
        made = made.with_panel(panel)

    made = made.with_row(dashboard.Row("Operation"))
    for panel in [
        lines("Reloads", "Of configuration, policies and personas. After a failed one the old ones stay in force.",
              query(f"sum by (result) (increase(steadfast_policy_reloads_total{{{JOB}}}[$__rate_interval]))", "{{result}}")),
        lines("Incidents not recorded", "Their verdicts were carried out.", query(rate("steadfast_incidents_dropped_total", JOB, "reason"), "{{reason}}"), unit="ops"),
        lines("Spans not delivered", "Of traces. Their exchanges went on.", query(rate("steadfast_spans_dropped_total", JOB, "reason"), "{{reason}}"), unit="ops"),
        rows("What is running", "Program, classifier and runtime of each replica.",
             f"count by (instance, version, classifier, runtime) (steadfast_build_info{{{JOB}}})"),
    ]:
        made = made.with_panel(panel)
    return made


def drift():
    verdicts, hits = "steadfast_verdicts_total", "steadfast_label_hits_total"
    made = board(
        "steadfast: persona drift", "steadfast-drift", "Whether a model is still who it is meant to be: single answers, conversations, the fleet.", ("steadfast", "steadfast")
    )
    made = made.with_variable(variable("label", "label", 'label_values(steadfast_label_score_count{job=~"$job"}, label)'))
    collapsed = f'{ROUTE}, action=~"retry|block", {JUDGED}'

    made = made.with_row(dashboard.Row("Answers"))
    for panel in [
        lines("Collapse rate", "Share of judged answers that a rule would block or ask again, in shadow mode too.",
              query(share(rate(verdicts, collapsed, "route"), rate(verdicts, f"{ROUTE}, {JUDGED}", "route")), "{{route}}"), unit="percentunit", limit=0.05),
        lines("Collapse rate by persona and model", "Of the chosen ones: a push of one model shows here before it shows in its route.",
              query(share(rate("steadfast_answers_total", f'{ASKED}, action=~"retry|block"', "persona, model"), rate("steadfast_answers_total", ASKED, "persona, model")), "{{persona}}: {{model}}"),
              unit="percentunit", limit=0.05),
        lines("Labels that fired", "Answers in which a label fired a rule, per second.",
              query(rate(hits, f'{ROUTE}, label=~"$label"', "label"), "{{label}}"), unit="ops", stacked=True),
        bars("Labels, in the chosen time", "Answers in which a label fired a rule.", f'sum by (label) (increase({hits}{{{ROUTE}, label=~"$label"}}[$__range]))', "{{label}}"),
        lines("Scores, 99th percentile", "Of each answer's highest probability of a label. It moves before rules fire.",
              *quantiles("steadfast_label_score", f'{JOB}, label=~"$label"', ["label"], 0.99), unit="percentunit"),
        heat_map("Scores of the chosen labels", "How many answers in each range of probability.",
                 f'sum by (le) (increase(steadfast_label_score_bucket{{{JOB}, label=~"$label"}}[$__rate_interval]))', "percentunit"),
        lines("Flags, and what shadow mode would have done", "Judged answers that left, marked.",
              query(rate(verdicts, f'{ROUTE}, action="flag"', "rule"), "{{rule}}: flag"),
              query(rate(verdicts, f'{ROUTE}, action=~"retry|block", mode="shadow"', "rule, action"), "{{rule}}: {{action}} (shadow)"), unit="ops"),
    ]:
        made = made.with_panel(panel)

    made = made.with_row(dashboard.Row("Conversations"))
    for panel in [
        heat_map("Drift", "Of conversations after each judged turn, in standard deviations.",
                 f"sum by (le) (increase(steadfast_session_drift_bucket{{{ROUTE}}}[$__rate_interval]))"),
        lines("Drift, quantiles", "5 is the limit of the policies that ship.",
              *quantiles("steadfast_session_drift", ROUTE, ["route"], 0.5, 0.9, 0.99), limit=5),
        lines("Conversations steered", "Requests of drifting conversations for which a rule asked for a measure, by what became of it.",
              query(rate("steadfast_drift_measures_total", ROUTE, "measure, outcome"), "{{measure}}: {{outcome}}"), unit="ops"),
        lines("Conversations remembered", "By store, all replicas. Replicas that share a Redis each count all of them.",
              query(f"max by (store) (steadfast_sessions{{{JOB}}})", "{{store}}")),
    ]:
        made = made.with_panel(panel)

    made = made.with_row(dashboard.Row("Fleet"))
    for panel in [
        lines("Fleet drift", "Chart (CUSUM) of each route's collapse rate by replica. 10 is the alert's limit.",
              query(f"steadfast_fleet_drift{{{ROUTE}}}", "{{route}} {{instance}}"), limit=10),
        lines("Scores that have moved", "Population stability index of each distribution against its baseline, the replica that is furthest off. 0.25 is an incident.",
              query(f"max by (route, quantity) (steadfast_fleet_shift{{{ROUTE}}}) > 0.1", "{{route}} {{quantity}}"), limit=0.25),
        lines("Circuits", "Of routes whose policy has one, by replica: 0 closed, 1 half-open, 2 open.",
              query(f"steadfast_circuit_state{{{ROUTE}}}", "{{route}} {{instance}}")),
        lines("Detours", "Exchanges while a circuit was not closed: sent through to see, moved to the fallback, refused.",
              query(rate("steadfast_circuit_exchanges_total", ROUTE, "route, way"), "{{route}}: {{way}}"), unit="ops"),
        lines("Retries that helped", "Share of attempts after which a good answer left.",
              query(share(rate("steadfast_retries_total", f'{ROUTE}, outcome="recovered"', "route"), rate("steadfast_retries_total", f'{ROUTE}, outcome="attempted"', "route")),
                    "{{route}}"), unit="percentunit"),
        bars("Age of thresholds", "Since a persona was calibrated. Providers change models behind the same name.",
             f'time() - max by (persona) (steadfast_calibration_timestamp_seconds{{{JOB}, persona=~"$persona"}} > 0)', "{{persona}}", "s"),
    ]:
        made = made.with_panel(panel)
    return made


BOARDS = {"steadfast.json": gateway, "persona-drift.json": drift}


def texts():
    return {name: json.dumps(made().build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n" for name, made in BOARDS.items()}


if __name__ == "__main__":
    if sys.argv[1:] == ["--print"]:
        print(json.dumps({name: json.loads(text) for name, text in texts().items()}))
    else:
        for file, text in texts().items():
            (HERE / file).write_text(text)
