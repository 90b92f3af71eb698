// The node and the worker of tree.sh; the node listens when the worker does.
const [, file, stamps, port, role] = process.argv;
require("fs").appendFileSync(stamps, `tree 0 ${process.pid}\n`);
const listen = (number, then) => require("http").createServer((_, r) => r.end()).listen(+number, "127.0.0.1", then);
if (role === "worker") listen(+port + 1, () => process.send("ready"));
else require("child_process").fork(file, [stamps, port, "worker"]).once("message", () => listen(port));
