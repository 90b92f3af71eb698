/**
 * Finding nodes: the workspace and the state directory.
 *
 * @module
 */
import { type NodeDir, nodeDir } from "./node_dir.ts";
import { ensureStateDir, findStateDir } from "./state_dir.ts";
import { statePlace } from "./state_place.ts";
import { currentWorkspace, type Workspace } from "./workspace.ts";

/** Options that override the current directory and the environment. */
export interface FinderOptions {
  /** Name of the workspace. */
  workspace?: string | undefined;
  /** Path of the state directory. */
  stateDir?: string | undefined;
  /** Gets the message that state goes to another directory than the usual one. */
  tell?: ((text: string) => void) | undefined;
}

/** Finds nodes. */
export class NodeFinder {
  readonly #options: FinderOptions;
  #workspace: Promise<Workspace> | undefined;
  #isTold = false;

  /** Reads nothing yet. */
  constructor(options: FinderOptions) {
    this.#options = options;
  }

  /** The workspace. */
  workspace(): Promise<Workspace> {
    return this.#workspace ??= currentWorkspace(this.#options.workspace);
  }

  /** Path of the state directory, whether it exists or not. */
  get statePath(): string {
    return statePlace(this.#options.stateDir, "find").path;
  }

  /** The state directory; `null` if there is none yet. */
  findState(): string | null {
    return findStateDir(this.statePath);
  }

  /** Paths of a node; `find`: in a state directory that may not exist yet. */
  async nodeDir(node: string, state: "find" | "ensure"): Promise<NodeDir> {
    const { path, instead } = statePlace(this.#options.stateDir, state);
    const root = state === "ensure" ? ensureStateDir(path) : findStateDir(path) ?? path;
    if (state === "ensure" && instead !== null && !this.#isTold) {
      this.#isTold = true;
      this.#options.tell?.(`state goes to "${root}", since ${instead}`);
    }
    return nodeDir(root, (await this.workspace()).id, node);
  }
}
