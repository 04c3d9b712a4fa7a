import { useMutation, useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { Link } from "wouter";
import { contentPath, deleteImage, getImage } from "../../api/calls";
import { ApiError, send } from "../../api/client";
import { useMayWrite } from "../../api/queries";
import type { Image } from "../../api/types";
import { bytes, when } from "../../lib/format";
import { Button } from "../../ui/button";
import { CopyButton } from "../../ui/copy";
import { Dialog } from "../../ui/dialog";
import { useHasKey } from "../../ui/key";
import { Problem, Skeleton } from "../../ui/problem";
import { addressOf, isShown, kindOf, NoPreview, useImageSource } from "../../ui/thumb";

const PROVIDER = { aws: "Amazon S3", azure: "Azure Blob", local: "local folder" } as const;

/** An <img> only says that it failed; the gateway says why. */
function Broken({ image }: { image: Image }) {
  const reason = useQuery({
    queryKey: ["broken", image.id],
    queryFn: async ({ signal }) => {
      const response = await send(contentPath(image), { signal });
      await response.body?.cancel();
      return null;
    },
  });
  return (
    <>
      <NoPreview image={image} why="Cannot be shown" />
      {reason.error instanceof ApiError && <Problem error={reason.error} />}
      {reason.isSuccess && <p className="muted">The bytes are there, but this browser cannot read them as an image.</p>}
    </>
  );
}

function Picture({ image }: { image: Image }) {
  const source = useImageSource(image);
  const [broken, setBroken] = useState(false);
  if (!isShown(image)) return <NoPreview image={image} why={`${kindOf(image).toUpperCase()} is not shown in browsers: download it`} />;
  if (broken || source === null) return <Broken image={image} />;
  return source ? <img className="picture" src={source} alt={image.name} onError={() => setBroken(true)} /> : <div className="picture skeleton" />;
}

/** The image itself: as a link where a browser may ask, else fetched with the key. */
function Original({ image }: { image: Image }) {
  const keyed = useHasKey() && addressOf(image) === contentPath(image);
  const fetched = useMutation({
    mutationFn: async () => {
      const blob = await (await send(contentPath(image))).blob();
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = image.name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    },
  });
  if (keyed) {
    return (
      <>
        <Button icon="save" busy={fetched.isPending} onClick={() => fetched.mutate()}>
          {fetched.isPending ? "Loading…" : "Download"}
        </Button>
        {fetched.error && <Problem error={fetched.error} />}
      </>
    );
  }
  return (
    <a className="button plain" href={addressOf(image)} target="_blank" rel="noreferrer noopener">
      Open original
    </a>
  );
}

function Facts({ image }: { image: Image }) {
  const facts: [string, string | null, boolean?][] = [
    ["Type", image.mime_type],
    ["Size", bytes(image.size)],
    ["Pixels", image.width && image.height ? `${image.width} × ${image.height}` : null],
    ["Taken", image.taken_at],
    ["Changed in Drive", image.modified_time && when(image.modified_time)],
    ["Stored", when(image.created_at)],
    ["Path in Drive", image.path],
    ["Store", `${PROVIDER[image.storage_provider] ?? image.storage_provider}, ${image.bucket}`],
    ["Key", image.key, true],
    ["MD5", image.md5, true],
    ["SHA-256", image.sha256, true],
  ];
  return (
    <dl className="facts">
      {facts.map(
        ([name, value, copied]) =>
          value && (
            <div key={name}>
              <dt>{name}</dt>
              <dd className={copied ? "code" : ""}>
                {value}
                {copied && <CopyButton text={value} label={name} />}
              </dd>
            </div>
          ),
      )}
    </dl>
  );
}

interface Props {
  id: number;
  known: Image | undefined;
  deleted: boolean;
  onDeleted: (id: number) => void;
  onClose: () => void;
  onStep?: ((by: 1 | -1) => void) | undefined;
  position?: string | undefined;
}

export function Detail({ id, known, deleted, onDeleted, onClose, onStep, position }: Props) {
  const found = useQuery({
    queryKey: ["image", id],
    queryFn: ({ signal }) => getImage(id, signal),
    ...(known && { initialData: known }),
    staleTime: 30_000,
  });
  const [sure, setSure] = useState(false);
  const keep = useRef<HTMLButtonElement>(null);
  const mayWrite = useMayWrite();
  const remove = useMutation({ mutationFn: (target: number) => deleteImage(target), onSuccess: (_, target) => onDeleted(target) });
  const removing = remove.isPending && remove.variables === id;
  const image = found.data;
  const gone = found.error instanceof ApiError && found.error.status === 404;

  useEffect(() => setSure(false), [id]);
  useEffect(() => {
    if (sure) keep.current?.focus();
  }, [sure]);
  useEffect(() => {
    if (!onStep) return undefined;
    const keys = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "ArrowLeft") onStep(-1);
      if (event.key === "ArrowRight") onStep(1);
    };
    document.addEventListener("keydown", keys);
    return () => document.removeEventListener("keydown", keys);
  }, [onStep]);

  return (
    <Dialog
      title={image?.name ?? "Image"}
      size="large"
      onClose={onClose}
      actions={
        image && (
          <>
            {onStep && (
              <span className="stepper">
                <Button icon="left" compact onClick={() => onStep(-1)}>
                  Previous image
                </Button>
                <Button icon="right" compact onClick={() => onStep(1)}>
                  Next image
                </Button>
                <span className="muted">{position}</span>
              </span>
            )}
            {deleted ? (
              <span className="muted" role="status">
                Being deleted…
              </span>
            ) : sure ? (
              <>
                <span>Delete the object and its row, for good?</span>
                <Button ref={keep} onClick={() => setSure(false)}>
                  Keep
                </Button>
                <Button look="destroy" icon="trash" busy={removing} onClick={() => remove.mutate(id)}>
                  {removing ? "Deleting…" : "Delete image"}
                </Button>
              </>
            ) : (
              <>
                <Button look="danger" icon="trash" blocked={mayWrite ? undefined : "This API key may only read"} onClick={() => setSure(true)}>
                  Delete…
                </Button>
                <Original image={image} />
              </>
            )}
          </>
        )
      }
    >
      {found.isPending && <Skeleton rows={1} className="body" />}
      {gone && <p>There is no such image any more.</p>}
      {found.error && !gone && <Problem error={found.error} again={() => void found.refetch()} />}
      {image && !gone && (
        <div className="detail">
          <div className="detail-picture">
            <Picture key={image.id} image={image} />
          </div>
          <div>
            <Facts image={image} />
            <p className="meta">
              <Link href={`/imports/${encodeURIComponent(image.import_id)}`}>Its import</Link>
              <Link href={`/imports/${encodeURIComponent(image.import_id)}?item=${encodeURIComponent(image.google_drive_id)}`}>Its history</Link>
              <a href={`https://drive.google.com/file/d/${encodeURIComponent(image.google_drive_id)}/view`} target="_blank" rel="noreferrer noopener">
                In Google Drive
              </a>
            </p>
            {remove.error && remove.variables === id && <Problem error={remove.error} />}
          </div>
        </div>
      )}
    </Dialog>
  );
}
