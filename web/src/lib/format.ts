// Numbers, sizes and times for people.

/** Made when it is first needed: each takes milliseconds. */
function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
const short = once(() => new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }));
const moment = once(() => new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium" }));
const calendar = once(() => new Intl.DateTimeFormat("en", { dateStyle: "medium" }));
const relative = once(() => new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "long" }));

export const NONE = "–";

/** With commas; every screen has some, and Intl's first number takes a phone a tenth of a second. */
export const count = (n: number): string => String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
/** With at most one digit behind the point. */
const decimal = (n: number): string => count(Math.round(n * 10) / 10);
export const compact = (n: number): string => (Math.abs(n) < 10_000 ? count(n) : short().format(n));
export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

export function bytes(n: number): string {
  if (!Number.isFinite(n)) return NONE;
  const units = ["B", "KB", "MB", "GB", "TB", "PB"];
  let value = n;
  let unit = 0;
  // 999,950 is not "1,000 KB".
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${decimal(value)} ${units[unit]}`;
}

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

export function when(iso: string | null | undefined): string {
  const at = parse(iso);
  if (Number.isNaN(at)) return NONE;
  return moment().format(new Date(at));
}

export function day(iso: string | null | undefined): string {
  const at = parse(iso);
  return Number.isNaN(at) ? NONE : calendar().format(new Date(at));
}

export function ago(iso: string | null | undefined, now: number): string {
  const at = parse(iso);
  if (Number.isNaN(at)) return NONE;
  // What is a moment ahead of this clock, or came since `now` was read, is new.
  const s = Math.min(0, Math.round((at - now) / 1000));
  const age = Math.abs(s);
  if (age < 10) return "just now";
  if (age < 55) return relative().format(Math.round(s / 10) * 10, "second");
  if (age < 3570) return relative().format(Math.round(s / 60), "minute");
  if (age < 86_400) return relative().format(Math.round(s / 3600), "hour");
  if (age < 30 * 86_400) return relative().format(Math.round(s / 86_400), "day");
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
