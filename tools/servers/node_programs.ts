/**
 * Programs for Node, Bun and Deno, and what people put around them.
 *
 * @module
 */
import { NODE_SERVER, type Server } from "./server.ts";

const VERSION = ["node", "--version"];
const NODE: [string, string] = ["node", "nodejs"];
const FAREWELL = /ended well/;
const APP = { "server.js": NODE_SERVER };

/** Node servers with and without a framework, under watchers, inspectors, managers and tracers. */
export const NODE_PROGRAMS: Server[] = [
  {
    name: "node",
    program: NODE,
    version: VERSION,
    files: () => APP,
    command: (site) => ["node", "server.js", String(site.port)],
    http: "/",
    farewell: FAREWELL,
  },
  {
    name: "node-inspect",
    program: NODE,
    version: VERSION,
    files: () => APP,
    command: (site) => ["node", `--inspect=${site.more[0]}`, "server.js", String(site.port)],
    http: "/",
    farewell: FAREWELL,
  },
  {
    name: "npm-inspect",
    program: NODE,
    version: ["npm", "--version"],
    files: (site) => ({
      ...APP,
      "package.json": JSON.stringify({ name: "tried", scripts: { start: `node server.js ${site.port}` } }),
    }),
    command: () => ["npm", "start"],
    env: () => ({ NODE_OPTIONS: "--inspect=0" }),
    http: "/",
    farewell: FAREWELL,
    note: "npm start, every process with an inspector",
  },
  {
    name: "node-cluster",
    program: NODE,
    version: VERSION,
    files: () => ({
      "server.js": `const cluster = require("cluster");
        if (cluster.isPrimary) for (let worker = 0; worker < 3; worker++) cluster.fork();
        else require("http").createServer((_, response) => response.end("hello")).listen(process.argv[2], "127.0.0.1");\n`,
    }),
    command: (site) => ["node", "server.js", String(site.port)],
    http: "/",
  },
  {
    name: "express",
    npm: ["express"],
    files: () => ({
      "app.js": `const server = require("express")().get("/", (_, response) => response.send("hello"))
          .listen(process.argv[2], () => console.log("listening"));
        process.on("SIGTERM", () => server.close(() => console.log("ended well")));\n`,
    }),
    command: (site) => ["node", "app.js", String(site.port)],
    http: "/",
    farewell: FAREWELL,
  },
  {
    name: "fastify",
    npm: ["fastify"],
    files: () => ({
      "app.js": `const app = require("fastify")({ logger: true });
        app.get("/", () => "hello");
        app.listen({ port: Number(process.argv[2]) });
        process.on("SIGTERM", () => app.close().then(() => console.log("ended well")));\n`,
    }),
    command: (site) => ["node", "app.js", String(site.port)],
    http: "/",
    farewell: FAREWELL,
  },
  {
    name: "nestjs",
    npm: [
      "@nestjs/core",
      "@nestjs/common",
      "@nestjs/platform-express",
      "reflect-metadata",
      "rxjs",
      "@nestjs/cli",
      "typescript@5",
      "@types/node@20",
    ],
    files: () => ({
      "package.json": JSON.stringify({ name: "tried", scripts: { "start:dev": "nest start --watch" } }),
      "nest-cli.json": `{ "sourceRoot": "src" }\n`,
      "tsconfig.json": `{ "compilerOptions": { "module": "commonjs", "target": "es2022", "outDir": "./dist",
        "experimentalDecorators": true, "emitDecoratorMetadata": true, "skipLibCheck": true }, "include": ["src"] }\n`,
      "src/main.ts": `import { Controller, Get, Module } from "@nestjs/common";
        import { NestFactory } from "@nestjs/core";
        @Controller() class Hello { @Get() say() { return "hello"; } }
        @Module({ controllers: [Hello] }) class App {}
        NestFactory.create(App).then((app) => app.listen(process.env.WEB_PORT!));\n`,
    }),
    command: () => ["npm", "run", "start:dev"],
    env: (site) => ({ WEB_PORT: String(site.port) }),
    http: "/",
    own: ["dist"],
  },
  {
    name: "nodemon",
    npm: ["nodemon"],
    files: () => APP,
    command: (site) => ["npx", "nodemon", "server.js", String(site.port)],
    http: "/",
  },
  {
    name: "tsx-watch",
    npm: ["tsx"],
    files: () => ({ "app.ts": NODE_SERVER }),
    command: (site) => ["npx", "tsx", "watch", "app.ts", String(site.port)],
    http: "/",
  },
  {
    name: "node-watch",
    program: NODE,
    version: VERSION,
    files: () => APP,
    command: (site) => ["node", "--watch", "server.js", String(site.port)],
    http: "/",
  },
  {
    name: "concurrently",
    npm: ["concurrently"],
    files: () => APP,
    command: (site) => [
      "npx",
      "concurrently",
      `node server.js ${site.port}`,
      `node server.js ${site.more[0]}`,
    ],
    probe: (site) => ["--port", String(site.port)],
    http: "/",
    note: "two servers in one command, so always with --port",
  },
  {
    name: "bun",
    npm: ["bun"],
    files: (site) => ({
      "server.ts":
        `const server = Bun.serve({ port: ${site.port}, hostname: "127.0.0.1", fetch: () => new Response("hello") });
        process.on("SIGTERM", async () => { await server.stop(); console.log("ended well"); process.exit(0); });\n`,
    }),
    command: () => ["npx", "bun", "--hot", "server.ts"],
    http: "/",
  },
  {
    name: "deno",
    npm: ["deno"],
    files: () => ({ "server.ts": `export default { fetch: () => new Response("hello") };\n` }),
    command: (site) => ["npx", "deno", "serve", "--port", String(site.port), "server.ts"],
    env: () => ({ DENO_NO_UPDATE_CHECK: "1" }),
    http: "/",
  },
  {
    name: "strace",
    program: ["strace", "strace"],
    files: () => APP,
    command: (site) => ["strace", "-f", "-o", "/dev/null", "node", "server.js", String(site.port)],
    http: "/",
    farewell: FAREWELL,
    note: "strace -f node server.js: the tracer does not pass a signal on",
  },
  {
    name: "unshare",
    program: ["unshare", "util-linux"],
    files: () => APP,
    command: (site) => ["unshare", "-p", "-f", "--kill-child", "node", "server.js", String(site.port)],
    http: "/",
    farewell: FAREWELL,
    note: "unshare -p -f --kill-child node server.js: a pid namespace",
  },
  {
    name: "script",
    program: ["sh", "dash"],
    version: VERSION,
    files: () => ({
      ...APP,
      "dev.sh":
        `#!/bin/sh\ntrap 'kill $server; wait $server; echo cleaned up; exit 0' TERM\nnode server.js $1 &\nserver=$!\nwait $server\n`,
    }),
    prepare: () => "chmod +x dev.sh",
    command: (site) => ["./dev.sh", String(site.port)],
    http: "/",
    farewell: /ended well[^]*cleaned up/,
    note: "a script with a #! line and a trap",
  },
];
