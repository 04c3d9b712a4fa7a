import { useEffect, useLayoutEffect, useRef, useState, type RefObject } from "react";
import { grid, placeOf, scrolled, visible, type Grid, type Position, type Range } from "../../lib/grid";

export const GAP = 8;
const RESTING_MS = 180;
const SPARE_ROWS = 2;

const tileWidth = (width: number): number => (width < 420 ? 92 : width < 900 ? 128 : 152);

export interface GridWindow {
  layout: Grid;
  range: Range;
  /** Those of them that are in sight. */
  near: Range;
  /** Where row `n` stands within the real height. */
  top(row: number): number;
  show(index: number): void;
}

/** The part of the grid that the window shows, whatever the grid's height. */
export function useGridWindow(box: RefObject<HTMLElement | null>, items: number): GridWindow {
  const [size, setSize] = useState({ width: 0, view: 800, above: 0 });
  const [position, setPosition] = useState<Position>({ real: 0, offset: 0 });
  const layout = grid(items, Math.max(1, size.width), tileWidth(size.width), GAP);
  const latest = useRef({ layout, view: size.view, position });
  useLayoutEffect(() => {
    latest.current = { layout, view: size.view, position };
  });

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const measure = (): void => setSize({ width: element.clientWidth, view: window.innerHeight, above: Math.max(0, element.getBoundingClientRect().top) });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    window.addEventListener("resize", measure);
    return () => {
      observer.disconnect();
      window.removeEventListener("resize", measure);
    };
  }, [box]);

  useEffect(() => {
    let timer = 0;
    // Once it rests, the scrollbar goes where it belongs, and the images stay where they are. Done amid a
    // movement, this would end it.
    const rest = (): void => {
      const { layout: grid, view, position: at } = latest.current;
      const place = placeOf(grid, view, at.real + at.offset);
      if (grid.height === grid.realHeight || Math.abs(place.real - at.real) < 1) return;
      latest.current.position = place;
      setPosition(place);
      window.scrollBy({ top: place.real - at.real, behavior: "instant" });
    };
    const tells = "onscrollend" in window;
    const onScroll = (): void => {
      const now = latest.current;
      const top = box.current?.getBoundingClientRect().top ?? 0;
      const above = Math.max(0, top);
      setSize((old) => (old.above === above ? old : { ...old, above }));
      const next = scrolled(now.layout, now.view, now.position, Math.max(0, -top));
      now.position = next;
      setPosition(next);
      clearTimeout(timer);
      if (!tells) timer = window.setTimeout(rest, RESTING_MS);
    };
    window.addEventListener("scroll", onScroll, { passive: true });
    window.addEventListener("scrollend", rest);
    return () => {
      window.removeEventListener("scroll", onScroll);
      window.removeEventListener("scrollend", rest);
      clearTimeout(timer);
    };
  }, [box]);

  const top = position.real + position.offset;
  // Before much is scrolled, what stands above the grid takes some of the window.
  const inSight = Math.max(0, size.view - size.above);
  const rows = (view: number, spare: number): Range => (size.width === 0 ? { first: 0, end: 0 } : visible(layout, items, top, view, spare));
  return {
    layout,
    range: rows(inSight, SPARE_ROWS),
    near: rows(inSight, 0),
    top: (row) => row * layout.rowHeight - position.offset,
    show(index) {
      const { layout: grid, view, position: at } = latest.current;
      const row = Math.floor(index / grid.columns) * grid.rowHeight;
      const here = at.real + at.offset;
      // The header covers some of the top.
      if (row >= here + 80 && row + grid.rowHeight <= here + view) return;
      const place = placeOf(grid, view, row < here + 80 ? row - 80 : row + grid.rowHeight + 24 - view);
      latest.current.position = place;
      setPosition(place);
      const origin = (box.current?.getBoundingClientRect().top ?? 0) + window.scrollY;
      window.scrollTo({ top: origin + place.real, behavior: "instant" });
    },
  };
}
