import { useEffect, type ReactNode } from "react";
import { Link } from "wouter";
import { FLEET, meterOf, takeOverview } from "../api/live";
import { useOverview } from "../api/queries";
import type { FleetMember, ImportStatus, Overview as Answer, Stats } from "../api/types";
import { bytes, compact, count, NONE, percent, plural } from "../lib/format";
import { Chart } from "../ui/chart";
import { useTitle } from "../ui/hooks";
import { Icon } from "../ui/icon";
import { Empty, Problem, Skeleton } from "../ui/problem";
import { dependency, STATUS } from "../ui/progress";

const PROVIDERS = { aws: "Amazon S3", azure: "Azure Blob", local: "Local folder" } as const;
const ROLES = ["gateway", "producer", "worker", "projector"];

function Outages({ waiting }: { waiting: Record<string, string> }) {
  const waits = Object.entries(waiting);
  if (waits.length === 0) {
    return (
      <p className="all-well">
        <Icon name="check" /> Nothing is waited for.
      </p>
    );
  }
  return (
    <ul className="outages">
      {waits.map(([what, why]) => (
        <li key={what} className="notice-box">
          <Icon name="warning" />
          <div>
            <p>
              <strong>Waiting for {dependency(what)}</strong>
            </p>
            <p>{why}</p>
          </div>
        </li>
      ))}
    </ul>
  );
}

function Tile({ name, value, children }: { name: string; value: string; children?: ReactNode }) {
  return (
    <div className="stat">
      <dt>{name}</dt>
      <dd>
        <span className="stat-value">{value}</span>
        {children && <span className="stat-note">{children}</span>}
      </dd>
    </div>
  );
}

function Stores({ stats }: { stats: Stats }) {
  const used = (Object.keys(PROVIDERS) as (keyof typeof PROVIDERS)[]).filter((name) => stats[`${name}_images`] > 0);
  if (used.length === 0) return null;
  return (
    <ul className="stores" aria-label="Images by store">
      {used.map((name) => (
        <li key={name}>
          <Link href={`/gallery?provider=${name}`}>{PROVIDERS[name]}</Link>
          <span className="number">{plural(stats[`${name}_images`], "image")}</span>
          <span className="number muted">{bytes(stats[`${name}_size_bytes`])}</span>
        </li>
      ))}
    </ul>
  );
}

function Quota({ quota }: { quota: NonNullable<Answer["quota"]> }) {
  if (quota.units_per_minute === 0) return <p className="muted">No limit is set.</p>;
  const text = `${count(quota.used_per_minute)} of ${count(quota.units_per_minute)} units a minute`;
  return (
    <>
      <div className="bar quota" role="meter" aria-label="Quota of Google Drive in use" aria-valuemin={0} aria-valuemax={quota.units_per_minute} aria-valuenow={Math.min(quota.used_per_minute, quota.units_per_minute)} aria-valuetext={text}>
        <span className="used" style={{ width: percent(quota.used_per_minute, quota.units_per_minute) }} />
      </div>
      <p className="sub">
        {text}: {percent(quota.used_per_minute, quota.units_per_minute)}
      </p>
    </>
  );
}

function Fleet({ fleet }: { fleet: FleetMember[] }) {
  if (fleet.length === 0) return <Empty title="No process has reported yet." />;
  const rank = (role: string): number => (ROLES.includes(role) ? ROLES.indexOf(role) : ROLES.length);
  const sorted = [...fleet].sort((a, b) => rank(a.role) - rank(b.role) || a.instance.localeCompare(b.instance));
  return (
    <ul className="fleet" aria-label="Processes">
      {sorted.map((member) => {
        const waits = Object.entries(member.waiting);
        const state = waits.length > 0 ? "waiting" : member.busy ? "busy" : "idle";
        return (
          <li key={`${member.role}/${member.instance}`}>
            <span className="fleet-role">{member.role}</span>
            <span className={`state ${state}`}>{state}</span>
            <code className="fleet-instance">{member.instance}</code>
            {waits.map(([what, why]) => (
              <span key={what} className="sub">
                For {dependency(what)}: {why}
              </span>
            ))}
          </li>
        );
      })}
    </ul>
  );
}

function Screen({ data }: { data: Answer }) {
  const { stats, imports, queue, fleet, quota, projector } = data;
  // Rates fall while nothing is told.
  useEffect(() => {
    const timer = setInterval(() => takeOverview(data), 1000);
    return () => clearInterval(timer);
  }, [data]);
  const workers = fleet.filter((member) => member.role === "worker").length;
  return (
    <>
      <section className="card" aria-labelledby="overview-title">
        <h1 id="overview-title">Overview</h1>
        <Outages waiting={data.waiting_for} />
        <dl className="stats">
          <Tile name="Images" value={stats ? compact(stats.total_images) : NONE}>
            {stats ? `${bytes(stats.total_size_bytes)} stored` : "the database is away"}
          </Tile>
          <Tile name="Workers alive" value={count(workers)}>
            {workers === 0 ? "start one: imagefleet worker" : `${count(fleet.filter((member) => member.role === "worker" && member.busy).length)} busy`}
          </Tile>
          <Tile name="Queued images" value={queue ? compact(queue.pending) : NONE}>
            {queue ? `${compact(queue.in_flight)} running` : "NATS cannot tell now"}
          </Tile>
          <Tile name="Requests to list" value={queue ? compact(queue.requests) : NONE} />
          <Tile name="Events to fold" value={projector ? compact(projector.lag_events) : NONE}>
            {projector ? (projector.lag_events > 1000 ? "figures lag behind" : "figures are current") : "unknown now"}
          </Tile>
        </dl>
        <Chart meter={meterOf(FLEET)} label="Images a second, all imports" moving />
      </section>
      <div className="columns">
        <section className="card" aria-labelledby="by-state">
          <h2 id="by-state">Imports</h2>
          <ul className="by-state">
            {(Object.keys(STATUS) as ImportStatus[]).map((status) => (
              <li key={status}>
                <Link href={`/?status=${status}`}>
                  <span className={`pill ${status}`}>{STATUS[status]}</span>
                </Link>
                <span className="number">{imports ? count(imports[status] ?? 0) : NONE}</span>
              </li>
            ))}
          </ul>
        </section>
        <section className="card" aria-labelledby="quota-title">
          <h2 id="quota-title">Google Drive quota</h2>
          {quota ? <Quota quota={quota} /> : <p className="muted">No limit is set, or nobody tells it now.</p>}
          <h2>Stores</h2>
          {!stats ? <p className="muted">Not known right now.</p> : stats.total_images === 0 ? <p className="muted">Nothing is stored yet.</p> : <Stores stats={stats} />}
        </section>
        <section className="card" aria-labelledby="fleet-title">
          <h2 id="fleet-title">Processes</h2>
          <Fleet fleet={fleet} />
        </section>
      </div>
    </>
  );
}

export default function Overview() {
  useTitle("Overview");
  const overview = useOverview();
  if (overview.data) return <Screen data={overview.data} />;
  return (
    <section className="card">
      <h1>Overview</h1>
      {overview.error ? <Problem error={overview.error} again={() => void overview.refetch()} /> : <Skeleton rows={1} className="body" />}
    </section>
  );
}
