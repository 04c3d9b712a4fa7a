// Calls as people paste them into a shell. The key itself never stands in them.

/** `text` as one word of a POSIX shell. */
export const quoted = (text: string): string =>
  /^[A-Za-z0-9_./:=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

export interface Call {
  url: string;
  method?: "POST" | "DELETE";
  accept?: string;
  body?: unknown;
  /** Follow what is sent as it comes. */
  stream?: boolean;
  withKey: boolean;
  output?: string;
}

export function curl({ url, method, accept, body, stream, withKey, output }: Call): string {
  const parts = ["curl", "-fsS"];
  if (stream) parts.push("-N");
  // With a body, curl posts anyway.
  if (method && body === undefined) parts.push("-X", method);
  if (withKey) parts.push("-H", '"Authorization: Bearer $API_KEY"');
  if (accept) parts.push("-H", quoted(`Accept: ${accept}`));
  if (body !== undefined) parts.push("-H", quoted("Content-Type: application/json"), "-d", quoted(JSON.stringify(body)));
  if (output) parts.push("-o", quoted(output));
  parts.push(quoted(url));
  return parts.join(" ");
}
