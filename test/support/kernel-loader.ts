// What tests of the loader have in common: a probe that watches nothing, and what this process has open.
import { readdirSync, readlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { LoaderScopePattern, ProbeOptions } from 'ebpf-loader-napi';
import { STANDARD_PROGRAMS } from './kernel-probe.ts';

export const FACADE = createRequire(import.meta.url).resolve('ebpf-loader-napi');
export const PATTERN: LoaderScopePattern = {
  prefix: '/varvel-test-nothing/',
  leafPrefix: '',
  handle: 'any',
  leafSuffix: '',
  deep: false,
};
export const OPTIONS: ProbeOptions = { hierarchy: { kind: 'v2', id: 0 }, patterns: [PATTERN] };

/** What these tests attach: the standard programs, and those for calls that come by other ways. */
export const HOOKS = [...STANDARD_PROGRAMS, 'compat_exit', 'io_uring'].sort();

/** What this process has open, but for the pipes of children that come and go, and the cache folder that tsx reads meanwhile. */
export function descriptors(): string[] {
  const targets: string[] = [];
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      if (!/^(pipe|socket):|^\/proc\/|\/tsx-\d+$/.test(target)) targets.push(target);
    } catch {
      // the listing's own
    }
  }
  return targets.sort();
}
