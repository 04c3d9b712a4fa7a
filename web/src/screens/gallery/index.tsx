import { useMutation } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Link } from "wouter";
import { exportPath, imageFilter, selectionOf, type Selection } from "../../api/calls";
import { useMayWrite, useOverview } from "../../api/queries";
import type { ImageFilter } from "../../api/types";
import { compact, count, plural } from "../../lib/format";
import { save } from "../../lib/save";
import { Button } from "../../ui/button";
import { useChanged, useLatest, useQueryParams, useThrottled, useTitle } from "../../ui/hooks";
import { Later } from "../../ui/later";
import { Menu } from "../../ui/menu";
import { Empty, Problem } from "../../ui/problem";
import { DeleteDialog } from "./delete";
import { Detail } from "./detail";
import { GalleryFilters } from "./filters";
import { Tiles } from "./grid";
import { useFirstPage, useImages, useTotal, type Images } from "./pages";
import { useGridWindow } from "./window";

/** How soon what was deleted is looked for again without a word from the gateway. */
const LOOK_MS = 5_000;
const READ_ONLY = "This API key may only read";

function described({ q, import: job, mime_type, storage_provider }: ImageFilter): string {
  const parts = [q && `whose name contains “${q}”`, mime_type && `of the type ${mime_type}`, storage_provider && `in the store “${storage_provider}”`, job && `of the import ${job}`].filter(Boolean);
  return parts.length > 0 ? `All images ${parts.join(", ")}.` : "All images of every import.";
}

/** Images that are asked to go, until they are gone. `moved` changes with what is stored. */
function useDeleting(images: Images, moved: number | undefined) {
  const [deleted, setDeleted] = useState<ReadonlySet<number>>(new Set());
  const { refresh } = images;
  const pending = images.some((image) => deleted.has(image.id));
  useChanged(moved, () => {
    if (pending) refresh();
  });
  // Where nothing tells, look now and then.
  useEffect(() => {
    if (!pending) return undefined;
    const timer = setInterval(refresh, LOOK_MS);
    return () => clearInterval(timer);
  }, [pending, refresh]);
  const add = useCallback((ids: Iterable<number>) => setDeleted((old) => new Set([...old, ...ids])), []);
  return { deleted, add };
}

