// Answers saved as files. A link could send neither the key nor `Accept`.

import { send } from "../api/client";

export async function save(path: string, accept: string, name: string): Promise<void> {
  const response = await send(path, { headers: { Accept: accept } });
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
