// The screens whose code comes when it is needed, and which one an address needs.

import { lazy, useState, type ComponentType } from "react";
import { ApiError } from "../api/client";

/** Its code may be out of reach, or gone with an older version of the gateway. */
function unreachable(): never {
  throw new ApiError(0, "This screen could not be loaded", "The gateway cannot be reached, or it was replaced by another version. Load the page again.");
}

function screen<P extends object>(load: () => Promise<{ default: ComponentType<P> }>) {
  const Lazy = lazy(() => load().catch(unreachable));
  let here: ComponentType<P> | undefined;
  return {
    /** Later it is shown at once, without a skeleton in its place first. */
    fetch: async (): Promise<void> => void (here = (await load()).default),
    Screen(props: P) {
      // One that is shown stays the same when its code has come by the other way, too.
      const [Shown] = useState<ComponentType<P>>(() => here ?? Lazy);
      return <Shown {...props} />;
    },
  };
}

export const ImportScreen = screen(() => import("./import"));
export const Gallery = screen(() => import("./gallery"));
export const Overview = screen(() => import("./overview"));

/** What the address shows is here, or cannot be had. */
export async function fetchScreen(path: string): Promise<void> {
  const needed = path.startsWith("/imports/") ? ImportScreen : path === "/gallery" ? Gallery : path === "/overview" ? Overview : null;
  await needed?.fetch().catch(() => {});
}
