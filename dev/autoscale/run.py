"""One run: the schedule, the autoscaler and the fleet, in one loop; everything that was seen is recorded."""

import dataclasses
import time

import hpa
import keda
import schedule
import scrape

TICK = 0.1  # seconds of the machine's clock
WATCH_SECONDS = 2  # between two looks at Drive's counters and at imports, of the manifest's clock
AT_REST = 60  # how long it goes on at the least number of workers


@dataclasses.dataclass
class Import:
    id: str
    wave: str
    images: int
    at: float
    done: float | None = None
    status: dict | None = None


@dataclasses.dataclass
class Record:
    """Times are seconds of the manifest's clock since the start."""

    replicas: list = dataclasses.field(default_factory=list)  # (time, replicas, why)
    ready: list = dataclasses.field(default_factory=list)  # (time, ready workers, draining ones)
    lag: list = dataclasses.field(default_factory=list)  # (time, lag or None)
    units: list = dataclasses.field(default_factory=list)  # (time, units Drive has counted)
    imports: list = dataclasses.field(default_factory=list)
    wrong: list = dataclasses.field(default_factory=list)
    stats: dict = dataclasses.field(default_factory=dict)
    workers: list = dataclasses.field(default_factory=list)  # samples of every worker that lived
    held: list = dataclasses.field(default_factory=list)  # tasks of each that was told to go
    end: float = 0


class Every:
    """True again when the interval is over since it last was: as the autoscaler's own queue, it does not
    keep to a grid."""

    def __init__(self, seconds, offset=0.0):
        self.seconds, self.next = seconds, offset

    def due(self, now):
        if now < self.next:
            return False
        self.next = now + self.seconds
        return True


class Run:
    def __init__(self, fleet, settings, seed, speed, say):
        self.fleet, self.settings, self.speed, self.say = fleet, settings, speed, say
        self.waiting = schedule.arrivals(seed)
        self.record = Record()
        self.replicas = 0 if settings.activation else settings.spec.least
        self.history, self.last_active, self.scraped = hpa.History(), None, None
        self.begun = time.monotonic()

    def now(self):
        return (time.monotonic() - self.begun) * self.speed

    def go(self):
        # They do not keep step: each began when its program did.
        scrapes = Every(self.settings.scrape, 3)
        syncs = Every(hpa.SYNC_SECONDS, 8)
        polls = Every(self.settings.activation.polling, 1) if self.settings.activation else None
        watch = Every(WATCH_SECONDS)
        self._set(self.replicas, "start")
        rest, limit = None, self.waiting[-1].at + 3600
        while rest is None or self.now() < rest + AT_REST:
            now = self.now()
            if now > limit:
                raise RuntimeError("the imports or the autoscaler do not come to an end")
            while self.waiting and self.waiting[0].at <= now:
                self._arrive(self.waiting.pop(0))
            if scrapes.due(now):
                self._scrape(now)
            if polls and polls.due(now):
                replicas, self.last_active = keda.activate(
                    self.replicas, self._value(), self.settings.activation, self.last_active, now)
                self._set(replicas, "activation")
            if syncs.due(now):
                replicas, self.history = hpa.decide(
                    self.replicas, self._value(), self.settings.spec, self.history, now)
                self._set(replicas, "autoscaler")
            if watch.due(now):
                self._watch(now)
            least = 0 if self.settings.activation else self.settings.spec.least
            done = not self.waiting and all(i.done is not None for i in self.record.imports)
            settled = done and self.replicas == least and self.fleet.draining() == 0
            rest = (now if rest is None else rest) if settled else None
            time.sleep(TICK)
        self._scrape(self.now())
        self.record.stats = self.fleet.drive_stats()
        self.record.workers = [w.samples for w in self.fleet.workers + self.fleet.gone]
        self.record.held = [worker.held for worker in self.fleet.gone]
        self.record.end = self.now()
        return self.record

    def _value(self):
        """What the autoscaler is told: the last scrape, or nats-server's answer of now."""
        return scrape.lag_at_nats(self.fleet.monitor) if self.settings.from_nats else self.scraped

    def _set(self, replicas, why):
        if replicas != self.replicas or not self.record.replicas:
            self.record.replicas.append((self.now(), replicas, why))
            self.say(self.now(), f"{self.replicas} → {replicas} workers ({why}, lag {self._value()})")
            self.replicas = replicas
            self.fleet.scale(replicas)

    def _arrive(self, arrival):
        answer = self.fleet.ask("/api/import/google-drive", {"folder_url": arrival.folder})
        self.record.imports.append(Import(answer["job_id"], arrival.wave, arrival.images, self.now()))
        self.say(self.now(), f"an import of {arrival.images} images ({arrival.wave})")

    def _scrape(self, now):
        samples = scrape.scrape(self.fleet.gateway.address)
        self.scraped = scrape.total(samples, "imagefleet_consumer_lag", consumer="workers")
        self.record.lag.append((now, self.scraped))
        self.fleet.scrape_workers()

    def _watch(self, now):
        self.record.ready.append((now, self.fleet.ready(), self.fleet.draining()))
        self.record.units.append((now, self.fleet.drive_stats()["quota_units"]))
        for one in self.record.imports:
            if one.done is None:
                one.status = self.fleet.ask(f"/api/import/status/{one.id}")
                if one.status["status"] != "processing":
                    one.done = self.now()
        if wrong := [text for text in self.fleet.unexpected() if text not in self.record.wrong]:
            self.record.wrong += wrong
