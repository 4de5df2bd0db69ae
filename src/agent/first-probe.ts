import { detectHierarchy } from '../apps/cgroup-hierarchy.ts';
import { configuredApps } from '../apps/configured-apps.ts';
import type { AppsConfig } from '../apps/configured-runtimes.ts';
import { scopePatterns } from '../apps/scope-patterns.ts';
import type { AgentConfig } from '../config/config.ts';
import { WIRE_VERSION } from '../events/table.gen.ts';
import { loadProbe, type LoadedProbe } from '../probe/live.ts';
import { CanaryCgroups } from './canary-container.ts';

/** The probe of a starting agent, and what it was loaded for. */
export interface FirstProbe {
  readonly apps: AppsConfig;
  /** Where the canary's containers will be; undefined if it is off. */
  readonly ground: CanaryCgroups | undefined;
  /** Nothing is attached yet. Rejects with UserError. */
  readonly loaded: Promise<LoadedProbe>;
  /** For a start that fails before the probe is handed over: closes it as soon as it is loaded. */
  giveUp(): Promise<void>;
}

/**
 * Starts to load the probe in its own thread. Call it as soon as the configuration is known: the agent's modules and rules take
 * half as long to load. Throws UserError for invalid cgroup patterns, and if the agent cannot create a cgroup.
 */
export function beginProbe(config: AgentConfig): FirstProbe {
  const { canary, cgroupHierarchy, probe, stateDir } = config;
  const hierarchy = detectHierarchy(cgroupHierarchy);
  const ground = canary.enabled ? new CanaryCgroups(hierarchy.mountPoint, stateDir) : undefined;
  const apps = configuredApps(config, ground?.ruleFor(canary.app));
  const loaded = loadProbe(
    {
      hierarchy: { kind: hierarchy.kind, id: hierarchy.hierarchyId },
      patterns: scopePatterns(apps),
      execRingBytes: probe.execRingBytes,
      bulkRingBytes: probe.bulkRingBytes,
      compatCalls: probe.compatCalls,
    },
    WIRE_VERSION,
  );
  // The later awaiter gets the error; this prevents an unhandled rejection until then.
  loaded.catch(() => undefined);
  return {
    apps,
    ground,
    loaded,
    giveUp: () =>
      loaded.then(
        (it) => it.close(),
        () => undefined,
      ),
  };
}
