// Images of the store. Where a key is needed, <img> cannot send it: the bytes are fetched and shown
// as a blob, a few at a time.

import { memo, useEffect, useState } from "react";
import { contentPath, thumbnailPath } from "../api/calls";
import { send } from "../api/client";
import type { Image } from "../api/types";
import { useHasKey } from "./key";
import { Icon } from "./icon";

/** What the gateway shows in place; other types are offered as a download. */
const SHOWN = new Set(["image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp"]);
/** What the gateway makes small pictures of, and their longer side in pixels. */
const SHRUNK = new Set(["image/jpeg", "image/png", "image/gif", "image/webp"]);
const SMALL = 256;
const LARGE = 400;
/** A tile shows a square of a picture whose longer side is about so much longer. */
const ASPECT = 4 / 3;
const AT_ONCE = 4;

export const isShown = (image: Image): boolean => SHOWN.has(image.mime_type);
export const kindOf = (image: Image): string => image.mime_type.replace(/^image\/(x-|vnd\.)?/, "").replace("svg+xml", "svg");

/** A CDN's address is used as it is; the gateway's own is used relative to this page. */
export function addressOf(image: Image): string {
  const own = contentPath(image);
  const url = URL.canParse(image.storage_path, location.href) ? new URL(image.storage_path, location.href) : null;
  return !url || url.pathname.endsWith(`/api/images/${image.id}/content`) ? own : url.href;
}

let loading = 0;
const waiting: (() => void)[] = [];

async function slot<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  if (loading >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  loading += 1;
  try {
    signal.throwIfAborted();
    return await work();
  } finally {
    loading -= 1;
    waiting.shift()?.();
  }
}

/** What an <img> may show: undefined while it is fetched, null if it cannot be had. */
export const useImageSource = (image: Image): string | null | undefined => useSource(addressOf(image));
/** The same for a small picture of it. */
function useThumbnailSource(image: Image, width: number): string | null | undefined {
  const side = width * ASPECT * window.devicePixelRatio <= SMALL ? SMALL : LARGE;
  const large = Math.max(image.width ?? 0, image.height ?? 0) > side;
  return useSource(large && SHRUNK.has(image.mime_type) ? thumbnailPath(image, side) : addressOf(image));
}

function useSource(address: string): string | null | undefined {
  const fetched = useHasKey() && address.startsWith("/api/");
  const [blob, setBlob] = useState<string | null>();
  useEffect(() => {
    if (!fetched) return undefined;
    const gone = new AbortController();
    let url = "";
    slot(gone.signal, async () => (await send(address, { signal: gone.signal })).blob()).then(
      (bytes) => {
        if (gone.signal.aborted) return;
        url = URL.createObjectURL(bytes);
        setBlob(url);
      },
      () => {
        if (!gone.signal.aborted) setBlob(null);
      },
    );
    return () => {
      gone.abort();
      URL.revokeObjectURL(url);
      setBlob(undefined);
    };
  }, [address, fetched]);
  return fetched ? blob : address;
}

export function NoPreview({ image, why }: { image: Image; why: string }) {
  return (
    <span className="no-preview">
      <Icon name="image" />
      <span>{why}</span>
      <span className="no-preview-name">{image.name}</span>
    </span>
  );
}

interface Props {
  image: Image;
  /** CSS pixels, about. */
  width: number;
  /** Out of sight: what is in sight comes first. */
  spare?: boolean;
}

function Loaded({ image, width, spare }: Props) {
  const source = useThumbnailSource(image, width);
  const [broken, setBroken] = useState(false);
  if (source === null || broken) return <NoPreview image={image} why="Cannot be shown" />;
  if (source === undefined) return null;
  // It only fades in: dozens at once need not be rendered anew for that.
  return <img src={source} alt={image.name} decoding="async" fetchPriority={spare ? "low" : "auto"} onLoad={(event) => event.currentTarget.classList.add("ready")} onError={() => setBroken(true)} />;
}

export const Thumb = memo(function Thumb(props: Props) {
  const { image } = props;
  return isShown(image) ? <Loaded key={image.id} {...props} /> : <NoPreview image={image} why={kindOf(image).toUpperCase()} />;
});
