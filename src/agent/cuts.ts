import type { Apps } from '../apps/apps.ts';
import type { ProcessTree } from '../context/process-tree.ts';
import type { Logger } from '../shared/logger.ts';

/** A storm lasts for minutes: one line a minute is enough. */
const TELL_EVERY_MS = 60_000;
/** Limit on containers that a line names. */
const NAMED = 8;

/** Reports to the operator which containers started programs with more arguments and environment than can be kept. */
export class CutReports {
  readonly #tree: Pick<ProcessTree, 'takeCuts'>;
  readonly #apps: Pick<Apps, 'resolve'>;
  readonly #logger: Logger;
  #toldAtMs = -Infinity;

  constructor(tree: Pick<ProcessTree, 'takeCuts'>, apps: Pick<Apps, 'resolve'>, logger: Logger) {
    this.#tree = tree;
    this.#apps = apps;
    this.#logger = logger;
  }

  /** Call every second; `nowMs` is monotonic. */
  onTick(nowMs: number): void {
    if (nowMs - this.#toldAtMs < TELL_EVERY_MS) return;
    const cuts = [...this.#tree.takeCuts()].sort(([, one], [, other]) => other - one);
    if (cuts.length === 0) return;
    this.#toldAtMs = nowMs;
    const programs = cuts.reduce((sum, [, count]) => sum + count, 0);
    this.#logger.warn(
      { programs, containers: cuts.slice(0, NAMED).map(([root]) => this.#nameOf(root)) },
      'there is no room for the arguments and environments of all programs in these containers: rules no longer see those of the oldest programs',
    );
  }

  #nameOf(rootCgroupId: number): string {
    const resolution = this.#apps.resolve(rootCgroupId);
    if (resolution.state !== 'included') return `cgroup ${rootCgroupId}`;
    const { app, name } = resolution.container;
    return app?.name ?? name;
  }
}
