/**
 * What is compared: each with the shell commands that a user of it would type.
 *
 * @module
 */

/** A tool under measurement. Its commands are bash; `bed.ts` sets the variables that they may use. */
export interface Contender {
  /** As in the tables. */
  name: string;
  /** What it is, and how it is used here. */
  what: string;
  /** Starts `$SERVER`, waits until it is ready, and runs `$READY`. */
  up: string;
  /** Stops the server; absent: `up` does that itself, when `$READY` has ended. */
  down?: string;
  /** Tells the state; only of the product itself. */
  status?: string;
  /** Before each run, not timed. */
  prepare?: string;
  /** After each run, not timed. */
  cleanup?: string;
  /** A manager that stays resident: its start and its end. */
  session?: { up: string; down: string };
  /** Program that must be installed. */
  needs?: string;
  /** npm package and version that brings it. */
  npm?: string;
  /** Prints the version of what does not come from npm. */
  version?: string;
  /** Why it may be faster somewhere. */
  because?: string;
  /** Whether it is ours. */
  own?: boolean;
}

/** Waits as a shell script does; the pause is what people write. */
const loop = (pause: number) => `until (: </dev/tcp/127.0.0.1/$PORT) 2>/dev/null; do sleep ${pause}; done && $READY`;

const BACKGROUND = "$SERVER >server.log 2>&1 & echo $! >pid";
const KILL = "kill $(cat pid)";

const NO_RECORD = "it only connects: it keeps no record that survives a crash, does not check who listens, and never " +
  "notices a server that exits at once";

const RUNS_ALREADY = "it already runs before the stop, while `tombstone stop` is a new process; and it does not scan " +
  "again for children of a dying process";

const PLAYWRIGHT = `cat >playwright.config.js <<'END'
const tcp = process.env.URL.startsWith("tcp:");
module.exports = {
  testDir: process.env.RUN, workers: 1, reporter: "line", outputDir: process.env.RUN + "/out",
  webServer: { command: process.env.SERVER, ...(tcp ? { port: +process.env.PORT } : { url: process.env.URL }) },
};
END
cat >ready.spec.js <<'END'
const [program, ...args] = process.env.READY.split(" ");
require("@playwright/test").test("ready", () => require("child_process").execFileSync(program, args));
END
ln -sfn "$NPM" node_modules`;

const S6_SERVICE = `service="$SESSION/services/$NAME"; mkdir -p "$service/data"; echo 3 >"$service/notification-fd"
printf '#!/bin/sh\\nexec s6-notifyoncheck -w 50 -n 0 %s\\n' "$SERVER" >"$service/run"
printf '#!/bin/bash\\n: 2>/dev/null </dev/tcp/127.0.0.1/%s\\n' "$PORT" >"$service/data/check"
chmod +x "$service/run" "$service/data/check"`;

/** tombstone, in one of the forms that it ships in. */
function tombstone(form: string, command: string): Contender[] {
  return [{
    own: true,
    name: `tombstone start (${form})`,
    what: `\`tombstone start bench --port $PORT -- $SERVER\`, from the ${form}`,
    up: `${command} start bench --quiet --port $PORT -- $SERVER && $READY`,
    down: `exec ${command} stop bench --quiet`,
    status: `exec ${command} status bench --quiet`,
  }, {
    own: true,
    name: `tombstone run (${form})`,
    what: `\`tombstone run --port $PORT --serve "$SERVER" -- $READY\`, from the ${form}`,
    up: `exec ${command} run bench --quiet --port $PORT --serve "$SERVER" -- $READY`,
  }];
}

