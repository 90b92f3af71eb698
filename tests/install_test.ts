/** `install.sh`, against releases on a local server, with stand-ins for the binaries; and the workflow that makes them. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { parse } from "@std/yaml/parse";
import { installer, sumsOf, TARGETS } from "../tools/release.ts";
import { type Document, exists, type Ran, ROOT, Sandbox } from "./support/sandbox.ts";

/** A server with releases, and what was asked of it. */
class Releases implements AsyncDisposable {
  readonly asked: string[] = [];
  readonly #server: Deno.HttpServer;
  readonly url: string;

  constructor(dir: string) {
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
      const { pathname } = new URL(request.url);
      this.asked.push(pathname);
      const path = `${dir}${pathname}`;
      return exists(path) ? new Response(Deno.readFileSync(path)) : new Response("none", { status: 404 });
    });
    this.url = `http://127.0.0.1:${(this.#server.addr as Deno.NetAddr).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** Two releases: each binary is a script that says its version and its own name. */
async function makeReleases(sandbox: Sandbox): Promise<Releases> {
  const root = `${sandbox.root}/releases`;
  for (const [path, version] of [["latest/download", "0.2.0"], ["download/v0.1.0", "0.1.0"]] as const) {
    const dir = `${root}/${path}`;
    Deno.mkdirSync(dir, { recursive: true });
    for (const name of Object.keys(TARGETS)) {
      Deno.writeTextFileSync(`${dir}/${name}`, `#!/bin/sh\necho "tombstone ${version} ${name}"\n`);
    }
    Deno.writeTextFileSync(`${dir}/SHA256SUMS`, await sumsOf(dir));
  }
  return new Releases(root);
}

