// A registry of Docker's cgroups, and an evaluation over it, with a clock that stands still.
import { ContainerRegistry } from '../../../src/apps/container-registry.ts';
import type { Container } from '../../../src/apps/identity.ts';
import { DOCKER_PATTERNS, matchPath } from '../../../src/apps/patterns.ts';
import { containerFromCreate } from '../../../src/apps/runtimes/docker-container.ts';
import { ProcUsage } from '../../../src/context/process-usage.ts';
import { Evaluation, type EvaluationOptions } from '../../../src/evaluation/evaluation.ts';
import { ContainerTurns } from '../../../src/evaluation/container-turns.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import type { RuleEngine } from '../../../src/rules/engine.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { MemoryScopeMap } from '../../support/memory-scope-map.ts';

/** Nothing is looked up: a test says what a container is. */
export function dockerRegistry(): {
  readonly registry: ContainerRegistry;
  readonly time: { nowMs: number };
} {
  const time = { nowMs: 0 };
  const registry = new ContainerRegistry({
    scopeMap: new MemoryScopeMap(),
    logger: SILENT_LOGGER,
    nowMs: () => time.nowMs,
    match: (path) => {
      const match = matchPath(DOCKER_PATTERNS, path);
      return match && { runtime: 'docker', handle: match.handle, rootPath: match.rootPath };
    },
    keyOf: (_, { handle }) => handle,
    lookup: () => undefined,
  });
  return { registry, time };
}

/** A container as Docker tells of it. */
export const webContainer = (id: string): Container =>
  containerFromCreate({
    action: 'create',
    id,
    attributes: { name: 'web', image: 'i' },
    since: '0',
    timeMs: 0,
  });

/** Without names of users and domains, and without turns; `delivered` has what it detects. */
export function evaluationWorld(engine: RuleEngine, more: Partial<EvaluationOptions> = {}) {
  const { registry, time } = dockerRegistry();
  const delivered: Detection[] = [];
  const nobody = (): undefined => undefined;
  const evaluation = new Evaluation({
    engine,
    registry,
    hostname: 'cell-1',
    holdMs: 5000,
    nowMs: () => time.nowMs,
    domains: { namesOf: () => [], areKnown: () => true },
    usage: new ProcUsage('/nowhere'),
    users: () => ({ userName: nobody, groupName: nobody, homeDir: nobody, shell: nobody }),
    deliver: (detection) => delivered.push(detection),
    // However busy the machine is, nothing takes time: what is detected is written at once.
    turns: new ContainerTurns({ nowMs: () => 0 }),
    ...more,
  });
  return { registry, time, delivered, evaluation };
}
