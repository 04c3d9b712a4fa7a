// Which rows of a very tall grid are in view. Browsers stop at some 16 million pixels, a million
// images on a phone need more: beyond the limit the scrollbar is a scale, and small scrolls stay exact.

export const MAX_HEIGHT = 8_000_000;

export interface Grid {
  columns: number;
  /** Height of a row with its gap. */
  rowHeight: number;
  rows: number;
  /** What it would be, and what the browser is told. */
  height: number;
  realHeight: number;
}

export function grid(items: number, width: number, minimum: number, gap: number, extra = 0): Grid {
  const columns = Math.max(1, Math.floor((width + gap) / (minimum + gap)));
  const tile = (width - gap * (columns - 1)) / columns;
  const rowHeight = Math.max(1, tile + gap + extra);
  const rows = Math.ceil(items / columns);
  const height = rows * rowHeight;
  return { columns, rowHeight, rows, height, realHeight: Math.min(height, MAX_HEIGHT) };
}

/** `real` is where the scrollbar is, `offset` what must be added to be at that place of the grid. */
export interface Position {
  real: number;
  offset: number;
}

/** Where the grid is after the scrollbar went to `real`. */
export function scrolled(grid: Grid, view: number, from: Position, real: number): Position {
  if (grid.height === grid.realHeight) return { real, offset: 0 };
  const realSpan = Math.max(1, grid.realHeight - view);
  const span = grid.height - view;
  const exact = (real / realSpan) * span - real;
  const small = Math.abs(real - from.real) < view;
  const atAnEnd = real <= 0 || real >= realSpan;
  if (!small || atAnEnd) return { real, offset: exact };
  const virtual = Math.min(span, Math.max(0, real + from.offset));
  return { real, offset: virtual - real };
}

/** The scrollbar's place that shows `virtual`. */
export function placeOf(grid: Grid, view: number, virtual: number): Position {
  if (grid.height === grid.realHeight) return { real: virtual, offset: 0 };
  const span = Math.max(1, grid.height - view);
  const place = Math.min(span, Math.max(0, virtual));
  const real = (place / span) * Math.max(1, grid.realHeight - view);
  return { real, offset: place - real };
}

export interface Range {
  first: number;
  /** Exclusive. */
  end: number;
}

/** The items of the rows between `top` and `top + view`, with `spare` rows on either side. */
export function visible(grid: Grid, items: number, top: number, view: number, spare: number): Range {
  const from = Math.max(0, Math.floor(top / grid.rowHeight) - spare);
  const to = Math.min(grid.rows, Math.ceil((top + view) / grid.rowHeight) + spare);
  return { first: Math.min(items, from * grid.columns), end: Math.max(0, Math.min(items, to * grid.columns)) };
}
