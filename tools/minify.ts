/**
 * Makes the bundle smaller, since what Deno has to read and compile is a part of the time of every command.
 *
 * Only blanks and names are shortened. Syntax stays as it is: a minifier that rewrites it puts a variable of `using` that
 * is used once into the place of its use, and with it goes the disposal, of a lock too.
 *
 * @module
 */
import { stop, transform } from "npm:esbuild@0.28";

const [path] = Deno.args;
if (path === undefined) throw new Error("Cannot minify: no file named");
const { code } = await transform(Deno.readTextFileSync(path), {
  format: "esm",
  target: "esnext",
  charset: "utf8",
  minifyWhitespace: true,
  minifyIdentifiers: true,
  minifySyntax: false,
  legalComments: "none",
});
Deno.writeTextFileSync(path, code);
await stop();
