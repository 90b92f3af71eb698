/**
 * Debian's daemons of the network: web servers, proxies, brokers, displays.
 *
 * @module
 */
import type { Server, Site } from "./server.ts";

const LIGHTTPD = (site: Site) => ({
  "lighttpd.conf": `server.document-root = "${site.dir}"\nserver.bind = "127.0.0.1"\nserver.port = ${site.port}\n
    index-file.names = ("notes.txt")\nserver.pid-file = "${site.dir}/web.pid"\n`,
});
const NGINX = (site: Site, daemon: "on" | "off") => ({
  "nginx.conf":
    `daemon ${daemon}; pid ${site.dir}/nginx.pid; error_log ${site.dir}/error.log notice; worker_processes 2;
    events {}
    http { access_log off; ${
      ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${site.dir}/tmp/${name};`)
        .join(" ")
    } server { listen 127.0.0.1:${site.port}; return 200 "hello"; } }\n`,
});
const NGINX_OWN = ["nginx.pid", "error.log", "tmp"];
const dnsmasq = ({ port }: Site, ...flags: string[]) => [
  "dnsmasq",
  ...flags,
  "--conf-file=/dev/null",
  "--no-resolv",
  "--bind-interfaces",
  "--listen-address=127.0.0.1",
  `--port=${port}`,
  "--pid-file",
  "--user=root",
];
const loopback = (port: number) => `127.0.0.1:${port}`;

/** Each in the foreground, and some also as the daemon that it makes of itself. */
export const DAEMONS: Server[] = [
  {
    name: "nginx",
    program: ["nginx", "nginx-light"],
    version: ["nginx", "-v"],
    files: (site) => NGINX(site, "off"),
    prepare: () => "mkdir -p tmp; : > error.log",
    command: (site) => ["nginx", "-p", site.dir, "-c", `${site.dir}/nginx.conf`, "-e", `${site.dir}/error.log`],
    http: "/",
    own: NGINX_OWN,
    logFile: ({ dir }) => `${dir}/error.log`,
    farewell: /exiting/,
  },
  {
    name: "nginx-daemon",
    program: ["nginx", "nginx-light"],
    version: ["nginx", "-v"],
    files: (site) => NGINX(site, "on"),
    prepare: () => "mkdir -p tmp; : > error.log",
    command: (site) => ["nginx", "-p", site.dir, "-c", `${site.dir}/nginx.conf`, "-e", `${site.dir}/error.log`],
    flags: () => ["--pid-file", "nginx.pid"],
    http: "/",
    own: NGINX_OWN,
    logFile: ({ dir }) => `${dir}/error.log`,
    farewell: /exiting/,
    note: "daemon on, followed by --pid-file",
  },
  {
    name: "apache",
    program: ["apache2", "apache2"],
    version: ["apache2", "-v"],
    files: (site) => ({
      "apache.conf": `ServerRoot "${site.dir}"\nServerName localhost\nListen ${loopback(site.port)}
PidFile apache.pid\nErrorLog /dev/stderr\nLogLevel notice\nDocumentRoot "${site.dir}"\nUser www-data\nGroup www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
DirectoryIndex notes.txt\n`,
    }),
    command: ({ dir }) => ["apache2", "-f", `${dir}/apache.conf`, "-D", "FOREGROUND"],
    http: "/",
    own: ["apache.pid"],
    farewell: /caught SIGTERM, shutting down/,
  },
  {
    name: "lighttpd",
    program: ["lighttpd", "lighttpd"],
    version: ["lighttpd", "-v"],
    files: LIGHTTPD,
    command: () => ["lighttpd", "-D", "-f", "lighttpd.conf"],
    http: "/",
    own: ["web.pid"],
    farewell: /server stopped by UID/,
  },
  {
    name: "lighttpd-background",
    program: ["lighttpd", "lighttpd"],
    version: ["lighttpd", "-v"],
    files: LIGHTTPD,
    command: () => ["lighttpd", "-f", "lighttpd.conf"],
    http: "/",
    own: ["web.pid"],
    note: "puts itself into the background, without --pid-file",
  },
  {
    name: "haproxy",
    program: ["haproxy", "haproxy"],
    version: ["haproxy", "-v"],
    files: (site) => ({
      "haproxy.cfg": `defaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s
