// A fleet of a test's own: `imagefleet up` on a simulated Drive. Everything waits on conditions with
// a deadline; everything started is ended.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "../load.mjs";

/** For a machine that is busy with other things: nothing waits for its end but what fails. */
export const DEADLINE = 60_000;
const target = join(root, "../target/debug");
const program = (name) => process.env[`${name.toUpperCase().replace("-", "_")}_BIN`] ?? join(target, name);

/** Asks until the answer is truthy; says what it waited for if it never is. */
export async function until(what, ask, deadline = DEADLINE) {
  const end = Date.now() + deadline;
  let last;
  for (;;) {
    try {
      last = await ask();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`${what}: not within ${deadline / 1000} s; last: ${last}`);
    await sleep(50);
  }
}

export async function freePort() {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

const children = new Set();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

/** Starts a program and waits for the address in its first line. */
async function start(name, args, env, log) {
  if (!existsSync(program(name))) throw new Error(`${program(name)} is not built: cargo build --workspace`);
  const child = spawn(program(name), args, { env, stdio: ["ignore", "pipe", "pipe"] });
  children.add(child);
  child.once("exit", () => children.delete(child));
  child.stderr.pipe(log, { end: false });
  const lines = createInterface({ input: child.stdout });
  const ended = once(child, "exit").then(() => {
    throw new Error(`${name} ended before it said where it listens`);
  });
  ended.catch(() => {});
  const [line] = await Promise.race([once(lines, "line"), ended, sleep(DEADLINE, null, { ref: false }).then(() => Promise.reject(new Error(`${name} is silent`)))]);
  return { child, url: new URL(line.trim()).origin };
}

async function end(child, signal) {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill(signal);
  const late = setTimeout(() => child.kill("SIGKILL"), 20_000);
  await gone;
  clearTimeout(late);
}

export class Fleet {
  static async start(settings = {}) {
    const fleet = new Fleet();
    fleet.settings = settings;
    fleet.data = await mkdtemp(join(tmpdir(), "imagefleet-page-"));
    fleet.log = createWriteStream(join(fleet.data, "test.log"));
    try {
      await fleet.#start();
    } catch (error) {
      const words = fleet.words;
      await fleet.end();
      throw new Error(`${error.message}\n${words}`);
    }
    return fleet;
  }

  async #start() {
    const drive = await start("drive-sim", [], { PATH: process.env.PATH, RUST_LOG: "warn" }, this.log);
    this.driveProcess = drive.child;
    this.drive = drive.url;
    // The same port after a restart: browsers keep the origin.
    this.port = await freePort();
    await this.up();
  }

  async up() {
    const env = {
      PATH: `${join(root, "../.tools/bin")}:${process.env.PATH}`,
      HOME: process.env.HOME,
      GOOGLE_DRIVE_ENDPOINT: this.drive,
      GOOGLE_API_KEY: "drive-sim-key",
      WORKER_RETRY_BASE: "100ms",
      RUST_LOG: "warn",
      ...this.settings,
    };
    for (const name of ["NATS_SERVER_BIN", "LLVM_PROFILE_FILE"]) if (process.env[name]) env[name] = process.env[name];
    const { child, url } = await start("imagefleet", ["up", "--port", String(this.port), "--data", this.data], env, this.log);
    this.process = child;
    this.url = url;
    await until("the fleet is ready", async () => (await fetch(`${url}/readyz`)).ok);
  }

  /** As the power plug does, but for nats-server, which ends with its parent. */
  async kill() {
    await end(this.process, "SIGKILL");
    await until("the port is free", () => fetch(this.url).then(() => false, () => true));
  }

  async end() {
    await end(this.process, "SIGTERM");
    await end(this.driveProcess, "SIGTERM");
    this.log.end();
    // Who had to be killed leaves a nats-server that writes for a moment.
    await rm(this.data, { recursive: true, force: true, maxRetries: 10 });
  }

  get words() {
    return readFileSync(join(this.data, "test.log"), "utf8");
  }

  async api(path, init = {}) {
    const key = this.settings.API_KEYS?.split(",")[0];
    const headers = { ...(key && { Authorization: `Bearer ${key}` }), ...(init.body && { "Content-Type": "application/json" }) };
    const response = await fetch(`${this.url}${path}`, { ...init, headers });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async import(folder, options = {}) {
    const body = JSON.stringify({ folder_url: folder, ...options });
    return (await this.api("/api/import/google-drive", { method: "POST", body })).job_id;
  }

  async ended(id) {
    return until(`import ${id} ends`, async () => {
      const job = await this.api(`/api/imports/${id}`);
      return ["completed", "failed", "cancelled"].includes(job.status) && job;
    });
  }

  async faults(faults) {
    const response = await fetch(`${this.drive}/admin/faults`, { method: "PUT", body: JSON.stringify(faults) });
    if (!response.ok) throw new Error(await response.text());
  }
}
