/** Variables from files such as `.env`. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { exists, Sandbox } from "./support/sandbox.ts";
import { costly } from "./support/tier.ts";

const SERVER = ["sh", "-c", 'echo "$A|$B|$C|$PORT"; exec sleep 600'];

/** All records of a workspace, without logs. */
function recorded(dir: string): string {
  return [...Deno.readDirSync(dir)].filter((entry) => !entry.name.startsWith("server.log")).map((entry) => {
    const path = `${dir}/${entry.name}`;
    return entry.isDirectory ? recorded(path) : Deno.readTextFileSync(path);
  }).join("\n");
}

async function printed(sandbox: Sandbox): Promise<string> {
  return (await sandbox.json(["logs", "web"])).lines[0];
}

costly(
  "env_file: a later file wins, the caller's environment wins over files, env over both; no value is recorded",
  async () => {
    await using sandbox = await Sandbox.create();
    const write = (name: string, text: string) => Deno.writeTextFileSync(`${sandbox.project}/${name}`, text);
    write(".env", '# one\nexport A="secret one" # two\nB=secret-two\nC=secret-three\nPORT=1\n');
    write(".env.local", "B='local $HOME'\n");
    const web = { command: SERVER, probes: { none: true }, env_file: [".env", ".env.local?", "missing?"] };
    write("tombstone.json", JSON.stringify({ nodes: { web } }));
    await sandbox.json(["start", "web"], { env: { C: "the caller's" } });
    assertEquals(await printed(sandbox), "secret one|local $HOME|the caller's|1");
    assert(!/secret|local \$/.test(recorded(sandbox.state)));

    // The next start sees a changed value; a changed list of files is a difference.
    write(".env.local", "B=new\n");
    await sandbox.json(["restart", "web"], { env: { C: "" } });
    assertEquals(await printed(sandbox), "secret one|new||1");
    write("tombstone.json", JSON.stringify({ nodes: { web: { ...web, env_file: ".env", env: { A: "described" } } } }));
    assertEquals((await sandbox.json(["start", "web"])).differs, ["env"]);
    await sandbox.json(["restart", "web"], { env: { A: "the caller's" } });
    assertEquals(await printed(sandbox), "described|secret-two|secret-three|1");
  },
);

costly(
  "--env-file: start NODE reads it again; with --clear-env the caller's variables do not count; PORT is the node's",
  async () => {
    await using sandbox = await Sandbox.create();
    Deno.writeTextFileSync(`${sandbox.project}/.env`, "A=file\nPORT=1\n");
    const options = ["--env-file", ".env", "--clear-env", "--port", "0", "--timeout", "200ms"];
    await sandbox.run(["start", "web", ...options, "--", ...SERVER], { env: { A: "the caller's" } });
    const [a, , , port] = (await printed(sandbox)).split("|");
    assertEquals(a, "file");
    assert(Number(port) > 1024, port);
    await sandbox.json(["start", "web", "--no-probe", "--env-file", ".env", "--", ...SERVER]);
    await sandbox.json(["stop", "web"]);
    Deno.writeTextFileSync(`${sandbox.project}/.env`, "A=again\n");
    await sandbox.json(["start", "web"]);
    assertEquals((await printed(sandbox)).split("|")[0], "again");
    await sandbox.json(["stop", "web"]);
    Deno.removeSync(`${sandbox.project}/.env`);
    const gone = await sandbox.run(["start", "web"]);
    assertEquals(gone.code, 2);
    assertStringIncludes(gone.stderr, '/.env" for "env_file" of node "web": it does not exist\nhint: create it');
  },
);

Deno.test("a file that has no variables is refused before there is state, and its text is not quoted", async () => {
  await using sandbox = await Sandbox.create();
  Deno.mkdirSync(`${sandbox.project}/dir`);
  Deno.writeTextFileSync(`${sandbox.project}/names`, "1X=hunter2\n");
  Deno.writeTextFileSync(`${sandbox.project}/nul`, "X=hunter2\0\n");
  await new Deno.Command("mkfifo", { args: [`${sandbox.project}/pipe`] }).output();
  for (const file of ["dir", "names", "nul", "pipe", "none", "/dev/zero"]) {
    const { code, stderr } = await sandbox.run([
      "start",
      "web",
      "--no-probe",
      "--env-file",
      file,
      "--",
      "sleep",
      "600",
    ]);
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, `${file}" for --env-file: `);
    assertStringIncludes(stderr, "\nhint: ");
    assert(!stderr.includes("hunter2"), stderr);
  }
  assert(!exists(sandbox.state));
});
