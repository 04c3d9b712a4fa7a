"""Panels in a few words each, as Grafana's classic dashboard JSON (schema version 39, Grafana 10.4 and newer)."""

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

# What never changes its meaning never changes its colour.
COLORS = {
    "imported": "green", "failed": "red", "retrying": "orange", "skipped": "blue", "unreadable": "purple",
    "2xx": "green", "3xx": "blue", "4xx": "yellow", "5xx": "red",
    "ok": "green", "throttled": "orange", "limit": "dark-red",
}  # fmt: skip


def query(expr, legend="", instant=False, heatmap=False):
    """One query of a panel; `legend` is a template of labels."""
    return {
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": " ".join(expr.split()),
        "format": "heatmap" if heatmap else "time_series",
        "instant": instant,
        "legendFormat": legend or "__auto",
        "range": not instant,
    }


def panel(kind, title, about, unit, queries, width, height, custom, options, limits=(), best=None, texts=None, **defaults):
    """`about` says what a bad value means and what to do. `limits` are (value, colour) from below,
    green beneath the first; `best` is the colour beneath it, if another. `texts` are shown instead
    of values."""
    steps = [{"color": best or "green", "value": None}]
    steps += [{"color": color, "value": value} for value, color in limits]
    mappings = [
        {"type": "value", "options": {str(value): {"text": text, "color": color, "index": index}}}
        for index, (value, text, color) in enumerate(texts or ())
    ]
    colors = [
        {
            "matcher": {"id": "byName", "options": name},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
        }
        for name, color in COLORS.items()
    ]
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": DATASOURCE,
        "gridPos": {"h": height, "w": width},
        "targets": [q | {"refId": "ABCDEFGH"[n]} for n, q in enumerate(queries)],
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "custom": custom,
                "mappings": mappings,
                "thresholds": {"mode": "absolute", "steps": steps},
                **defaults,
            },
            "overrides": colors if kind == "timeseries" else [],
        },
        "options": options,
    }


def stat(title, about, unit, *queries, width=4, color="value", **more):
    """The latest value, large."""
    options = {
        "colorMode": color,
        "graphMode": "none" if any(q["instant"] for q in queries) else "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
        "wideLayout": True,
    }
    return panel("stat", title, about, unit, queries, width, 4, {}, options, **more)


def lines(title, about, unit, *queries, width=8, stack=False, table=False, **more):
    """Values over time; with `limits`, the limits as lines. `table` is for many series."""
    custom = {
        "drawStyle": "line",
        "fillOpacity": 30 if stack else 8,
        "lineWidth": 1,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if more.get("limits") else "off"},
    }
    options = {
        "legend": {
            "calcs": ["lastNotNull", "max"] if table else [],
            "displayMode": "table" if table else "list",
            "placement": "bottom",
            "showLegend": True,
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    more = {"min": 0, "color": {"mode": "palette-classic"}} | more
    return panel("timeseries", title, about, unit, queries, width, 8, custom, options, **more)


def timeline(title, about, *queries, texts, width=16):
    """States over time."""
    custom = {"fillOpacity": 80, "lineWidth": 0}
    options = {
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
        "mergeValues": True,
        "rowHeight": 0.9,
        "showValue": "never",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    limits = [(1, "green")]
    return panel("state-timeline", title, about, "short", queries, width, 8, custom, options, limits, "red", texts)


def heatmap(title, about, unit, expr, width=8):
    """How a histogram's observations spread over time."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "fill": "dark-orange", "exponent": 0.5, "reverse": False, "steps": 64},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }
    queries = [query(expr, "{{le}}", heatmap=True)]
    return panel("heatmap", title, about, unit, queries, width, 8, {"hideFrom": {"legend": False, "tooltip": False, "viz": False}}, options)


def quantile(q, histogram, by=""):
    """A quantile of a histogram's rate, `by` labels."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({histogram}_bucket[$__rate_interval])))"


def label_values(name, label, about, metric, default=None, newest_first=False):
    """A variable that offers the values of a metric's label."""
    definition = f"label_values({metric}, {name})"
    return {
        "type": "query",
        "name": name,
        "label": label,
        "description": about,
        "datasource": DATASOURCE,
        "definition": definition,
        "query": {"qryType": 1, "query": definition, "refId": name},
        "current": {"selected": True, "text": default, "value": default} if default else {},
        "refresh": 2,
        "sort": 2 if newest_first else 1,
        "includeAll": False,
        "multi": False,
        "options": [],
        "regex": "",
        "hide": 0,
    }


def place(rows):
    """Panels in their places, left to right, with ids that stay while nothing is put before them."""
    y, placed = 0, []
    for title, panels in rows:
        placed.append({"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}})
        y, x, height = y + 1, 0, 0
        for each in panels:
            size = each["gridPos"]
            if x + size["w"] > 24:
                y, x, height = y + height, 0, 0
            placed.append(each | {"gridPos": size | {"x": x, "y": y}})
            x, height = x + size["w"], max(height, size["h"])
        y += height
    return [{"id": n + 1} | each for n, each in enumerate(placed)]


def dashboard(uid, title, about, variables, rows):
    """A whole dashboard."""
    datasource = {
        "type": "datasource",
        "name": "datasource",
        "label": "Prometheus",
        "query": "prometheus",
        "current": {},
        "refresh": 1,
        "includeAll": False,
        "multi": False,
        "options": [],
        "regex": "",
        "hide": 0,
    }
    return {
        "uid": uid,
        "title": title,
        "description": about,
        "tags": ["imagefleet"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "title": "Imagefleet", "tags": ["imagefleet"], "asDropdown": False, "keepTime": True, "includeVars": False, "targetBlank": False}],
        "annotations": {"list": []},
        "templating": {"list": [datasource, *variables]},
        "panels": place(rows),
    }
