// Line icons, 16 by 16, drawn in the colour of the text.

const PATHS = {
  imports: "M2 4.5h12M2 8h12M2 11.5h7",
  gallery: "M2.5 3h11v10h-11zM2.5 11l3.2-3.4 2.4 2.5 1.9-1.9 3.5 3.3M10.4 5.9h.01",
  overview: "M2.5 13.5v-5M6.2 13.5v-9M9.8 13.5v-6.5M13.5 13.5V2.5",
  check: "m3 8.5 3.2 3.2L13 4.8",
  cross: "m4 4 8 8m0-8-8 8",
  pause: "M5.5 3.5v9m5-9v9",
  play: "M5 3.2v9.6l7.5-4.8z",
  retry: "M13 8a5 5 0 1 1-1.6-3.7M13 2v3h-3",
  stop: "M4.2 4.2h7.6v7.6H4.2z",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  down: "m4 6.2 4 4 4-4",
  left: "m10 3.5-4.5 4.5 4.5 4.5",
  right: "m6 3.5 4.5 4.5-4.5 4.5",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zm3.6-1.4L14 14",
  open: "M6.5 3H3v10h10V9.5M9 3h4v4M13 3 7.5 8.5",
  save: "M8 2.5v7.5m0 0 3-3m-3 3-3-3M2.5 13.5h11",
  copy: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",
  trash: "M2.5 4.5h11M6 4.2V2.5h4v1.7M4 4.5l.6 9h6.8l.6-9M6.7 7v4m2.6-4v4",
  key: "M10.5 9.5a3.5 3.5 0 1 0-3.3-2.3L2.5 12v1.5H5V12h1.5v-1.5H8l.4-.6c.6.4 1.3.6 2.1.6zM11 5.5h.01",
  warning: "M8 2.5 1.8 13.2h12.4zM8 6.5v3.2m0 1.7h.01",
  clock: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.8V8l2.2 1.6",
  image: "M2.5 3h11v10h-11zM2.5 11l3.2-3.4 2.4 2.5 1.9-1.9 3.5 3.3",
  help: "M5.8 5.8A2.3 2.3 0 1 1 8.6 8c-.4.2-.6.5-.6.9v.6m0 2.2h.01",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d={PATHS[name]} fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round" />
    </svg>
  );
}
