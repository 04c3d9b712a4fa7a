"""What the documents name exists: alerts, metrics, commands, HTTP paths, settings, links.

Needs nothing but Python: python3 deploy/tests/test_documents.py
"""

import json
import os
import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = "deploy/RUNBOOK.md"
RULES = ROOT / "deploy/prometheus/rules"
GENERATED = {".git", ".tools", "target", "node_modules", "dist", "data", ".imagefleet"}

# Every series has these; no page needs to list them.
COMMON_LABELS = {"job", "instance", "le", "__name__"}
# Served beside what openapi.json describes, and where that is written.
UNDESCRIBED = {
    "/health": "libs/runtime/src/health.rs",
    "/livez": "libs/runtime/src/health.rs",
    "/readyz": "libs/runtime/src/health.rs",
    "/metrics": "libs/runtime/src/health.rs",
    "/api/docs": "gateway/src/routes/docs.rs",
}
# Capitals with an underscore that are no settings of ours.
NO_SETTINGS = {"FILE_ID", "READ_COMMITTED_SNAPSHOT"}


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def documents():
    """The path and text of each Markdown file that somebody wrote."""
    for folder, names, files in os.walk(ROOT):
        names[:] = [name for name in names if name not in GENERATED]
        for name in sorted(files):
            if name.endswith(".md"):
                path = (Path(folder) / name).relative_to(ROOT).as_posix()
                yield path, read(path)


def code(text):
    """The lines of code blocks, and the code spans outside them."""
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced:
            yield line
        else:
            yield from re.findall(r"`([^`]+)`", line)


def slug(heading):
    """The anchor that GitHub gives a heading."""
    heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def headings(text):
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        match = re.match(r"#+ +(.*)", line)
        if match and not fenced:
            yield match[1].strip()


class Metric:
    """A row of docs/metrics.md."""

    def __init__(self, kind, labels):
        self.kind = kind
        self.labels = {}
        for name, values in re.findall(r"`(\w+)`(?: \(([^)]*)\))?", labels):
            listed = set(re.findall(r"`([^`]+)`", values))
            # "…" leaves the list open.
            self.labels[name] = None if "…" in values or not listed else listed


def metrics():
    rows = re.findall(r"^\| `(imagefleet_\w+)` \| (\w+) \| *([^|]*)\|", read("docs/metrics.md"), re.M)
    found = {name: Metric(kind, labels) for name, kind, labels in rows}
    # Some are told in a sentence.
    for name in re.findall(r"`(imagefleet_\w+)`", read("docs/metrics.md")):
        found.setdefault(name, Metric("gauge", ""))
    return found


def metric_of(name, known):
    if name in known:
        return known[name]
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return known[base] if base in known and known[base].kind == "histogram" else None


def rules():
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(RULES.glob("*.yml"))}


