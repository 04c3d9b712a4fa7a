// Rates from counters that are heard of at odd times: smoothed for reading, by the second for the chart.

/** After so many seconds a change of rate has reached 63% of the figure shown. */
const SMOOTHING_SECONDS = 6;
/** What the chart shows. */
export const CHART_SECONDS = 120;
/** A gap this long says nothing about the time in between. */
const GAP_SECONDS = 30;

export interface Reading {
  /** Seconds, of any clock that only goes forward. */
  at: number;
  items: number;
  bytes: number;
}

export interface Speed {
  items: number;
  bytes: number;
}

export interface Point {
  /** Whole second since the clock's start. */
  second: number;
  items: number;
}

export class Meter {
  #last: Reading | null = null;
  #speed: Speed | null = null;
  #points: Point[] = [];

  /** Take a reading; counters that went back begin anew. */
  push(reading: Reading): void {
    const last = this.#last;
    if (last && reading.at - last.at < 0.2) return;
    this.#last = reading;
    if (!last || reading.items < last.items || reading.bytes < last.bytes) return;
    const seconds = reading.at - last.at;
    const fresh = { items: (reading.items - last.items) / seconds, bytes: (reading.bytes - last.bytes) / seconds };
    const old = this.#speed;
    const share = 1 - Math.exp(-seconds / SMOOTHING_SECONDS);
    this.#speed = old
      ? { items: old.items + (fresh.items - old.items) * share, bytes: old.bytes + (fresh.bytes - old.bytes) * share }
      : fresh;
    if (seconds < GAP_SECONDS) this.#spread(last.at, reading.at, fresh.items);
    else this.#points = [];
  }

  /** The rate held over [from, to) goes to each second it covers, by its share of that second. */
  #spread(from: number, to: number, items: number): void {
    for (let second = Math.floor(from); second < to; second += 1) {
      const share = Math.min(to, second + 1) - Math.max(from, second);
      const known = this.#points.at(-1);
      if (known?.second === second) known.items += items * share;
      else this.#points.push({ second, items: items * share });
    }
    const oldest = Math.floor(to) - CHART_SECONDS;
    this.#points = this.#points.filter((point) => point.second >= oldest);
  }

  /** As if nothing moved between: after a pause, what was before says nothing. */
  rest(): void {
    this.#last = null;
    this.#speed = null;
  }

  get speed(): Speed | null {
    return this.#speed;
  }

  /** Seconds that are over, the oldest first. */
  get points(): readonly Point[] {
    return this.#points.slice(0, -1);
  }
}

/** Seconds until `left` items are done; null while nothing moves. */
export const secondsLeft = (left: number, perSecond: number | null): number | null => {
  if (left <= 0) return 0;
  return perSecond !== null && perSecond > 0.01 ? left / perSecond : null;
};
