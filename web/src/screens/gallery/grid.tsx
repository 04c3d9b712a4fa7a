import { useEffect, useLayoutEffect, useRef, useState, type KeyboardEvent } from "react";
import { count } from "../../lib/format";
import { Icon } from "../../ui/icon";
import { useShortcut } from "../../ui/keys";
import { Thumb } from "../../ui/thumb";
import type { Images } from "./pages";
import type { GridWindow } from "./window";

interface Props {
  images: Images;
  grid: GridWindow;
  total: number;
  deleted: ReadonlySet<number>;
  /** Choosing several instead of opening one. */
  choosing: boolean;
  chosen: ReadonlySet<number>;
  onChoose: (id: number) => void;
  onOpen: (index: number) => void;
}

/** One tab stop; arrows, j and k move within. */
export function Tiles({ images, grid, total, deleted, choosing, chosen, onChoose, onOpen }: Props) {
  const [active, setActive] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const wanted = useRef<number | null>(null);
  const { layout, range } = grid;
  const current = Math.min(active, Math.max(0, total - 1));

  function move(to: number): void {
    const next = Math.min(total - 1, Math.max(0, to));
    setActive(next);
    wanted.current = next;
    grid.show(next);
  }
  // The tile to focus may only now be there.
  useLayoutEffect(() => {
    if (wanted.current === null) return;
    const tile = list.current?.querySelector<HTMLElement>(`[data-index="${wanted.current}"]`);
    if (!tile) return;
    wanted.current = null;
    tile.focus({ preventScroll: true });
  });
  const focused = (): boolean => list.current?.contains(document.activeElement) ?? false;
  useShortcut("j", () => move(focused() ? current + 1 : current));
  useShortcut("k", () => move(focused() ? current - 1 : current));
  useEffect(() => setActive((old) => Math.min(old, Math.max(0, total - 1))), [total]);

  function keys(event: KeyboardEvent): void {
    const page = Math.max(1, Math.floor(window.innerHeight / layout.rowHeight) - 1);
    const to: Record<string, number> = {
      ArrowRight: current + 1,
      ArrowLeft: current - 1,
      ArrowDown: current + layout.columns,
      ArrowUp: current - layout.columns,
      PageDown: current + page * layout.columns,
      PageUp: current - page * layout.columns,
      Home: 0,
      End: total - 1,
    };
    const next = to[event.key];
    if (next === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move(next);
  }

  const indices: number[] = [];
  for (let index = range.first; index < range.end; index += 1) indices.push(index);
  // The tab stop stays reachable when it is scrolled out of sight.
  const stop = current >= range.first && current < range.end ? current : range.first;
  const share = 100 / layout.columns;
  return (
    <ul ref={list} className="tiles" aria-label={`${count(total)} images`} onKeyDown={keys}>
      {indices.map((index) => {
        const image = images.at(index);
        const column = index % layout.columns;
        const gone = image !== undefined && deleted.has(image.id);
        const picked = image !== undefined && chosen.has(image.id);
        return (
          <li
            key={index}
            aria-setsize={total}
            aria-posinset={index + 1}
            className="tile-place"
            style={{
              width: `${share}%`,
              height: layout.rowHeight,
              transform: `translate(${column * 100}%, ${grid.top(Math.floor(index / layout.columns))}px)`,
            }}
          >
            <button
              type="button"
              className={`tile ${image ? "" : "skeleton"} ${gone ? "gone" : ""} ${picked ? "picked" : ""}`}
              data-index={index}
              tabIndex={index === stop ? 0 : -1}
              aria-label={image ? `${image.name}${gone ? ", being deleted" : ""}` : "Loading"}
              aria-pressed={choosing ? picked : undefined}
              title={image?.name}
              onFocus={() => setActive(index)}
              onClick={() => {
                if (!image) return;
                if (choosing) onChoose(image.id);
                else onOpen(index);
              }}
            >
              {image && <Thumb key={image.id} image={image} />}
              {gone && <span className="tile-note">Deleting…</span>}
              {choosing && (
                <span className="tile-check" aria-hidden="true">
                  {picked && <Icon name="check" />}
                </span>
              )}
            </button>
          </li>
        );
      })}
    </ul>
  );
}