/** Runs the installer as `curl … | sh` does, with some programs replaced. */
async function install(
  sandbox: Sandbox,
  releases: Releases,
  options: { env?: Record<string, string>; stubs?: Record<string, string>; only?: string[] } = {},
): Promise<Ran> {
  const bin = Deno.makeTempDirSync({ dir: sandbox.root });
  for (const [name, script] of Object.entries(options.stubs ?? {})) {
    Deno.writeTextFileSync(`${bin}/${name}`, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  for (const name of options.only ?? []) {
    const { stdout } = new Deno.Command("sh", { args: ["-c", `command -v ${name}`] }).outputSync();
    Deno.symlinkSync(new TextDecoder().decode(stdout).trim(), `${bin}/${name}`);
  }
  const path = options.only === undefined ? `${bin}:${Deno.env.get("PATH")}` : bin;
  const script = `${sandbox.root}/install.sh`;
  Deno.writeTextFileSync(script, installer(releases.url));
  const env = { HOME: sandbox.project, ...options.env };
  const set = Object.entries(env).map(([name, value]) => `export ${name}=${sandbox.quote(value)};`).join(" ");
  return await sandbox.shell(`${set} PATH=${sandbox.quote(path)} /bin/sh < ${script}`);
}

const TOOLS = ["uname", "mkdir", "mktemp", "rm", "sed", "cut", "chmod", "mv"];

Deno.test("install.sh installs the latest for this system, says what it did, and replaces an older one", async () => {
  await using sandbox = await Sandbox.create();
  await using releases = await makeReleases(sandbox);
  const path = `${sandbox.project}/.local/bin/tombstone`;
  const first = await install(sandbox, releases, { env: { TOMBSTONE_VERSION: "0.1.0" } });
  const file = `tombstone-linux-${Deno.build.arch === "aarch64" ? "arm64" : "x64"}`;
  assertEquals(first.code, 0, first.stderr);
  assertEquals(
    first.stdout,
    `installed tombstone 0.1.0 ${file} as ${path} (${file}, SHA-256 checked)\n` +
      `note: ${sandbox.project}/.local/bin is not on PATH; add it: export PATH="${sandbox.project}/.local/bin:$PATH"\n`,
  );
  const second = await install(sandbox, releases, { stubs: { tombstone: "" } });
  assertStringIncludes(second.stdout, "installed tombstone 0.2.0");
  assertEquals(releases.asked, [
    "/download/v0.1.0/SHA256SUMS",
    `/download/v0.1.0/${file}`,
    "/latest/download/SHA256SUMS",
    `/latest/download/${file}`,
  ]);
  assertEquals(new TextDecoder().decode(new Deno.Command(path).outputSync().stdout), `tombstone 0.2.0 ${file}\n`);
  assertEquals([...Deno.readDirSync(`${sandbox.project}/.local/bin`)].map(({ name }) => name), ["tombstone"]);
});

Deno.test("install.sh picks the binary of each system", async () => {
  await using sandbox = await Sandbox.create();
  await using releases = await makeReleases(sandbox);
  const uname = (system: string, machine: string) => ({ uname: `[ "$1" = -s ] && echo ${system} || echo ${machine}` });
  const cases = [
    ["Linux", "x86_64", "tombstone-linux-x64"],
    ["Linux", "aarch64", "tombstone-linux-arm64"],
    ["Darwin", "x86_64", "tombstone-macos-x64"],
    ["Darwin", "arm64", "tombstone-macos-arm64"],
  ] as const;
  for (const [system, machine, file] of cases) {
    const ran = await install(sandbox, releases, { stubs: uname(system, machine) });
    assertStringIncludes(ran.stdout, `installed tombstone 0.2.0 ${file} as `, ran.stderr);
  }
  for (const [system, machine] of [["FreeBSD", "amd64"], ["Linux", "riscv64"]] as const) {
    const ran = await install(sandbox, releases, { stubs: uname(system, machine) });
    assertEquals(ran.code, 1);
    assertStringIncludes(ran.stderr, `Cannot install tombstone: there is no binary for ${system}`);
  }
});

Deno.test("install.sh works with wget and shasum, too", async () => {
  await using sandbox = await Sandbox.create();
  await using releases = await makeReleases(sandbox);
  const shasum = 'shift 2; exec /usr/bin/env sha256sum "$@"'.replace("/usr/bin/env sha256sum", which("sha256sum"));
  const wget = `shift; shift; exec ${which("curl")} -fsSL -o "$1" "$2"`;
  const ran = await install(sandbox, releases, { only: TOOLS, stubs: { shasum, wget } });
  assertStringIncludes(ran.stdout, "SHA-256 checked", ran.stderr);
  for (
    const [only, stubs, message] of [
      [TOOLS, { shasum }, "neither curl nor wget"],
      [[...TOOLS, "curl"], {}, "neither sha256sum nor shasum"],
    ] as const
  ) {
    const refused = await install(sandbox, releases, { only: [...only], stubs });
    assertEquals(refused.code, 1);
    assertStringIncludes(refused.stderr, message);
  }
});

function which(program: string): string {
  return new TextDecoder().decode(new Deno.Command("sh", { args: ["-c", `command -v ${program}`] }).outputSync().stdout)
    .trim();
}

Deno.test("install.sh refuses what is not as it was released, and leaves the old one in place", async () => {
  await using sandbox = await Sandbox.create();
  await using releases = await makeReleases(sandbox);
  assertEquals((await install(sandbox, releases, { env: { TOMBSTONE_VERSION: "0.1.0" } })).code, 0);
  const bin = `${sandbox.project}/.local/bin`;
  const before = Deno.readTextFileSync(`${bin}/tombstone`);
  const latest = `${sandbox.root}/releases/latest/download`;
  const refused = async (message: string, env: Record<string, string> = {}) => {
    const ran = await install(sandbox, releases, { env });
    assertEquals(ran.code, 1);
    assertStringIncludes(ran.stderr, message);
    assertEquals(ran.stderr.match(/^hint: /gm)?.length, 1);
    assertEquals([...Deno.readDirSync(bin)].map(({ name }) => name), ["tombstone"]);
    assertEquals(Deno.readTextFileSync(`${bin}/tombstone`), before);
  };
  for (const name of Object.keys(TARGETS)) Deno.writeTextFileSync(`${latest}/${name}`, "#!/bin/sh\necho evil\n");
  await refused("the sum of ");
  Deno.writeTextFileSync(`${latest}/SHA256SUMS`, "");
  await refused("release latest has no tombstone-linux-");
  await refused("/download/v9.9.9/SHA256SUMS cannot be fetched", { TOMBSTONE_VERSION: "v9.9.9" });
  const unreleased = await sandbox.shell(`sh ${ROOT}/install.sh`);
  assertEquals(unreleased.code, 1);
  assertStringIncludes(unreleased.stderr, "belongs to no release");
});

Deno.test("the sums are as sha256sum checks them", async () => {
  await using sandbox = await Sandbox.create();
  Deno.writeTextFileSync(`${sandbox.project}/a`, "a");
  Deno.writeTextFileSync(`${sandbox.project}/b`, "b");
  Deno.writeTextFileSync(`${sandbox.project}/SHA256SUMS`, await sumsOf(sandbox.project));
  assertEquals((await sandbox.shell("sha256sum --check --strict SHA256SUMS")).stdout, "a: OK\nb: OK\n");
});

Deno.test("the workflows are YAML, and call tasks and files that there are", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.json`));
  const steps = (file: string): Document[] => {
    const { jobs } = parse(Deno.readTextFileSync(`${ROOT}/.github/workflows/${file}`)) as Document;
    return Object.values(jobs as Record<string, Document>).flatMap((job) => job.steps);
  };
  const all = [...steps("ci.yml"), ...steps("release.yml")];
  const lines = all.flatMap(({ run }) => run === undefined ? [] : String(run).split("\n"));
  assert(lines.length > 10);
  for (const [, task] of lines.join("\n").matchAll(/deno task (\w+)/g)) assert(task! in tasks, task);
  for (const [, path] of lines.join("\n").matchAll(/(?:^|\s)(\.ci\/run|install\.sh)/g)) {
    assert(exists(`${ROOT}/${path}`), path);
  }
});
