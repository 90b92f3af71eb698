/**
 * The instructions of `tombstone init --agents` for coding agents, and how they get into a file of the user.
 *
 * @module
 */

/** The lines around the block; an update replaces everything between them. */
const BEGIN =
  "<!-- tombstone: written by `tombstone init --agents`, which replaces what stands up to the end of it -->";
const END = "<!-- tombstone: end -->";

/** What an agent has to know. */
const BLOCK = `## Servers: tombstone

Start servers with \`tombstone\`, not with \`&\` or \`nohup\`: it returns when the server is ready, or says why it failed.

- Start what tombstone.json describes: \`tombstone start\`
- Start any other server: \`tombstone start web --port 3000+ -- npm run dev\`
- See what runs, and where: \`tombstone status\`
- Get its port and URL as variables: \`eval "$(tombstone env web)"\`
- Read its log: \`tombstone logs web -n 50\`; what is new in it: \`tombstone logs web --since-last\`
- After a change that it does not notice: \`tombstone restart web\`
- Stop what this directory started: \`tombstone stop\`

Never use \`pkill\`, \`killall\` or \`kill\` on a server or on the owner of a port: it may be a server of another directory.
`;

/** What a new skill file begins with. */
const FRONT_MATTER = `---
name: tombstone
description: Start, find, read the logs of and stop development servers. Use it whenever a server must run in the background.
---

`;

/** Text of a new file for agents, of its kind. */
export function newFile(kind: "instructions" | "skill"): string {
  return (kind === "skill" ? FRONT_MATTER : "") + `${BEGIN}\n${BLOCK}${END}\n`;
}

/**
 * The text of a file with the block added or updated; the rest is unchanged.
 *
 * @returns `null` if only one of the lines around the block exists, so that the user's own text cannot be identified
 */
export function withBlock(text: string): string | null {
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 && end < 0) {
    const gap = text === "" || text.endsWith("\n\n") ? "" : text.endsWith("\n") ? "\n" : "\n\n";
    return `${text}${gap}${BEGIN}\n${BLOCK}${END}\n`;
  }
  if (begin < 0 || end < begin || text.lastIndexOf(BEGIN) !== begin || text.lastIndexOf(END) !== end) return null;
  return `${text.slice(0, begin)}${BEGIN}\n${BLOCK}${text.slice(end)}`;
}