frontend web\n  bind ${loopback(site.port)}\n  http-request return status 200 content-type text/plain string hello\n`,
    }),
    command: () => ["haproxy", "-W", "-f", "haproxy.cfg"],
    http: "/",
    note: "master and worker",
  },
  {
    name: "caddy",
    program: ["caddy", "caddy"],
    version: ["caddy", "version"],
    files: (site) => ({
      Caddyfile: `{\n  auto_https off\n  admin ${loopback(site.more[0])}\n}\n:${site.port} {\n  respond hello\n}\n`,
    }),
    command: () => ["caddy", "run"],
    env: ({ dir }) => ({ XDG_DATA_HOME: `${dir}/data`, XDG_CONFIG_HOME: `${dir}/config` }),
    http: "/",
    own: ["data", "config"],
    farewell: /shutdown complete/,
    note: "and its admin port",
  },
  {
    name: "tinyproxy",
    program: ["tinyproxy", "tinyproxy-bin"],
    version: ["tinyproxy", "-v"],
    files: (site) => ({ "tinyproxy.conf": `Port ${site.port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 10\n` }),
    command: () => ["tinyproxy", "-d", "-c", "tinyproxy.conf"],
    farewell: /Shutting down/,
  },
  {
    name: "dnsmasq",
    program: ["dnsmasq", "dnsmasq-base"],
    command: (site) => dnsmasq(site, "--keep-in-foreground", "--log-facility=-"),
    farewell: /exiting on receipt of SIGTERM/,
  },
  {
    name: "dnsmasq-background",
    program: ["dnsmasq", "dnsmasq-base"],
    command: (site) => dnsmasq(site),
    note: "puts itself into the background, without --pid-file",
  },
  {
    name: "mosquitto",
    program: ["mosquitto", "mosquitto"],
    version: ["mosquitto", "-h"],
    files: (site) => ({ "mosquitto.conf": `listener ${site.port} 127.0.0.1\nallow_anonymous true\n` }),
    command: () => ["mosquitto", "-c", "mosquitto.conf", "-v"],
    farewell: /mosquitto version \S+ terminating/,
  },
  {
    name: "nats",
    program: ["nats-server", "nats-server"],
    command: (site) => ["nats-server", "-a", "127.0.0.1", "-p", String(site.port), "-m", String(site.more[0])],
    farewell: /Server Exiting/,
    probe: ({ port }) => ["--port", String(port)],
    note: "the command names its monitoring port as well, so always with --port",
  },
  {
    name: "sshd",
    program: ["/usr/sbin/sshd", "openssh-server"],
    version: ["/usr/bin/ssh", "-V"],
    prepare: () => "mkdir -p /run/sshd; test -e key || ssh-keygen -q -t ed25519 -N '' -f key; rm -f key.pub",
    command: ({ dir, port }) => [
      "/usr/sbin/sshd",
      "-D",
      "-e",
      "-f",
      "/dev/null",
      "-p",
      String(port),
      "-h",
      `${dir}/key`,
      "-o",
      "ListenAddress=127.0.0.1",
      "-o",
      "PidFile=none",
    ],
    farewell: /Received signal 15; terminating/,
  },
  {
    name: "vsftpd",
    program: ["vsftpd", "vsftpd"],
    version: ["dpkg-query", "-W", "-f", "${Version}", "vsftpd"],
    files: (site) => ({
      "vsftpd.conf": `listen=YES\nlisten_address=127.0.0.1\nlisten_port=${site.port}\nbackground=NO
anonymous_enable=YES\nsecure_chroot_dir=/var/run/vsftpd/empty\n`,
    }),
    prepare: () => "mkdir -p /var/run/vsftpd/empty",
    command: ({ dir }) => ["vsftpd", `${dir}/vsftpd.conf`],
  },
];