export default function Gallery() {
  useTitle("Gallery");
  const [params, change] = useQueryParams();
  const key = JSON.stringify(imageFilter(params));
  const filter = useMemo<ImageFilter>(() => JSON.parse(key) as ImageFilter, [key]);
  const { q } = filter;
  const narrow = useLatest((changes: Record<string, string | undefined>) => change({ ...changes, image: undefined }));
  const shown = Number(params.get("image")) || null;
  const [index, setIndex] = useState<number | null>(null);
  const stepping = useRef(false);
  const [choosing, setChoosing] = useState(false);
  const [chosen, setChosen] = useState<ReadonlySet<number>>(new Set());
  const [removing, setRemoving] = useState<{ selection: Selection; what: string } | null>(null);
  const mayWrite = useMayWrite();
  const overview = useOverview().data;

  const box = useRef<HTMLDivElement>(null);
  const first = useFirstPage(filter);
  const total = first.total ?? 0;
  const grid = useGridWindow(box, total);
  const images = useImages(filter, first, grid.range, shown === null ? null : index);
  const [removes, setRemoves] = useState(false);
  const stored = useThrottled(overview?.stats?.total_images, removes ? 800 : 3_000);
  const { deleted, add } = useDeleting(images, stored);

  // What arrived since is offered, not pushed in under the pointer. A search reads every name: that is
  // repeated only where something was deleted.
  const fresh = useTotal(filter, stored, (!q || removes) && images.total !== undefined);
  const arrived = fresh !== undefined && images.total !== undefined && !images.pending ? fresh - images.total : 0;
  // What left, by deletions, leaves gaps.
  const { refresh } = images;
  useEffect(() => {
    if (arrived < 0) refresh();
  }, [arrived, refresh]);

  const known = index === null ? undefined : images.at(index);
  function open(at: number): void {
    const image = images.at(at);
    if (!image) return;
    setIndex(at);
    change({ image: String(image.id) }, true);
  }
  function step(by: 1 | -1): void {
    if (index === null) return;
    // Where the dialog's image is gone, the next one is at its place.
    const gone = known !== undefined && known.id !== shown;
    const next = Math.min(total - 1, Math.max(0, index + (gone && by === 1 ? 0 : by)));
    const image = images.at(next);
    setIndex(next);
    grid.show(next);
    stepping.current = !image;
    if (image) change({ image: String(image.id) });
  }
  function close(): void {
    setIndex(null);
    stepping.current = false;
    change({ image: undefined });
  }
  // Stepping onto a page that was not loaded yet. Else the dialog stays with its image, whatever leaves or
  // joins the list behind it.
  useEffect(() => {
    if (!stepping.current || shown === null || !known) return;
    stepping.current = false;
    change({ image: String(known.id) });
  });
  function stopChoosing(): void {
    setChoosing(false);
    setChosen(new Set());
  }
  const exported = useMutation({ mutationFn: ({ accept, name }: { accept: string; name: string }) => save(exportPath(filter), accept, name) });
  const filtered = Object.keys(filter).length > 0;

  return (
    <section className="gallery" aria-labelledby="gallery-title">
      <div className="gallery-head">
        <div className="heading">
          <h1 id="gallery-title">
            Gallery <span className="muted count">{images.total === undefined ? "" : compact(total)}</span>
          </h1>
          <div className="row">
            {total > 0 && mayWrite && (
              <Button aria-pressed={choosing} onClick={() => (choosing ? stopChoosing() : setChoosing(true))}>
                {choosing ? "Done" : "Select"}
              </Button>
            )}
            {total > 0 && (
              <Menu label="More" icon="more" compact>
                <button type="button" onClick={() => exported.mutate({ accept: "text/csv", name: "images.csv" })}>
                  {filtered ? "Export all that match as CSV" : "Export all images as CSV"}
                </button>
                <button type="button" onClick={() => exported.mutate({ accept: "application/x-ndjson", name: "images.ndjson" })}>
                  {filtered ? "Export all that match as NDJSON" : "Export all images as NDJSON"}
                </button>
                {mayWrite && (
                  <button type="button" className="danger" onClick={() => setRemoving({ selection: selectionOf(filter), what: described(filter) })}>
                    {filtered ? "Delete all that match…" : "Delete all images…"}
                  </button>
                )}
              </Menu>
            )}
          </div>
        </div>
        <GalleryFilters filter={filter} onChange={narrow} />
        {choosing && (
          <div className="row choosing" role="status">
            <span>{chosen.size === 0 ? "Click images to select them." : `${plural(chosen.size, "image")} selected`}</span>
            <Button
              look="danger"
              icon="trash"
              blocked={!mayWrite ? READ_ONLY : chosen.size === 0 ? "Select images first" : chosen.size > 1000 ? "At most 1,000 at a time" : undefined}
              onClick={() => setRemoving({ selection: { ids: [...chosen] }, what: "The selected images." })}
            >
              Delete selected…
            </Button>
          </div>
        )}
      </div>
      {exported.error && <Problem error={exported.error} />}
      {images.error && <Problem error={images.error} again={images.refresh} />}
      {images.total === 0 && !images.pending && (
        <div className="card">
          <Empty title={filtered ? "No image matches." : "No images yet."}>
            {filtered ? (
              <Button onClick={() => change({ q: undefined, import: undefined, type: undefined, provider: undefined })}>Show all images</Button>
            ) : (
              <Link href="/">Import a folder</Link>
            )}
          </Empty>
        </div>
      )}
      {arrived > 0 && (
        <div className="arrived">
          <Button
            look="primary"
            onClick={() => {
              window.scrollTo(0, 0);
              images.refresh();
            }}
          >
            {`Show ${count(arrived)} new`}
          </Button>
        </div>
      )}
      <div ref={box} className={`tiles-box ${images.pending ? "stale" : ""}`} style={{ height: images.total === undefined ? "70vh" : grid.layout.realHeight }}>
        {images.total === undefined && !images.error ? (
          <div className="tiles-skeleton" aria-hidden="true">
            {Array.from({ length: 24 }, (_, n) => (
              <span key={n} className="tile skeleton" />
            ))}
          </div>
        ) : (
          total > 0 && (
            <Later>
              <Tiles
                images={images}
                grid={grid}
                total={total}
                deleted={deleted}
                choosing={choosing}
                chosen={chosen}
                onChoose={(id) =>
                  setChosen((old) => {
                    const next = new Set(old);
                    if (!next.delete(id)) next.add(id);
                    return next;
                  })
                }
                onOpen={open}
              />
            </Later>
          )
        )}
      </div>
      {shown !== null && (
        <Detail
          id={shown}
          known={known?.id === shown ? known : undefined}
          deleted={deleted.has(shown)}
          onDeleted={(id) => {
            setRemoves(true);
            add([id]);
          }}
          onClose={close}
          onStep={index === null ? undefined : step}
          position={index === null ? undefined : `${count(index + 1)} of ${count(total)}`}
        />
      )}
      {removing && (
        <DeleteDialog
          selection={removing.selection}
          what={removing.what}
          onClose={() => setRemoving(null)}
          onQueued={() => {
            setRemoves(true);
            if ("ids" in removing.selection) add(removing.selection.ids);
            stopChoosing();
          }}
        />
      )}
    </section>
  );
}
