import { CHART_SECONDS, type Meter } from "../lib/speed";
import { rate } from "../lib/format";
import { useNow } from "./hooks";

const WIDTH = 600;
const HEIGHT = 72;

/** The next of 1, 2, 5, 10, 20, … that is not less than `n`. */
export function ceiling(n: number): number {
  const unit = 10 ** Math.floor(Math.log10(Math.max(n, 1)));
  return ([1, 2, 5, 10].find((step) => step * unit >= n) ?? 10) * unit;
}

/** Images a second over the last two minutes. */
export function Chart({ meter, label, moving }: { meter: Meter; label: string; moving: boolean }) {
  useNow(1000, moving);
  const points = meter.points;
  const end = moving ? Math.floor(performance.now() / 1000) : (points.at(-1)?.second ?? 0) + 1;
  const highest = Math.max(0, ...points.map((point) => point.items));
  const top = ceiling(highest);
  const x = (second: number): number => WIDTH - ((end - second) / CHART_SECONDS) * WIDTH;
  const y = (items: number): number => HEIGHT - (items / top) * (HEIGHT - 4);
  const line = points.map((point) => `${x(point.second + 0.5).toFixed(1)},${y(point.items).toFixed(1)}`);
  const first = points[0];
  const last = points.at(-1);
  const drawn = points.length > 1 && first && last;
  const mean = points.reduce((sum, point) => sum + point.items, 0) / Math.max(1, points.length);
  return (
    <figure className="chart">
      <figcaption>
        <span>{label}</span>
        <span className="muted">{drawn ? `the last ${Math.min(CHART_SECONDS, last.second - first.second + 1)} s, highest ${rate(highest)}` : moving ? "measuring…" : "nothing measured while this page was open"}</span>
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={drawn ? `${label}: ${rate(mean)} on average, ${rate(highest)} at most, over the last ${points.length} seconds` : `${label}: not measured yet`}
      >
        <path className="chart-grid" d={`M0 ${y(top)}H${WIDTH}M0 ${y(top / 2)}H${WIDTH}M0 ${HEIGHT - 0.5}H${WIDTH}`} />
        {drawn && (
          <>
            <path className="chart-area" d={`M${x(first.second + 0.5)} ${HEIGHT}L${line.join("L")}L${x(last.second + 0.5)} ${HEIGHT}Z`} />
            <path className="chart-line" d={`M${line.join("L")}`} />
          </>
        )}
      </svg>
      <span className="chart-top" aria-hidden="true">
        {rate(top)}
      </span>
    </figure>
  );
}
