import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { KernelProbe } from '../support/kernel-probe.ts';
import { runProgram } from '../support/kernel-program.ts';
import type { Made } from '../support/kernel-twins.ts';

// A probe of its own: what the program allocates for itself would be events of every other test.
describe('memory by int 0x80', () => {
  let dir: string;
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'varvel-compat-'));
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  test('mmap and its older form, mprotect', async () => {
    const cgroupProbe = new KernelProbe({
      attach: ['cgroup_mkdir', 'compat_exit', 'sys_mmap', 'sys_mprotect'],
    });
    try {
      const cgroup = cgroupProbe.mkdir('memory');
      // PROT_READ|EXEC, MAP_PRIVATE|ANONYMOUS; what mmap2 counts in pages is in bytes
      const made = await runProgram<Made>(cgroupProbe, 'compat-calls.c', cgroup, [
        ...[dir, 'ia32', 192, 0, 8192, 5, 0x22, -1, 3, ';'],
        ...['ia32', 90, '[', 0, 4096, 5, 0x22, -1, 0, ']', ';'],
        ...['ia32', 125, '@0', 4096, 7, ';'],
      ]);
      const seen = cgroupProbe.events.filter((event) => event.cgroupId === cgroup.id);
      const of = (event: WireEvent): unknown[] => [
        event.type,
        event.result | 0,
        ...['length', 'prot', 'fd', 'offset'].map((name) => event.param(name)),
      ];
      const RX = 'PROT_READ|PROT_EXEC';
      assert.deepEqual(seen.filter(({ type }) => type.startsWith('m')).map(of), [
        ['mmap', made[0]!.ret, 8192n, RX, -1, 3n << 12n],
        ['mmap', made[1]!.ret, 4096n, RX, -1, 0n],
        ['mprotect', 0, 4096n, 'PROT_READ|PROT_WRITE|PROT_EXEC', undefined, undefined],
      ]);
      assert.equal(made[2]!.ret, 0);
    } finally {
      await cgroupProbe.close();
    }
  });
});
