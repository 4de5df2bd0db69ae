import { detectHierarchy } from '../../apps/cgroup-hierarchy.ts';
import type { AgentConfig } from '../../config/config.ts';
import { RecordBytes } from '../../events/batch.ts';
import { HEADER, KINDS, WIRE_VERSION } from '../../events/table.gen.ts';
import { WireEvent } from '../../events/wire-event.ts';
import { SystemBootClock } from '../../host/boot-clock.ts';
import { DenialTest, type DenialOutcome } from '../../plan/denial-test.ts';
import { SELF_TEST_HOOKS, SelfTest } from '../../plan/self-test.ts';
import { ALL_EVENTS, LiveProbe, loadProbe } from '../../probe/live.ts';
import { v2OfHost } from '../../responses/container-cgroups.ts';
import type { DenialFindings } from './denial.ts';
import type { ProbeFindings } from './probe.ts';

/**
 * Loads the probe, runs the self-test with it as the agent does at its start, and takes it down again. Throws UserError
 * when the kernel refuses the probe.
 */
export async function runProbeSelfTest(config: AgentConfig): Promise<ProbeFindings> {
  const hierarchy = detectHierarchy(config.cgroupHierarchy);
  const loaded = await loadProbe(
    {
      hierarchy: { kind: hierarchy.kind, id: hierarchy.hierarchyId },
      patterns: [],
      // The smallest: only the test's own child is in scope.
      execRingBytes: 65_536,
      bulkRingBytes: 65_536,
      compatCalls: config.probe.compatCalls,
    },
    WIRE_VERSION,
  );
  const probe = new LiveProbe(loaded, config.probe);
  try {
    const at: { event?: WireEvent; records?: RecordBytes; test?: SelfTest | DenialTest } = {};
    const buffer = probe.start((bytes) => {
      const { event, records, test } = at;
      if (event === undefined || records === undefined) return;
      for (let offset = 0; offset < bytes;) {
        const length = records.number(offset + HEADER.len);
        if (length === 0) return;
        if (records.short(offset + HEADER.kind) !== KINDS.cgroup) {
          event.moveTo(offset, 1);
          if (event.cgroupId === test?.cgroupId) test.see(event);
        }
        offset += length;
      }
    });
    at.records = new RecordBytes(buffer);
    at.event = new WireEvent(at.records, new SystemBootClock());
    probe.setMasks(ALL_EVENTS);
    probe.attachOnly([...SELF_TEST_HOOKS, 'sys_bind', 'sys_mmap', 'sys_unshare']);
    at.test = new SelfTest(probe, hierarchy.mountPoint);
    const unseen = await at.test.run();
    const denial = await tryDenial(probe, hierarchy.mountPoint, (test) => (at.test = test));
    return { unseen, hooks: probe.hooks(), denial };
  } finally {
    probe.close();
  }
}

/** Denies a program, and a call of each sort. `onTest` is told of the test, which must see the events of its cgroup. */
async function tryDenial(
  probe: LiveProbe,
  mountPoint: string,
  onTest: (test: DenialTest) => void,
): Promise<DenialFindings> {
  const settled = async (run: () => Promise<DenialOutcome>) => {
    const [one] = await Promise.allSettled([(async () => run())()]);
    return one;
  };
  let test: DenialTest | undefined;
  const made = (): DenialTest => {
    test ??= new DenialTest(probe, mountPoint);
    onTest(test);
    return test;
  };
  try {
    return {
      program: await settled(() => made().run('program')),
      connection: await settled(() => {
        probe.denyConnects(v2OfHost().mountPoint);
        return made().run('connection');
      }),
      unix: await settled(() => {
        probe.denyCalls('unix');
        return made().run('unix');
      }),
      file: await settled(() => {
        probe.denyFiles();
        return made().run('file');
      }),
      // Before what can refuse them in another way.
      cgroup: await settled(() => {
        probe.denyCalls('cgroup', v2OfHost().mountPoint);
        return made().run('cgroup');
      }),
      call: await settled(() => {
        probe.denyCalls('calls');
        return made().run('call');
      }),
      memory: await settled(() => {
        probe.denyCalls('memory');
        return made().run('memory');
      }),
      namespace: await settled(() => {
        probe.denyCalls('namespaces');
        return made().run('namespace');
      }),
    };
  } finally {
    test?.end();
  }
}
