import { memo, useEffect, useLayoutEffect, useRef, useState, type KeyboardEvent } from "react";
import type { Image } from "../../api/types";
import { count } from "../../lib/format";
import { useLatest } from "../../ui/hooks";
import { Icon } from "../../ui/icon";
import { useShortcut } from "../../ui/keys";
import { Thumb } from "../../ui/thumb";
import type { Images } from "./pages";
import { GAP, type GridWindow } from "./window";

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

interface TileProps {
  index: number;
  image: Image | undefined;
  total: number;
  gone: boolean;
  /** Undefined unless several are being chosen. */
  picked: boolean | undefined;
  stop: boolean;
  spare: boolean;
  /** Percent of the row, and of its own width. */
  width: number;
  x: number;
  /** Pixels. */
  height: number;
  y: number;
  onFocus: (index: number) => void;
  onPick: (image: Image, index: number) => void;
}

/** Rendered anew only when something of it has changed: there are dozens, and the screen follows events. */
const Tile = memo(function Tile({ index, image, total, gone, picked, stop, spare, width, x, height, y, onFocus, onPick }: TileProps) {
  return (
    <li
      aria-setsize={total}
      aria-posinset={index + 1}
      className="tile-place"
      style={{
        width: `${width}%`,
        height,
        transform: `translate(${x}%, ${y}px)`,
      }}
    >
      <button
        type="button"
        className={`tile ${image ? "" : "skeleton"} ${gone ? "gone" : ""} ${picked ? "picked" : ""}`}
        data-index={index}
        tabIndex={stop ? 0 : -1}
        aria-label={image ? `${image.name}${gone ? ", being deleted" : ""}` : "Loading"}
        aria-pressed={picked}
        title={image?.name}
        onFocus={() => onFocus(index)}
        onClick={() => image && onPick(image, index)}
      >
        {image && <Thumb key={image.id} image={image} width={height - GAP} spare={spare} />}
        {gone && <span className="tile-note">Deleting…</span>}
        {picked !== undefined && (
          <span className="tile-check" aria-hidden="true">
            {picked && <Icon name="check" />}
          </span>
        )}
      </button>
    </li>
  );
});

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

  const pick = useLatest((image: Image, index: number) => (choosing ? onChoose(image.id) : onOpen(index)));
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
        return (
          <Tile
            key={index}
            index={index}
            image={image}
            total={total}
            gone={image !== undefined && deleted.has(image.id)}
            picked={choosing ? image !== undefined && chosen.has(image.id) : undefined}
            stop={index === stop}
            spare={index < grid.near.first || index >= grid.near.end}
            width={share}
            height={layout.rowHeight}
            x={column * 100}
            y={grid.top(Math.floor(index / layout.columns))}
            onFocus={setActive}
            onPick={pick}
          />
        );
      })}
    </ul>
  );
}
