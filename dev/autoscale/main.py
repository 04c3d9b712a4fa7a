"""`bin/just autoscale`: the manifests' autoscaler on a real fleet. See README.md."""

import argparse
import dataclasses
import json
import pathlib
import shutil
import signal
import sys
import tempfile

import draw
import fleet
import run
import settings
import verdict

OVERLAYS = ("prometheus-adapter", "keda", "keda-prometheus")
IMAGE = pathlib.Path("docs/images/autoscaling.png")


def options():
    parser = argparse.ArgumentParser(prog="bin/just autoscale", description=__doc__)
    parser.add_argument("--overlay", default="keda-prometheus", choices=OVERLAYS)
    parser.add_argument("--seed", type=int, default=1, help="of the imports")
    parser.add_argument("--speed", type=float, default=2, help="how much faster than the manifest's its clock is")
    parser.add_argument("--png", type=pathlib.Path, default=fleet.ROOT / IMAGE, help=f"the chart; {IMAGE} by default")
    parser.add_argument("--json", action="store_true", help="the figures as one line on stdout")
    parser.add_argument("--keep", action="store_true", help="keep logs, tables and record")
    return parser.parse_args()


def say(now, text):
    print(f"{int(now // 60):3}:{int(now % 60):02}  {text}", file=sys.stderr, flush=True)


def main():
    chosen = options()
    # As Ctrl-C: everything is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given = settings.read(chosen.overlay)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="autoscale-"))
    processes = fleet.Fleet(folder, fleet.programs(), given, chosen.speed)
    try:
        processes.start()
        record = run.Run(processes, given, chosen.seed, chosen.speed, say).go()
        (folder / "record.json").write_text(json.dumps(dataclasses.asdict(record) | {"workers": None}))
    except KeyboardInterrupt:
        return 130
    finally:
        processes.close()
        if chosen.keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    figures = verdict.figures(record, given, chosen.speed)
    broken = verdict.broken(record, given, figures)
    draw.draw(record, given, chosen.speed, chosen.png)
    if chosen.json:
        asked = {"overlay": chosen.overlay, "seed": chosen.seed, "speed": chosen.speed}
        print(json.dumps(asked | figures | {"broken": broken}))
    else:
        for name, value in figures.items():
            print(f"{name.replace('_', ' '):36} {value}")
    for text in broken:
        print(f"BROKEN: {text}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
