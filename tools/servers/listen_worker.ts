/**
 * The thread of a `ListenWatch`: told a port, it answers with each moment at which a listener of it shows.
 *
 * @module
 */
import { isTaken } from "./listeners.ts";

const thread = self as unknown as Worker;

thread.onmessage = ({ data: port }: MessageEvent<number>) => {
  let wasTaken = true;
  const look = () => {
    const isNow = isTaken(port);
    if (isNow && !wasTaken) thread.postMessage(Date.now());
    wasTaken = isNow;
    setTimeout(look, 1);
  };
  look();
  thread.postMessage("looks");
};