/** Everything that is compared, in the order of the tables. */
export function contenders(forms: Record<string, string>): Contender[] {
  return [
    {
      name: "the limit (C)",
      what: "fork, exec, a connect every millisecond; no safety at all",
      up: "$HELPER limit pid $PORT $SERVER >server.log 2>&1 && $READY",
      down: "exec $HELPER limit-stop pid",
      because: "this is the limit of the machine",
    },
    ...Object.entries(forms).flatMap(([form, command]) => tombstone(form, command)),
    {
      name: "bash, every 100 ms",
      what: "`$SERVER & until (: </dev/tcp/127.0.0.1/$PORT); do sleep 0.1; done`, `kill`",
      up: `${BACKGROUND}; ${loop(0.1)}`,
      down: KILL,
      version: "bash --version | sed -n '1s/.*version \\([0-9.]*\\).*/\\1/p'",
      because: NO_RECORD,
    },
    {
      name: "bash, every 10 ms",
      what: "the same, as often as a shell reasonably can",
      up: `${BACKGROUND}; ${loop(0.01)}`,
      down: KILL,
      because: NO_RECORD,
    },
    {
      name: "start-server-and-test",
      what: "`start-server-and-test $SERVER $URL $READY`; asks every 2 s",
      up: 'exec start-server-and-test "$SERVER" "$URL" "$READY"',
      npm: "start-server-and-test@2.1.5",
      because: RUNS_ALREADY,
    },
    {
      name: "start-server-and-test, 100 ms",
      what: "the same with `WAIT_ON_INTERVAL=100`",
      up: 'WAIT_ON_INTERVAL=100 exec start-server-and-test "$SERVER" "$URL" "$READY"',
      npm: "start-server-and-test@2.1.5",
      because: RUNS_ALREADY,
    },
    {
      name: "wait-on",
      what: "`$SERVER & wait-on tcp:127.0.0.1:$PORT`, `kill`",
      up: `${BACKGROUND}; wait-on tcp:127.0.0.1:$PORT && $READY`,
      down: KILL,
      npm: "wait-on@9.5.1",
      because: NO_RECORD,
    },
    {
      name: "wait-port",
      what: "`$SERVER & wait-port 127.0.0.1:$PORT`, `kill`",
      up: `${BACKGROUND}; wait-port -o silent 127.0.0.1:$PORT && $READY`,
      down: KILL,
      npm: "wait-port@1.1.0",
      because: NO_RECORD,
    },
    {
      name: "pm2",
      what: "`pm2 start`, with its daemon already running, then the bash loop (100 ms); `pm2 delete`",
      up: `pm2 start "$SERVER" --name $NAME >pm2.log && ${loop(0.1)}`,
      down: "exec pm2 delete $NAME",
      cleanup: "pm2 delete $NAME",
      session: { up: "pm2 ping", down: "pm2 kill" },
      npm: "pm2@7.0.4",
      because: "its connect every 100 ms happens to fit a server that boots in about that time",
    },
    {
      name: "bgproc",
      what: "`bgproc start -n $NAME -w 30 -- $SERVER`, `bgproc stop`; asks lsof every 500 ms",
      up: "bgproc start -n $NAME -w 30 -- $SERVER >bgproc.log && $READY",
      down: "exec bgproc stop $NAME",
      npm: "bgproc@0.3.0",
      needs: "lsof",
      because: "it sends a signal and does not wait for the end",
    },
    {
      name: "start-stop-daemon",
      what: "`start-stop-daemon --start --background --make-pidfile`, then the bash loop (100 ms); `--stop --retry`",
      up:
        'set -- $SERVER; start-stop-daemon --start --background --make-pidfile --pidfile "$RUN/pid" --startas "$1" -- ' +
        `"\${@:2}" && ${loop(0.1)}`,
      down: 'exec start-stop-daemon --stop --pidfile "$RUN/pid" --retry TERM/5/KILL/5 --remove-pidfile',
      needs: "start-stop-daemon",
      version: "start-stop-daemon --version | sed -n '1s/.* \\([0-9.]*\\) .*/\\1/p'",
      because: NO_RECORD,
    },
    {
      name: "daemonize",
      what: "`daemonize -p pid $SERVER`, then the bash loop (100 ms); `kill`",
      up: `daemonize -p "$RUN/pid" -c "$RUN" -o "$RUN/server.log" -e "$RUN/server.log" $SERVER && ${loop(0.1)}`,
      down: KILL,
      needs: "daemonize",
      version: "daemonize -v 2>&1 | sed -n '1s/.* version \\([0-9.]*\\).*/\\1/p'",
      because: NO_RECORD,
    },
    {
      name: "s6, every 50 ms",
      what: "`s6-svlink` into a resident `s6-svscan`, `s6-notifyoncheck -w 50` with a connect; `s6-svc -wD -d`",
      prepare: S6_SERVICE,
      up: 's6-svlink "$SESSION/scan" "$SESSION/services/$NAME" && s6-svwait -U "$SESSION/scan/$NAME" && $READY',
      down: 'exec s6-svc -wD -d "$SESSION/scan/$NAME"',
      cleanup: 's6-svunlink "$SESSION/scan" "$NAME"',
      session: {
        up: 'mkdir -p "$SESSION/scan"; s6-svscan -t0 "$SESSION/scan" >scan.log 2>&1 </dev/null & sleep 0.5',
        down: 's6-svscanctl -t "$SESSION/scan"',
      },
      needs: "s6-svscan",
      version: "dpkg-query -W -f '${Version}' s6 2>/dev/null",
      because: "a resident supervisor in C, so no program has to start",
    },
    {
      name: "Playwright webServer",
      what: "`playwright test` with `webServer`, one test without a browser",
      prepare: PLAYWRIGHT,
      up: "exec playwright test -c playwright.config.js",
      npm: "@playwright/test@1.65.1",
      because: RUNS_ALREADY,
    },
  ];
}
