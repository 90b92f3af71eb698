/** Nothing that a server or a stranger does keeps a start from its deadline, or from ending when it is told to. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Document, exists, Sandbox, until } from "./support/sandbox.ts";
import { installed } from "./support/servers.ts";

const hasPerl = installed("perl", "perl-base");
const hasPython = installed("python3", "python3");

/** What a start may take beyond its deadline on a busy machine, the end of its server included; in milliseconds. */
const MARGIN = 15_000;

/**
 * Starts something that will never be ready; first with a deadline that it must keep, then it is told to end.
 *
 * @param prepared brings about what is hostile, once the server runs
 */
async function assertEnds(
  sandbox: Sandbox,
  flags: string[],
  command: string[],
  prepared: () => Promise<void> = () => Promise.resolve(),
): Promise<Document> {
  const begun = performance.now();
  const late = sandbox.json(["start", "web", ...flags, "--timeout", "2s", "--", ...command], { code: 124 });
  await Promise.race([late, until("the server runs", () => sandbox.serversOf("web").length > 0)]);
  await prepared();
  const { error } = await late;
  const took = performance.now() - begun;
  assert(took < 2000 + MARGIN, `the start took ${Math.round(took)} ms`);

  const starter = sandbox.spawn(["start", "web", ...flags, "--timeout", "55s", "--", ...command]);
  await until("the server runs", () => sandbox.serversOf("web").length > 0);
  await prepared();
  await new Promise((resolve) => setTimeout(resolve, 500)); // whatever is hostile has begun
  const told = performance.now();
  starter.kill("SIGTERM");
  const { code } = await starter.output();
  assertEquals(code, 143);
  const ended = performance.now() - told;
  assert(ended < MARGIN, `it ended ${Math.round(ended)} ms after SIGTERM`);
  await until("nothing is left", () => sandbox.serversOf("web").length === 0);
  return error;
}

/** A shell that writes its `NOTIFY_SOCKET` down, and stays. */
const TELLS_SOCKET = ["sh", "-c", 'echo "$NOTIFY_SOCKET" >socket; exec sleep 600'];

/** Perl that sends the same message to the socket of a file, again and again. */
const FLOOD = `use Socket; socket(S, AF_UNIX, SOCK_DGRAM, 0); my $to;
  sub look { $to = undef; open F, "<", $ARGV[0] or return; my $name = <F>; close F; return unless $name;
    chomp $name; $name =~ s/^@/\\0/; $to = pack_sockaddr_un($name) }
  for (;;) { $to && send(S, "STATUS=" . ("x" x 50), 0, $to) or do { select(undef, undef, undef, .05); look() } }`;

Deno.test({
  name:
    "--notify: four strangers that send without end hold up neither deadline nor SIGTERM, nor a server that is ready",
  ignore: !hasPerl,
  async fn() {
    await using sandbox = await Sandbox.create();
    const address = `${sandbox.project}/socket`;
    const flood = async () => {
      await until("the server has told its socket", () => exists(address));
    };
    for (let sender = 0; sender < 4; sender++) sandbox.bystander(["perl", "-e", FLOOD, address]);
    const error = await assertEnds(sandbox, ["--notify"], TELLS_SOCKET, flood);
    assertStringIncludes(error.message, "it has not said READY=1");

    const says = `use Socket; my $to = $ENV{NOTIFY_SOCKET}; open F, ">", "socket"; print F "$to\\n"; close F;
      select(undef, undef, undef, .5); $to =~ s/^@/\\0/; socket(S, AF_UNIX, SOCK_DGRAM, 0);
      send(S, "READY=1", 0, pack_sockaddr_un($to)) or die $!; sleep 600`;
    const started = await sandbox.json(["start", "web", "--notify", "--timeout", "50s", "--", "perl", "-e", says]);
    assertEquals(started.ready, true);
    sandbox.assertBystanders();
  },
});

Deno.test({
  name: "--notify: descriptors that come with messages are closed, which answers the sender's barrier",
  ignore: !hasPython,
  async fn() {
    await using sandbox = await Sandbox.create();
    // Twenty messages with descriptors, then one whose pipe is waited for, as sd_notify_barrier(3) does.
    const script = `
import array, os, select, socket, time
name = os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1)
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def send(text, fds):
    sender.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))], 0, name)
for _ in range(20):
    send(b"STATUS=working", [0, 1, 2])
reader, writer = os.pipe()
send(b"BARRIER=1", [writer])
os.close(writer)
poll = select.poll()
poll.register(reader, 0)
poll.poll()
open("answered", "w").close()
while not os.path.exists("go"):
    time.sleep(0.01)
send(b"READY=1", [0])
time.sleep(600)
`;
    Deno.writeTextFileSync(`${sandbox.project}/sender.py`, script);
    const starter = sandbox.spawn(["start", "web", "--notify", "--timeout", "50s", "--", "python3", "sender.py"]);
    await until("the barrier is answered", () => exists(`${sandbox.project}/answered`), 30_000);
    const devices = [...Deno.readDirSync(`/proc/${starter.pid}/fd`)]
      .map(({ name }) => linkOf(`/proc/${starter.pid}/fd/${name}`))
      .filter((target) => target === "/dev/null" || target.endsWith("/server.log"));
    // Its own stdin is one.
    assert(devices.length < 20, `the starter holds ${devices.join(" ")}`);
    Deno.writeTextFileSync(`${sandbox.project}/go`, "");
    assertEquals((await starter.output()).code, 0);
  },
});

function linkOf(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return ""; // closed meanwhile
    throw error;
  }
}
