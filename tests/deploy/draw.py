"""Draws a dashboard as a picture from what Prometheus answered to its panels: for the documents, in place of a screenshot of Grafana, which is in no
package registry. Positions, titles, units and legends are the dashboard's own. Knows no Prometheus."""

import math

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plot  # noqa: E402

INK, PAPER, PANEL, GRID = "#d0d3d9", "#111217", "#181b1f", "#2c2f36"
COLORS = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#fade2a", "#96d98d", "#ff7383"]


def shown(value, unit):
    """A number as Grafana would write it."""
    if value is None or math.isnan(value):
        return "no data"
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if abs(value) < 1 else f"{value:.3g} s" if value < 120 else f"{value / 86400:.2g} d"
    suffix = {"reqps": " req/s", "ops": " ops/s"}.get(unit, "")
    return f"{value:.4g}{suffix}"


def draw(board, answers, file):
    """`answers`: by panel title, a list of (legend, times, values), the times in seconds since the start."""
    panels = [panel for panel in board["panels"]]
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = plot.figure(figsize=(16, bottom * 0.36), facecolor=PAPER)
    for panel in panels:
        place = panel["gridPos"]
        left, top = place["x"] / 24, 1 - place["y"] / bottom
        width, height = place["w"] / 24, place["h"] / bottom
        if panel["type"] == "row":
            figure.text(0.008, top - height / 2, panel["title"], color=INK, fontsize=12, weight="bold", va="center")
            continue
        inset = (left + 0.004, top - height + 0.15 / bottom, width - 0.008, height - 0.3 / bottom)
        figure.patches.append(plot.Rectangle(inset[:2], inset[2], inset[3], transform=figure.transFigure, facecolor=PANEL, edgecolor=GRID, zorder=-1))
        figure.text(left + 0.01, top - 0.75 / bottom, panel["title"], color=INK, fontsize=9.5, weight="bold", va="center")
        if panel["type"] in DRAWERS:
            DRAWERS[panel["type"]](figure, panel, answers.get(panel["title"], []), (left, top, width, height), bottom)
    figure.savefig(file, dpi=60, facecolor=PAPER)
    plot.close(figure)


def axes(figure, place, bottom):
    left, top, width, height = place
    made = figure.add_axes((left + 0.045, top - height + 2.2 / bottom, width - 0.06, height - 3.9 / bottom), facecolor=PANEL)
    made.tick_params(colors=INK, labelsize=7, length=0)
    for spine in made.spines.values():
        spine.set_color(GRID)
    made.grid(color=GRID, linewidth=0.6)
    return made


def lines(figure, panel, series, place, bottom):
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    chart = axes(figure, place, bottom)
    if not series:
        chart.text(0.5, 0.5, "no data", color=INK, ha="center", transform=chart.transAxes)
    stacked = "stacking" in panel["fieldConfig"]["defaults"].get("custom", {})
    below = {}
    for number, (legend, times, values) in enumerate(series[:10]):
        values = [float("nan") if math.isinf(value) else value for value in values]
        color = COLORS[number % len(COLORS)]
        if stacked:
            low = [below.get(time, 0) for time in times]
            values = [base + value for base, value in zip(low, values)]
            below.update(zip(times, values))
            chart.fill_between(times, low, values, color=color, alpha=0.35, linewidth=0)
        chart.plot(times, values, color=color, linewidth=1.2, label=legend)
    chart.set_ylim(bottom=0)
    chart.yaxis.set_major_formatter(lambda value, _: shown(value, unit))
    chart.xaxis.set_major_formatter(lambda value, _: f"{int(value) // 60}:{int(value) % 60:02}")
    if series:
        chart.legend(loc="upper center", bbox_to_anchor=(0.48, -0.11), ncols=3, fontsize=6.5, frameon=False, labelcolor=INK)


def number(figure, panel, series, place, bottom):
    left, top, width, height = place
    values = [value for _, _, values in series for value in values if not math.isnan(value)]
    text = shown(values[-1] if values else None, panel["fieldConfig"]["defaults"].get("unit", "short"))
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    passed = [step for step in steps if step["value"] is None or (values and values[-1] >= step["value"])]
    color = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c"}[passed[-1]["color"]]
    figure.text(left + width / 2, top - height / 2 - 0.3 / bottom, text, color=color, fontsize=20, ha="center", va="center")


def heat(figure, panel, series, place, bottom):
    chart = axes(figure, place, bottom)
    series = sorted(series, key=lambda one: float(one[0].replace("+Inf", "inf")))
    times = sorted({time for _, times, _ in series for time in times})
    table, under = [], dict.fromkeys(times, 0.0)
    for _, at, values in series:
        here = dict(zip(at, values))
        table.append([max(0.0, here.get(time, 0.0) - under[time]) for time in times])
        under = {time: here.get(time, under[time]) for time in times}
    if table:
        chart.imshow(table, aspect="auto", origin="lower", cmap="YlOrRd", extent=(times[0], times[-1], 0, len(table)))
        chart.set_yticks([row + 1 for row in range(0, len(table), 2)], [series[row][0] for row in range(0, len(table), 2)])
    chart.grid(False)
    chart.xaxis.set_major_formatter(lambda value, _: f"{int(value) // 60}:{int(value) % 60:02}")


def bars(figure, panel, series, place, bottom):
    chart = axes(figure, (place[0] + 0.05, place[1], place[2] - 0.05, place[3] + 1.4 / bottom), bottom)
    found = sorted((values[-1], legend) for legend, _, values in series if values)
    chart.barh([legend for _, legend in found], [value for value, _ in found], color=COLORS[2])
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    chart.xaxis.set_major_formatter(lambda value, _: shown(value, unit))
    if not found:
        chart.text(0.5, 0.5, "no data", color=INK, ha="center", transform=chart.transAxes)


def rows(figure, panel, series, place, bottom):
    left, top, _, _ = place
    for number, (legend, _, _) in enumerate(series[:8]):
        figure.text(left + 0.012, top - (2 + number) / bottom, legend, color=INK, fontsize=7.5, va="center")


DRAWERS = {"timeseries": lines, "stat": number, "heatmap": heat, "bargauge": bars, "table": rows}