class Documents(unittest.TestCase):
    maxDiff = None

    def check(self, wrong):
        self.assertEqual(sorted(set(wrong)), [])

    def test_each_alert_has_a_section_and_each_section_an_alert(self):
        texts = rules()
        alerts = {name for text in texts.values() for name in re.findall(r"- alert: (\w+)", text)}
        self.assertTrue(alerts, f"no alerts in {RULES.relative_to(ROOT)}")
        sections = {title for title in headings(read(RUNBOOK)) if re.fullmatch(r"Imagefleet\w+", title)}
        self.assertEqual(alerts, sections)
        anchors = {slug(title) for title in sections}
        urls = [url for text in texts.values() for url in re.findall(r"runbook_url: *(\S+)", text)]
        self.assertEqual(len(urls), len(alerts), "one runbook_url for each alert")
        self.check(url for url in urls if url.partition("RUNBOOK.md#")[2] not in anchors)

    def test_metrics_are_on_their_page_with_these_labels_and_values(self):
        known = metrics()
        self.assertGreater(len(known), 30)
        recorded = {name for text in rules().values() for name in re.findall(r"record: *(\S+)", text)}
        wrong = []
        for path, text in [*documents(), *rules().items()]:
            for name in re.findall(r"\bimagefleet_[a-z]\w*(?<!_)", text):
                if metric_of(name, known) is None and not f"{name}_*" in text:
                    wrong.append(f"{path}: {name} is not on docs/metrics.md")
            for name in re.findall(r"\bimagefleet:[\w:]+", text):
                if name not in recorded:
                    wrong.append(f"{path}: {name} is recorded by no rule")
            for name, selectors in re.findall(r"\b(imagefleet_\w+)\{([^}]*=[^}]*)\}", text):
                wrong += [f"{path}: {name}: {why}" for why in self.mistakes(metric_of(name, known), selectors)]
        self.check(wrong)

    def mistakes(self, metric, selectors):
        if metric is None:
            return
        for label, values in re.findall(r'(\w+) *(?:=~|!~|!=|=) *"([^"]*)"', selectors):
            if label in COMMON_LABELS:
                continue
            if label not in metric.labels:
                yield f"has no label {label}"
                continue
            listed = metric.labels[label]
            for value in values.split("|"):
                if listed is not None and value not in listed:
                    yield f"{label} is never {value!r}"

    def test_commands_and_their_flags_are_those_of_the_command_line(self):
        cli = read("imagefleet/src/cli.rs")
        known = set()
        for enum in ("Command", "Role"):
            body = cli.split(f"enum {enum} {{")[1].split("\n}")[0]
            for name in re.findall(r"^    ([A-Z]\w+)(?:[,({]| \{)", body, re.M):
                known.add(re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower())
        self.assertLessEqual({"up", "worker", "api-key", "rebuild"}, known)
        flags = {"help", "version"}
        for name in re.findall(r"#\[arg\((?:[^\]]*?)\blong\b[^\]]*?\)\]\s*pub\(crate\) (\w+):", cli, re.S):
            flags.add(name.replace("_", "-"))
        self.assertLessEqual({"check", "allow-expired", "replicas", "no-skip-unchanged"}, flags)
        wrong = []
        for path, text in documents():
            for line in code(text):
                for command, rest in re.findall(r"(?:^|[\s/;(])imagefleet ([a-z][a-z-]*)([^|;#&]*)", line):
                    if command not in known:
                        wrong.append(f"{path}: there is no `imagefleet {command}`")
                    for flag in re.findall(r"(?:^|\s)--([a-z][a-z-]*)", rest):
                        if flag not in flags:
                            wrong.append(f"{path}: `imagefleet {command}` has no --{flag}")
        self.check(wrong)

    def test_recipes_exist(self):
        known = set(re.findall(r"^([a-z][\w-]*)(?: [^:=]*)?:(?!=)", read("justfile"), re.M))
        self.assertLessEqual({"demo", "test", "nats-passwords"}, known)
        wrong = []
        for path, text in documents():
            for line in code(text):
                for recipe in re.findall(r"bin/just ([a-z][\w-]*)", line):
                    if recipe not in known:
                        wrong.append(f"{path}: there is no recipe {recipe}")
        self.check(wrong)

    def test_http_paths_and_methods_are_described(self):
        described = json.loads(read("gateway/openapi.json"))["paths"]
        for path, where in UNDESCRIBED.items():
            self.assertIn(f'"{path}"', read(where))
        methods = {path: set(what) for path, what in described.items()}
        methods.update({path: {"get"} for path in UNDESCRIBED})
        # An id stands as {id}, as ID or as a number: a word would pass for one.
        patterns = {
            re.compile(re.sub(r"\\\{\w+\\\}", r"(?:\\{\\w+\\}|[A-Z_]+|\\d+)", re.escape(path))): allowed
            for path, allowed in methods.items()
        }
        mention = re.compile(
            r"(?:\b(GET|HEAD|POST|PUT|PATCH|DELETE) )?"
            r"(?<![\w.])(?:\$IMAGEFLEET_URL)?(/api/[\w{}./-]*|/(?:health|livez|readyz|metrics)\b)(…?)"
        )
        wrong = []
        for path, text in documents():
            for span in code(text):
                for method, found, open_end in mention.findall(span):
                    # Only part of it is written out.
                    if open_end or "…" + found in span:
                        continue
                    found = found.rstrip("./")
                    fits = [allowed for pattern, allowed in patterns.items() if pattern.fullmatch(found)]
                    if not fits and found != "/api":
                        wrong.append(f"{path}: {found} is not in gateway/openapi.json")
                    elif method and fits and not any(method.lower() in allowed for allowed in fits):
                        wrong.append(f"{path}: {found} cannot be asked for with {method}")
        self.check(wrong)

    def test_settings_are_read_somewhere(self):
        sources = [read("nats.conf"), read("nats-cluster.conf")]
        for folder, names, files in os.walk(ROOT):
            names[:] = [name for name in names if name not in GENERATED and name != "web"]
            sources += [read(Path(folder) / name) for name in files if name.endswith(".rs")]
        everything = "\n".join(sources)
        wrong = []
        for path in (RUNBOOK, "docs/capacity.md", "SECURITY.md"):
            for span in code(read(path)):
                for name in re.findall(r"(?<![\w$/.])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", span):
                    if name not in NO_SETTINGS and not re.search(rf"\b{name}\b", everything):
                        wrong.append(f"{path}: nothing reads {name}")
        self.check(wrong)

    def test_relative_links_and_anchors_lead_somewhere(self):
        anchors = {path: {slug(title) for title in headings(text)} for path, text in documents()}
        wrong = []
        for path, text in documents():
            outside = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)
            for target in re.findall(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)", outside):
                if re.match(r"[a-z]+:|//", target):
                    continue
                file, _, anchor = target.partition("#")
                aim = path if not file else os.path.normpath(os.path.join(os.path.dirname(path), file))
                if not (ROOT / aim).exists():
                    wrong.append(f"{path}: {target} does not exist")
                elif anchor and aim.endswith(".md") and anchor not in anchors.get(aim, ()):
                    wrong.append(f"{path}: {target}: no such heading")
        self.check(wrong)


if __name__ == "__main__":
    unittest.main()
