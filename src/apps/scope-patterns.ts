import type { ScopePattern } from '../probe/scope.ts';
import { UserError } from '../shared/user-error.ts';
import type { AppsConfig } from './configured-runtimes.ts';
import {
  CRI_PATTERNS,
  criPatterns,
  DOCKER_PATTERNS,
  dockerParentPattern,
  GARDEN_ROOT,
  gardenPatterns,
  MAX_SCOPE_PATTERNS,
} from './patterns.ts';
import { compileRules } from './runtimes/cgroup.ts';
import type { RuntimeName } from './runtimes/runtime.ts';

/** A scope pattern, and the runtime it belongs to. */
export interface RuntimePattern extends ScopePattern {
  readonly runtime: RuntimeName;
}

/**
 * The patterns of all configured runtimes, in the order in which they are tried. Needs none of the runtimes' clients,
 * so that the probe can be loaded before them. Throws UserError for an invalid pattern, or for more than the probe
 * takes.
 */
export function scopePatterns(config: AppsConfig): readonly RuntimePattern[] {
  const { cgroups = [], cri, docker, garden } = config;
  const of = (runtime: RuntimeName, patterns: readonly ScopePattern[]): RuntimePattern[] =>
    patterns.map((pattern) => ({ ...pattern, runtime }));
  const all = [
    // The operator's patterns come before the runtimes' defaults.
    ...of('cgroup', compileRules(cgroups)),
    ...of('docker', docker === undefined ? [] : dockerPatterns(docker.cgroupParents)),
    ...of(
      'garden',
      garden === undefined ? [] : gardenRoots(garden).flatMap((root) => gardenPatterns(root)),
    ),
    ...of('cri', cri === undefined ? [] : allCriPatterns(cri.cgroupParents)),
  ];
  if (all.length > MAX_SCOPE_PATTERNS) {
    throw new UserError(
      `There are ${all.length} cgroup patterns; the probe takes ${MAX_SCOPE_PATTERNS}. Join some with a shorter text before the "*".`,
    );
  }
  return all;
}

const dockerPatterns = (parents: readonly string[] = []): ScopePattern[] => [
  ...DOCKER_PATTERNS,
  ...parents.map((parent) => dockerParentPattern(parent)),
];

const allCriPatterns = (parents: readonly string[] = []): ScopePattern[] => [
  ...CRI_PATTERNS,
  ...parents.flatMap((root) => criPatterns(root)),
];

/** The cgroups in which Garden keeps its containers. */
export function gardenRoots(options: {
  readonly cgroupParents?: readonly string[] | undefined;
}): readonly string[] {
  return [...new Set([GARDEN_ROOT, ...(options.cgroupParents ?? [])])];
}
