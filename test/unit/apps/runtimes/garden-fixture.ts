// A Garden that the tests are, and what the runtime tells of its containers.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Container } from '../../../../src/apps/identity.ts';
import { GardenRuntime, type GardenOptions } from '../../../../src/apps/runtimes/garden.ts';
import { SILENT_LOGGER } from '../../../../src/shared/logger.ts';
import { GardenServer } from '../../../support/garden-server.ts';

interface Stage {
  readonly server: GardenServer;
  readonly runtime: GardenRuntime;
  readonly described: Map<string, Container>;
  readonly notFound: string[];
  readonly refused: string[];
  readonly destroyed: string[];
  readonly warnings: string[];
  /** Handles with a cgroup. */
  readonly cgroups: Set<string>;
  readonly lookup: (handle: string) => void;
  readonly until: (what: string, probe: () => boolean) => Promise<void>;
}

/** Ends with the test. */
export async function stage(
  t: TestContext,
  options: Partial<GardenOptions> = {},
  running = true,
): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'varvel-garden-'));
  const server = new GardenServer(join(folder, 'garden.sock'));
  if (running) await server.start();
  const warnings: string[] = [];
  const logger = { ...SILENT_LOGGER, warn: (_: object, message: string) => warnings.push(message) };
  const runtime = new GardenRuntime({ socketPath: server.socketPath, ...options }, logger);
  const described = new Map<string, Container>();
  const [notFound, refused, destroyed]: [string[], string[], string[]] = [[], [], []];
  const cgroups = new Set<string>();
  t.after(async () => {
    await runtime.stop();
    await server.stop();
    rmSync(folder, { recursive: true });
  });
  await runtime.start({
    described: (_, key, container) => void described.set(key, container),
    notFound: (_, key) => void notFound.push(key),
    refused: (_, key) => void refused.push(key),
    destroyed: (_, key) => void destroyed.push(key),
    running: () => assert.fail('Garden tells no process'),
    hasCgroup: (_, key) => cgroups.has(key),
  });
  return {
    server,
    runtime,
    described,
    notFound,
    refused,
    destroyed,
    warnings,
    cgroups,
    lookup: (handle) => {
      cgroups.add(handle);
      runtime.lookup({ cgroupId: 1, path: `/garden/${handle}`, handle });
    },
    until: async (what, probe) => {
      const deadline = Date.now() + 60_000;
      while (!probe()) {
        assert.ok(Date.now() < deadline, `not within 60 s: ${what}`);
        await delay(5);
      }
    },
  };
}

/** What it was asked, but for its list. */
export const bulk = (server: GardenServer) =>
  server.questions.filter((question) => question !== '/containers');
