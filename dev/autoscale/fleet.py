"""The processes: nats-server, the simulated Drive, one of each role, and workers that come and go."""

import ctypes
import dataclasses
import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import time
import urllib.request

import scrape

ROOT = pathlib.Path(__file__).resolve().parents[2]
USERS = ("producer", "worker", "projector", "gateway", "requester", "admin")
DRIVE_KEY = "drive-sim-key"  # the one key it takes
PATIENCE = 120  # seconds until a process that starts says where it listens
AFTER_GRACE = 10  # a worker ends 5 s after its grace period at the latest


def _die_with_parent():
    """Whatever ends us, SIGKILL included, leaves no process behind (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@dataclasses.dataclass
class Process:
    name: str
    process: subprocess.Popen
    log: pathlib.Path
    address: str | None = None
    samples: dict | None = None  # of the last scrape that was answered
    told_to_go: float | None = None
    held: float | None = None  # tasks when it was told to go

    def listening(self):
        """Its health address, once it has logged it."""
        if self.address is None:
            for line in self.log.read_text(errors="replace").splitlines():
                if '"health server listens"' in line or '"gateway listens"' in line:
                    said = json.loads(line)
                    self.address = said.get("address") or said["fields"]["address"]
        return self.address


class Fleet:
    def __init__(self, folder, programs, settings, speed):
        self.folder, self.programs, self.speed = folder, programs, speed
        self.grace = settings.grace / speed
        self.processes, self.workers, self.gone = [], [], []
        self._passwords = {user: f"p{secrets.token_hex(16)}" for user in USERS}
        self._count = 0
        # Before each answer of Drive's: three to five quarters of what the manifest takes an image to cost.
        millis = settings.per_image / speed * 1000
        self._latency = ("--latency-ms", str(int(millis * 0.75)), "--jitter-ms", str(int(millis * 0.5)))
        self._env = {
            "PATH": os.environ["PATH"],
            "LOG_FORMAT": "json",
            "GOOGLE_API_KEY": DRIVE_KEY,
            "DRIVE_QUOTA_UNITS_PER_MINUTE": str(int(settings.quota * speed)),
            "STORAGE_PROVIDER": "local",
            "LOCAL_STORAGE_PATH": str(folder / "images"),
            "DATABASE_PATH": str(folder / "imagefleet.db"),
            "WORKER_CONCURRENCY": str(settings.slots),
            "SHUTDOWN_GRACE": f"{int(self.grace * 1000)}ms",
            "GATEWAY_PORT": "0",
            "PRODUCER_HEALTH_ADDR": "127.0.0.1:0",
            "PROJECTOR_HEALTH_ADDR": "127.0.0.1:0",
            "WORKER_HEALTH_ADDR": "127.0.0.1:0",
        }

    def start(self):
        ports = self.folder / "ports"
        ports.mkdir()
        env = {f"NATS_{user.upper()}_PASSWORD": f'"{word}"' for user, word in self._passwords.items()}
        command = [self.programs["nats-server"], "-c", ROOT / "nats.conf", "-sd", self.folder / "nats",
                   "-a", "127.0.0.1", "-p", "-1", "-m", "-1", "--ports_file_dir", ports]
        nats = self._start("nats-server", command, env)
        found = self._wait(nats, lambda: [p for p in ports.glob("*.ports") if p.stat().st_size])
        said = json.loads(found[0].read_text())
        self._env["NATS_URL"] = said["nats"][0]
        self.monitor = said["monitoring"][0].removeprefix("http://")
        drive = self._start("drive-sim", [self.programs["drive-sim"], *self._latency], {})
        first = self._wait(drive, lambda: drive.log.read_text().splitlines()[:1])
        self.drive = first[0].strip()
        self._env["GOOGLE_DRIVE_ENDPOINT"] = self.drive
        setup = self._role("setup", "admin")
        if setup.process.wait(timeout=PATIENCE) != 0:
            raise RuntimeError(f"setup failed:\n{setup.log.read_text()}")
        self.processes.remove(setup)
        roles = [self._role(role, role) for role in ("producer", "projector", "gateway")]
        for role in roles:
            self._wait(role, role.listening)
        self.gateway = roles[-1]

    def scale(self, replicas):
        """Start workers, or tell the newest to go: of a ReplicaSet's ready pods on equal nodes, those
        that were ready for the shortest time go first."""
        while len(self.workers) < replicas:
            self._count += 1
            self.workers.append(self._role("worker", "worker", f"worker-{self._count}"))
        while len(self.workers) > replicas:
            worker = self.workers.pop()
            now = scrape.scrape(worker.address) if worker.listening() else None
            worker.held = scrape.total(now, "imagefleet_worker_in_flight")
            worker.process.terminate()
            worker.told_to_go = time.monotonic()
            self.gone.append(worker)

    def scrape_workers(self):
        """As Prometheus does, those that drain included."""
        for worker in self.workers + self.gone:
            if worker.process.poll() is None and worker.listening():
                worker.samples = scrape.scrape(worker.address) or worker.samples

    def ready(self):
        return sum(1 for worker in self.workers if worker.listening())

    def draining(self):
        return sum(1 for worker in self.gone if worker.process.poll() is None)

    def unexpected(self):
        """What ended though nobody told it to, or ended badly, or late."""
        for process in self.processes:
            code = process.process.poll()
            if process in self.gone:
                late = code is None and time.monotonic() > process.told_to_go + self.grace + AFTER_GRACE
                if late or code not in (None, 0):
                    yield f"{process.name} " + ("does not end" if late else f"ended with {code}")
            elif code is not None:
                yield f"{process.name} ended by itself with {code}"

    def ask(self, path, body=None):
        request = urllib.request.Request(f"http://{self.gateway.address}{path}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def drive_stats(self):
        return json.loads(scrape.get(f"{self.drive}/admin/stats"))

    def close(self):
        running = [p.process for p in self.processes if p.process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + 10
        for process in running:
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _role(self, role, user, name=None):
        env = self._env | {"NATS_USER": user, "NATS_PASSWORD": self._passwords[user]}
        return self._start(name or role, [self.programs["imagefleet"], role], env)

    def _start(self, name, command, env):
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            # A session of its own: Ctrl-C is for us, and we stop the others in order.
            process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=out,
                                       stdin=subprocess.DEVNULL, cwd=self.folder, start_new_session=True,
                                       env={"PATH": os.environ["PATH"]} | env, preexec_fn=_die_with_parent)
        started = Process(name, process, log)
        self.processes.append(started)
        return started

    @staticmethod
    def _wait(process, condition):
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            if process.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.name} does not start:\n{process.log.read_text()[-2000:]}")
            time.sleep(0.1)
        return found


def programs():
    """Built ones beside each other; nats-server as everywhere: NATS_SERVER_BIN, PATH, .tools/bin."""
    nats = os.environ.get("NATS_SERVER_BIN") or shutil.which("nats-server") or ROOT / ".tools/bin/nats-server"
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
    return {"nats-server": nats, "drive-sim": target / "drive-sim", "imagefleet": target / "imagefleet"}
