/**
 * The thread of a `ListenWatch`: told a port, it answers with the moment at which a new listener of it shows.
 *
 * @module
 */
import { isTaken } from "./listeners.ts";

const thread = self as unknown as Worker;

thread.onmessage = ({ data: port }: MessageEvent<number>) => {
  let wasFree = false;
  const look = () => {
    const taken = isTaken(port);
    if (taken && wasFree) return thread.postMessage(Date.now());
    wasFree ||= !taken;
    setTimeout(look, 1);
  };
  look();
  thread.postMessage("looks");
};
