#!/usr/bin/env python3
"""Writes what Grafana reads, dashboards/*.json, from the panels in fleet.py and one_import.py, and says in
docs/metrics.md which panels show each metric. With --check it writes nothing and fails where something would change."""

import json
import pathlib
import re
import sys

sys.dont_write_bytecode = True

import fleet
import one_import

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "metrics.md"
DASHBOARDS = {"fleet.json": fleet.DASHBOARD, "import.json": one_import.DASHBOARD}


def one_panel_a_line(dashboard):
    """So that a diff shows which panel changed."""
    panels = ",\n  ".join(json.dumps(panel, ensure_ascii=False) for panel in dashboard["panels"])
    rest = json.dumps({name: value for name, value in dashboard.items() if name != "panels"}, ensure_ascii=False, indent=1)
    return f'{rest[:-2]},\n "panels": [\n  {panels}\n ]\n}}\n'


def metrics(expr):
    """The metrics that a query reads, without what rules recorded."""
    names = re.findall(r"\b(?:imagefleet|process)_[a-z0-9_]+", re.sub(r'"[^"]*"', "", expr))
    return {re.sub("_(bucket|sum|count)$", "", name) for name in names}


def shown():
    """Each metric's panels: {metric: {"Fleet / row": [panel, …]}}."""
    places = {}
    for dashboard in DASHBOARDS.values():
        row = ""
        for panel in dashboard["panels"]:
            if panel["type"] == "row":
                row = panel["title"]
            for target in panel.get("targets", ()):
                for metric in metrics(target["expr"]):
                    panels = places.setdefault(metric, {}).setdefault(f"{dashboard['title'].split(' / ')[1]} / {row}", [])
                    if panel["title"] not in panels:
                        panels.append(panel["title"])
    return places


def page(text):
    """docs/metrics.md with its last column filled in; where no panel shows a metric, what stands there stays."""
    places, lines = shown(), []
    for line in text.splitlines():
        cells = line.split(" | ")
        if name := re.match(r"\| `(\w+\*?)` \|", line):
            prefix = name[1].rstrip("*")
            found = {}
            for metric in sorted(places):
                if metric == name[1] or (name[1].endswith("*") and metric.startswith(prefix)):
                    for row, panels in places[metric].items():
                        found.setdefault(row, []).extend(panel for panel in panels if panel not in found.get(row, ()))
            if found:
                cells[-1] = "; ".join(f"{row} / {', '.join(panels)}" for row, panels in found.items()) + " |"
                line = " | ".join(cells)
        lines.append(line)
    return "\n".join(lines) + "\n"


def main():
    wanted = {HERE / "dashboards" / name: one_panel_a_line(dashboard) for name, dashboard in DASHBOARDS.items()}
    wanted[PAGE] = page(PAGE.read_text(encoding="utf-8"))
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        if stale:
            sys.exit(f"run deploy/grafana/build.py: not as it writes them: {', '.join(path.name for path in stale)}")
        return
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")


main()
