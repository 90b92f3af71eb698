/**
 * Databases, brokers and monitors of Debian, and servers without a TCP port.
 *
 * @module
 */
import type { Server, Site } from "./server.ts";

const POSTGRES = "/usr/lib/postgresql/15/bin";
/** PostgreSQL refuses to run as root, so it gets the user of its package. */
const AS_POSTGRES = Deno.uid() === 0 ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] : [];

const MARIADB_DATA = ({ dir }: Site) =>
  `test -d data/mysql || mariadb-install-db --no-defaults --user=root --datadir=${dir}/data --skip-test-db >/dev/null`;
const MARIADB_FLAGS = ({ dir, port }: Site) => [
  "--no-defaults",
  `--datadir=${dir}/data`,
  `--socket=${dir}/db.sock`,
  `--pid-file=${dir}/db.pid`,
  "--bind-address=127.0.0.1",
  `--port=${port}`,
  "--user=root",
];
const MARIADB_OWN = ["data", "db.sock", "db.pid", "db.log"];

/** Each with its data in the project. */
export const DATABASES: Server[] = [
  {
    name: "redis",
    program: ["redis-server", "redis-server"],
    command: ({ port }) => ["redis-server", "--port", String(port), "--bind", "127.0.0.1", "--save", ""],
    farewell: /Redis is now ready to exit/,
  },
  {
    name: "memcached",
    program: ["memcached", "memcached"],
    command: ({ port }) => ["memcached", "-l", "127.0.0.1", "-p", String(port), "-u", "root"],
  },
  {
    name: "beanstalkd",
    program: ["beanstalkd", "beanstalkd"],
    version: ["beanstalkd", "-v"],
    command: ({ port }) => ["beanstalkd", "-l", "127.0.0.1", "-p", String(port)],
  },
  {
    name: "postgresql",
    program: [`${POSTGRES}/postgres`, "postgresql"],
    prepare: ({ dir }) =>
      `mkdir -p -m 777 data; test -d data/db || ${
        AS_POSTGRES.join(" ")
      } ${POSTGRES}/initdb -D ${dir}/data/db --auth=trust --no-sync >/dev/null`,
    command: ({ dir, port }) => [
      ...AS_POSTGRES,
      `${POSTGRES}/postgres`,
      "-D",
      `${dir}/data/db`,
      "-p",
      String(port),
      "-h",
      "127.0.0.1",
      "-k",
      "",
    ],
    flags: ({ dir }) => ["--stop-signal", "INT", "--sweep-file", `${dir}/data/db/postmaster.pid`],
    own: ["data"],
    farewell: /database system is shut down/,
  },
  {
    name: "mariadbd",
    program: ["mariadbd", "mariadb-server"],
    prepare: MARIADB_DATA,
    command: (site) => ["mariadbd", ...MARIADB_FLAGS(site)],
    own: MARIADB_OWN,
    farewell: /mariadbd: Shutdown complete/,
  },
  {
    name: "mysqld_safe",
    program: ["mysqld_safe", "mariadb-server"],
    version: ["mariadbd", "--version"],
    prepare: MARIADB_DATA,
    command: (site) => ["mysqld_safe", ...MARIADB_FLAGS(site), `--log-error=${site.dir}/db.log`],
    own: MARIADB_OWN,
    logFile: ({ dir }) => `${dir}/db.log`,
    farewell: /mariadbd: Shutdown complete/,
    note: "a script that starts mariadbd and does not pass a signal on",
  },
  {
    name: "etcd",
    program: ["etcd", "etcd-server"],
    command: ({ dir, port, more }) => [
      "etcd",
      `--data-dir=${dir}/data`,
      `--listen-client-urls=http://127.0.0.1:${port}`,
      `--advertise-client-urls=http://127.0.0.1:${port}`,
      `--listen-peer-urls=http://127.0.0.1:${more[0]}`,
      `--initial-advertise-peer-urls=http://127.0.0.1:${more[0]}`,
      `--initial-cluster=default=http://127.0.0.1:${more[0]}`,
    ],
    prepare: () => "rm -rf data",
    http: "/version",
    own: ["data"],
    note: "and its peer port",
  },
  {
    name: "prometheus",
    program: ["prometheus", "prometheus"],
    files: () => ({ "prometheus.yml": "global: { scrape_interval: 15s }\n" }),
    command: ({ port }) => ["prometheus", "--config.file=prometheus.yml", `--web.listen-address=127.0.0.1:${port}`],
    http: "/-/ready",
    own: ["data"],
    farewell: /See you next time!/,
  },
  {
    name: "node-exporter",
    program: ["prometheus-node-exporter", "prometheus-node-exporter"],
    command: ({ port }) => ["prometheus-node-exporter", `--web.listen-address=127.0.0.1:${port}`],
    http: "/",
  },
  {
    name: "rabbitmq",
    program: ["/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"],
    version: ["dpkg-query", "-W", "-f", "${Version}", "rabbitmq-server"],
    files: ({ port }) => ({ "rabbitmq.conf": `listeners.tcp.default = 127.0.0.1:${port}\n` }),
    command: () => ["/usr/lib/rabbitmq/bin/rabbitmq-server"],
    env: ({ dir, more }) => ({
      HOME: dir,
      ERL_EPMD_ADDRESS: "127.0.0.1",
      RABBITMQ_NODENAME: `tried${more[0]}@localhost`,
      RABBITMQ_DIST_PORT: String(more[0]),
      RABBITMQ_CONFIG_FILE: `${dir}/rabbitmq`,
      RABBITMQ_MNESIA_BASE: `${dir}/data`,
      RABBITMQ_LOG_BASE: `${dir}/data`,
      RABBITMQ_LOGS: "-",
      RABBITMQ_ENABLED_PLUGINS_FILE: `${dir}/data/plugins`,
      RABBITMQ_PID_FILE: `${dir}/data/pid`,
    }),
    own: ["data", ".erlang.cookie"],
    farewell: /Successfully stopped RabbitMQ|Halting Erlang VM|stopping/i,
    note: "and its distribution port",
  },
  {
    name: "xvfb",
    program: ["Xvfb", "xvfb"],
    version: ["dpkg-query", "-W", "-f", "${Version}", "xvfb"],
    command: ({ port }) => ["Xvfb", `:${port}`, "-nolisten", "tcp"],
    probe: ({ port }) => ["--unix", `/tmp/.X11-unix/X${port}`],
    flags: ({ port }) => ["--sweep-file", `/tmp/.X${port}-lock`],
    portless: true,
    note: "a unix socket",
  },
  {
    name: "dbus",
    program: ["dbus-daemon", "dbus-daemon"],
    command: ({ dir }) => ["dbus-daemon", "--session", "--nofork", `--address=unix:path=${dir}/bus`],
    probe: ({ dir }) => ["--unix", `${dir}/bus`],
    portless: true,
    own: ["bus"],
    note: "a unix socket",
  },
];
