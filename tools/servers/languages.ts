/**
 * Servers of Python, Ruby, PHP, Java and Erlang.
 *
 * @module
 */
import type { Server } from "./server.ts";

/** Debian's own, which is the one that Debian's packages are for. */
const PYTHON = "/usr/bin/python3";

function python(module: string, debianPackage: string): Pick<Server, "program" | "check" | "version"> {
  return {
    program: [PYTHON, `python3-minimal ${debianPackage}`],
    check: [PYTHON, "-c", `import ${module}`],
    version: [PYTHON, "-c", `import importlib.metadata as m; print(m.version("${module}"))`],
  };
}

const WSGI = `def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
`;
const ASGI = `async def app(scope, receive, send):
    if scope["type"] != "http": return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
`;
const DJANGO = `import sys
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.urls import path
settings.configure(DEBUG=True, SECRET_KEY="tried", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
urlpatterns = [path("", lambda request: HttpResponse("hello"))]
if __name__ == "__main__": execute_from_command_line(sys.argv)
`;
const BEAM = `{ok, L} = gen_tcp:listen(list_to_integer(os:getenv("WEB_PORT")), [{ip, {127,0,0,1}}, {reuseaddr, true}]),
  F = fun(G) -> {ok, S} = gen_tcp:accept(L), gen_tcp:close(S), G(G) end, F(F).`.replace(/\s+/g, " ");

/** Each with a few lines that answer "hello". */
export const LANGUAGES: Server[] = [
  {
    name: "python-http",
    program: ["python3", "python3-minimal"],
    command: (site) => ["python3", "-m", "http.server", "--bind", "127.0.0.1", String(site.port)],
    http: "/",
  },
  {
    name: "flask",
    ...python("flask", "python3-flask"),
    files: () => ({ "app.py": `from flask import Flask\napp = Flask(__name__)\napp.route("/")(lambda: "hello")\n` }),
    command: (site) => [PYTHON, "-m", "flask", "--app", "app", "--debug", "run", "--port", String(site.port)],
    env: () => ({ PYTHONDONTWRITEBYTECODE: "1" }),
    http: "/",
    note: "with its reloader",
  },
  {
    name: "django",
    ...python("django", "python3-django"),
    files: () => ({ "manage.py": DJANGO }),
    command: (site) => [PYTHON, "manage.py", "runserver", String(site.port)],
    env: () => ({ PYTHONDONTWRITEBYTECODE: "1" }),
    http: "/",
    note: "with its reloader",
  },
  {
    name: "uvicorn",
    ...python("uvicorn", "python3-uvicorn"),
    files: () => ({ "app.py": ASGI }),
    command: (site) => [PYTHON, "-m", "uvicorn", "app:app", "--port", String(site.port), "--workers", "2"],
    env: () => ({ PYTHONDONTWRITEBYTECODE: "1" }),
    http: "/",
    farewell: /Stopping parent process/,
    note: "two workers",
  },
  {
    name: "gunicorn",
    ...python("gunicorn", "gunicorn"),
    files: () => ({ "app.py": WSGI }),
    command: (site) => [PYTHON, "-m", "gunicorn", "-w", "2", "-b", `127.0.0.1:${site.port}`, "app:app"],
    env: () => ({ PYTHONDONTWRITEBYTECODE: "1" }),
    http: "/",
    farewell: /Shutting down: Master/,
    note: "two workers",
  },
  {
    name: "gunicorn-daemon",
    ...python("gunicorn", "gunicorn"),
    files: () => ({ "app.py": WSGI }),
    command: (site) => [
      PYTHON,
      "-m",
      "gunicorn",
      "--daemon",
      "--pid",
      "web.pid",
      "--log-file",
      "web.log",
      "-b",
      `127.0.0.1:${site.port}`,
      "app:app",
    ],
    env: () => ({ PYTHONDONTWRITEBYTECODE: "1" }),
    flags: () => ["--pid-file", "web.pid"],
    http: "/",
    own: ["web.pid", "web.log"],
    logFile: ({ dir }) => `${dir}/web.log`,
    farewell: /Shutting down: Master/,
    note: "--daemon, followed by --pid-file",
  },
  {
    name: "jupyter",
    program: ["/usr/bin/jupyter-notebook", "jupyter-notebook"],
    version: ["/usr/bin/jupyter-notebook", "--version"],
    files: () => ({ "book.ipynb": "{}\n" }),
    command: (site) => [
      "/usr/bin/jupyter-notebook",
      "--no-browser",
      "--allow-root",
      "--ip=127.0.0.1",
      `--port=${site.port}`,
      "--NotebookApp.token=",
    ],
    http: "/api",
    farewell: /Shutting down/,
  },
  {
    name: "puma",
    program: ["puma", "puma"],
    files: () => ({ "config.ru": `run lambda { |env| [200, { "content-type" => "text/plain" }, ["hello"]] }\n` }),
    command: (site) => ["puma", "-b", `tcp://127.0.0.1:${site.port}`, "-w", "2"],
    http: "/",
    farewell: /Goodbye!|Gracefully shutting down/,
    note: "cluster mode, two workers",
  },
  {
    name: "php",
    program: ["php", "php-cli"],
    files: () => ({ "index.php": "<?php echo 'hello';\n" }),
    command: (site) => ["php", "-S", `localhost:${site.port}`],
    env: () => ({ PHP_CLI_SERVER_WORKERS: "3" }),
    http: "/",
    note: "php -S with three workers",
  },
  {
    name: "java",
    program: ["java", "default-jdk-headless"],
    files: () => ({
      "Web.java": `import com.sun.net.httpserver.*; import java.net.*;
        class Web { public static void main(String[] args) throws Exception {
          var server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);
          server.createContext("/", e -> { e.sendResponseHeaders(200, 5); e.getResponseBody().write("hello".getBytes()); e.close(); });
          Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("ended well")));
          server.start(); } }\n`,
    }),
    command: (site) => ["java", "Web.java", String(site.port)],
    http: "/",
    farewell: /ended well/,
  },
  {
    name: "erlang",
    program: ["erl", "erlang-base"],
    version: ["erl", "-noshell", "-eval", `io:format("~s.0", [erlang:system_info(otp_release)]), halt().`],
    command: (site) => [
      "erl",
      "-noshell",
      "-sname",
      `tried${site.port}@localhost`,
      "-kernel",
      "inet_dist_use_interface",
      "{127,0,0,1}",
      "-eval",
      BEAM,
    ],
    env: (site) => ({ WEB_PORT: String(site.port), ERL_EPMD_ADDRESS: "127.0.0.1" }),
    note: "a node with a distribution port and epmd",
  },
];
