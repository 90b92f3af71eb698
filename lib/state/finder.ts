/**
 * Finding nodes: the workspace and the state directory.
 *
 * @module
 */
import { type NodeDir, nodeDir } from "./node_dir.ts";
import { ensureStateDir, findStateDir, stateDirPath } from "./state_dir.ts";
import { currentWorkspace, type Workspace } from "./workspace.ts";

/** Options that override the current directory and the environment. */
export interface FinderOptions {
  /** Name of the workspace. */
  workspace?: string | undefined;
  /** Path of the state directory. */
  stateDir?: string | undefined;
}

/** Finds nodes. */
export class NodeFinder {
  readonly #options: FinderOptions;
  #workspace: Promise<Workspace> | undefined;

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
    return stateDirPath(this.#options.stateDir);
  }

  /** The state directory; `null` if there is none yet. */
  findState(): string | null {
    return findStateDir(this.statePath);
  }

  /** Paths of a node; `find`: in a state directory that may not exist yet. */
  async nodeDir(node: string, state: "find" | "ensure"): Promise<NodeDir> {
    const path = this.statePath;
    const root = state === "ensure" ? ensureStateDir(path) : findStateDir(path) ?? path;
    return nodeDir(root, (await this.workspace()).id, node);
  }
}
