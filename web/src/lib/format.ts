// Numbers, sizes and times for people.
// English, and without Intl: what it reads to format its first number or date takes a slow phone a tenth
// of a second, and every screen has some.

export const NONE = "–";

/** With commas. */
export const count = (n: number): string => String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
/** With at most one digit behind the point. */
const decimal = (n: number): string => count(Math.round(n * 10) / 10);
export const compact = (n: number): string => (n < 10_000 ? count(n) : scaled(n, ["", "K", "M", "B", "T"]));
export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

function scaled(n: number, units: string[]): string {
  let value = n;
  let unit = 0;
  // 999,950 is not "1,000 KB".
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${decimal(value)}${units[unit]}`;
}

export const bytes = (n: number): string => (Number.isFinite(n) ? scaled(n, [" B", " KB", " MB", " GB", " TB", " PB"]) : NONE);

/** A rate, with as many digits as can be read while it moves. */
export function rate(n: number | null): string {
  if (n === null || !Number.isFinite(n)) return NONE;
  return n >= 100 ? count(Math.round(n)) : decimal(n);
}

export function duration(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds) || seconds < 0) return NONE;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/** Time left, coarser the further away it is, so that it does not flicker. */
export function timeLeft(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds) || seconds < 0) return NONE;
  if (seconds < 5) return "a few seconds";
  const step = seconds < 60 ? 5 : seconds < 600 ? 15 : seconds < 3600 ? 60 : 300;
  const s = Math.ceil(seconds / step) * step;
  if (s < 60) return `${s} s`;
  if (s < 600) return s % 60 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${s / 60} min`;
  if (s < 3600) return `${Math.round(s / 60)} min`;
  return duration(s);
}

const parse = (iso: string | null | undefined): number => (iso ? Date.parse(iso) : NaN);

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const dayOf = (at: Date): string => `${MONTHS[at.getMonth()]} ${at.getDate()}, ${at.getFullYear()}`;
const two = (n: number): string => String(n).padStart(2, "0");

/** Day and time where the reader is. */
export function when(iso: string | null | undefined): string {
  const at = new Date(parse(iso));
  if (Number.isNaN(at.getTime())) return NONE;
  return `${dayOf(at)}, ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export function day(iso: string | null | undefined): string {
  const at = new Date(parse(iso));
  return Number.isNaN(at.getTime()) ? NONE : dayOf(at);
}

export function ago(iso: string | null | undefined, now: number): string {
  const at = parse(iso);
  if (Number.isNaN(at)) return NONE;
  // What is a moment ahead of this clock, or came since `now` was read, is new.
  const s = Math.max(0, Math.round((now - at) / 1000));
  if (s < 10) return "just now";
  if (s < 55) return `${Math.round(s / 10) * 10} seconds ago`;
  if (s < 3570) return `${plural(Math.round(s / 60), "minute")} ago`;
  if (s < 86_400) return `${plural(Math.round(s / 3600), "hour")} ago`;
  const days = Math.round(s / 86_400);
  if (days < 30) return days === 1 ? "yesterday" : `${days} days ago`;
  return day(iso);
}

/** Seconds between two times; null if one is missing. */
export function between(from: string | null, to: string | null): number | null {
  const seconds = (parse(to) - parse(from)) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null;
}

export const percent = (part: number, whole: number): string =>
  whole > 0 ? `${Math.floor((Math.min(part, whole) / whole) * 100)}%` : "0%";

/** `checksum_mismatch` → `Checksum mismatch`. */
export const words = (code: string): string => {
  const text = code.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
};
