/**
 * Development servers of the web, from npm; most behind `npm run dev`, as their generators write it.
 *
 * @module
 */
import type { Server, Site } from "./server.ts";

/** The manifest that a generator writes, as far as it is needed here. */
function manifest(dev: string, more: Record<string, unknown> = {}): string {
  return JSON.stringify({ name: "tried", private: true, scripts: { dev }, ...more });
}

const INDEX = "<!doctype html><title>tried</title><p>hello</p>\n";
const MODULE = { type: "module" };

/** `npm run dev -- …` */
function dev(...args: string[]): string[] {
  return ["npm", "run", "dev", "--", ...args];
}

function withPort(site: Site): string[] {
  return dev("--port", String(site.port));
}

/** Each with a project that is written by hand, the smallest that serves a page. */
export const WEB_TOOLS: Server[] = [
  {
    name: "vite",
    npm: ["vite"],
    files: () => ({ "package.json": manifest("vite", MODULE), "index.html": INDEX }),
    command: withPort,
    http: "/",
  },
  {
    name: "next",
    npm: ["next", "react", "react-dom"],
    files: () => ({
      "package.json": manifest("next dev"),
      "pages/index.js": "export default function Page() { return <p>hello</p>; }\n",
    }),
    command: withPort,
    env: () => ({ NEXT_TELEMETRY_DISABLED: "1" }),
    http: "/",
    own: [".next", "next-env.d.ts", "tsconfig.json"],
  },
  {
    name: "astro",
    npm: ["astro@5"],
    files: () => ({ "package.json": manifest("astro dev", MODULE), "src/pages/index.astro": INDEX }),
    command: withPort,
    env: () => ({ ASTRO_TELEMETRY_DISABLED: "1" }),
    http: "/",
    own: [".astro"],
  },
  {
    name: "nuxt",
    npm: ["nuxt@3"],
    files: () => ({
      "package.json": manifest("nuxt dev", MODULE),
      "app.vue": "<template><p>hello</p></template>\n",
      "nuxt.config.ts": "export default defineNuxtConfig({ telemetry: false, compatibilityDate: '2025-01-01' })\n",
    }),
    command: withPort,
    env: () => ({ NUXT_TELEMETRY_DISABLED: "1" }),
    http: "/",
    own: [".nuxt", ".output", ".data", "server"],
  },
  {
    name: "sveltekit",
    npm: ["@sveltejs/kit", "@sveltejs/vite-plugin-svelte", "svelte", "vite"],
    files: () => ({
      "package.json": manifest("vite dev", MODULE),
      "svelte.config.js": "export default {};\n",
      "vite.config.js": `import { sveltekit } from "@sveltejs/kit/vite";\nexport default { plugins: [sveltekit()] };\n`,
      "src/app.html": "<html><head>%sveltekit.head%</head><body>%sveltekit.body%</body></html>\n",
      "src/routes/+page.svelte": "<p>hello</p>\n",
    }),
    command: withPort,
    http: "/",
    own: [".svelte-kit"],
  },
  {
    name: "react-router",
    npm: [
      "react-router@7.18.4",
      "@react-router/dev@7.18.4",
      "@react-router/node@7.18.4",
      "@react-router/serve@7.18.4",
      "react",
      "react-dom",
      "isbot",
      "vite@7",
    ],
    files: () => ({
      "package.json": manifest("react-router dev", {
        ...MODULE,
        dependencies: { "@react-router/node": "7", isbot: "5" },
      }),
      "vite.config.js":
        `import { reactRouter } from "@react-router/dev/vite";\nexport default { plugins: [reactRouter()] };\n`,
      "app/routes.js": `import { index } from "@react-router/dev/routes";\nexport default [index("home.jsx")];\n`,
      "app/home.jsx": "export default function Home() { return <p>hello</p>; }\n",
      "app/root.jsx": `import { Outlet, Scripts } from "react-router";
        export default function Root() { return <html><body><Outlet /><Scripts /></body></html>; }\n`,
    }),
    command: withPort,
    http: "/",
    own: [".react-router"],
  },
  {
    name: "storybook",
    npm: ["storybook@9", "@storybook/html-vite@9", "vite@6"],
    files: () => ({
      "package.json": manifest("storybook dev", MODULE),
      ".storybook/main.js": `export default { framework: "@storybook/html-vite", stories: ["../stories/*.js"] };\n`,
      "stories/word.stories.js": `export default { title: "Word", render: () => "hello" };\nexport const Hello = {};\n`,
    }),
    command: (site) => dev("-p", String(site.port), "--ci"),
    env: () => ({ STORYBOOK_DISABLE_TELEMETRY: "1" }),
    http: "/",
  },
  {
    name: "webpack-dev-server",
    npm: ["webpack-dev-server", "webpack", "webpack-cli"],
    files: () => ({
      "package.json": manifest("webpack serve"),
      "webpack.config.js": `module.exports = { mode: "development", devServer: { static: "./public" } };\n`,
      "src/index.js": `document.body.textContent = "hello";\n`,
      "public/index.html": INDEX,
    }),
    command: withPort,
    http: "/",
  },
  {
    name: "parcel",
    npm: ["parcel"],
    files: () => ({ "package.json": manifest("parcel index.html"), "index.html": INDEX }),
    command: withPort,
    http: "/",
    own: [".parcel-cache", "dist"],
  },
  {
    name: "eleventy",
    npm: ["@11ty/eleventy"],
    files: () => ({ "package.json": manifest("eleventy --serve"), "index.html": INDEX }),
    command: (site) => dev(`--port=${site.port}`),
    http: "/",
    own: ["_site"],
  },
  {
    name: "browser-sync",
    npm: ["browser-sync"],
    files: () => ({ "package.json": manifest("browser-sync start --server --no-open"), "index.html": INDEX }),
    command: (site) => dev("--port", String(site.port), "--ui-port", String(site.more[0])),
    http: "/",
  },
  {
    name: "esbuild",
    npm: ["esbuild"],
    files: () => ({
      "package.json": manifest("esbuild app.js"),
      "app.js": `console.log("hello");\n`,
      "www/index.html": INDEX,
    }),
    command: (
      site,
    ) => ["node_modules/.bin/esbuild", "app.js", "--outdir=www", "--servedir=www", `--serve=127.0.0.1:${site.port}`],
    flags: () => ["--stdin-open"],
    http: "/",
    note: "it ends at the end of its input, so with --stdin-open",
  },
  {
    name: "rollup",
    npm: ["rollup", "rollup-plugin-serve"],
    files: (site) => ({
      "package.json": manifest("rollup -c -w", MODULE),
      "rollup.config.js": `import serve from "rollup-plugin-serve";
        export default { input: "app.js", output: { file: "dist/app.js" },
          plugins: [serve({ contentBase: ".", host: "127.0.0.1", port: ${site.port} })] };\n`,
      "app.js": `console.log("hello");\n`,
      "index.html": INDEX,
    }),
    command: () => dev(),
    flags: () => ["--stdin-open"],
    http: "/",
    own: ["dist"],
    note: "watch mode ends at the end of its input, so with --stdin-open",
  },
  {
    name: "wrangler",
    npm: ["wrangler"],
    files: () => ({
      "package.json": manifest("wrangler dev"),
      "wrangler.toml": `name = "tried"\nmain = "worker.js"\ncompatibility_date = "2025-01-01"\n`,
      "worker.js": `export default { fetch: () => new Response("hello") };\n`,
    }),
    command: withPort,
    env: () => ({ WRANGLER_SEND_METRICS: "false", CI: "1" }),
    http: "/",
    own: [".wrangler"],
  },
  {
    name: "json-server",
    npm: ["json-server@0.17.4"],
    files: () => ({ "package.json": manifest("json-server db.json"), "db.json": `{ "posts": [{ "id": 1 }] }\n` }),
    command: withPort,
    http: "/posts",
  },
  {
    name: "http-server",
    npm: ["http-server"],
    files: () => ({ "index.html": INDEX }),
    command: (site) => ["npx", "http-server", "-p", String(site.port)],
    http: "/",
  },
  {
    name: "serve",
    npm: ["serve"],
    files: () => ({ "index.html": INDEX }),
    command: (site) => ["npx", "serve", "-l", String(site.port)],
    http: "/",
  },
];
