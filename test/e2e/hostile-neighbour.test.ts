// A hostile container beside a quiet one: whatever the one does, all Critical lines of the other come, none of its records is
// lost, and nobody is blamed for another. The agent has the shipped unit's limits. How late the lines come is measured
// by `npm run bench neighbours`, which does more of each.
import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import { until } from '../support/e2e-agent.ts';
import { execInContainer } from '../support/e2e-docker.ts';
import {
  churnedCgroups,
  crowd,
  execStorm,
  nestedCgroups,
  opens,
  policiesThatLoad,
  REFUSED_POLICIES,
  type Attack,
  type AttackCounts,
} from '../support/hostile-attacks.ts';
import { Neighbours, rowOf, type Beside, type Outcome } from '../support/neighbours.ts';

const COUNTS: AttackCounts = {
  commands: 200,
  openSeconds: 3,
  crowd: 7000,
  execs: 4000,
  churned: 10_000,
  /** More than the kernel's map of containers holds. */
  nested: 20_000,
};
/** Before the attack: enough for the agent to be warm. */
const USUAL_MS = 1000;
/** The shipped limit is 512. */
const MOST_MIB = 300;

let neighbours: Neighbours;
before(async () => {
  neighbours = await Neighbours.start();
});
after(() => neighbours[Symbol.asyncDispose]());

function assertUnharmed({ steps, stepsInLog, ...outcome }: Outcome): void {
  const all = Array.from({ length: steps }, (_, index) => index + 1);
  assert.deepEqual(stepsInLog, all, 'each step of the quiet app is in its log, once, in order');
  assert.deepEqual(outcome.quiet, { lost: 0, told: 0 });
  assert.deepEqual(outcome.otherInLog, [], 'its log has nothing of what others caused');
  assert.deepEqual(
    outcome.blamed.filter((app) => app !== 'hostile'),
    [],
    'nobody is blamed for another',
  );
  for (const { lost, told } of outcome.hostile) assert.ok(told >= lost, `${told} of ${lost} told`);
  assert.equal(outcome.oomKills, 0);
  assert.ok(outcome.peakMib < MOST_MIB, `${outcome.peakMib} MiB`);
}

async function assertHarmless(
  t: TestContext,
  attacks: readonly Attack[],
  then: (beside: Beside, outcome: Outcome) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  await neighbours.run(attacks, USUAL_MS, async (beside, outcome) => {
    t.diagnostic(rowOf(attacks.map(({ name }) => name).join(' and '), outcome));
    assertUnharmed(outcome);
    await then(beside, outcome);
  });
}

test('policies that ended or blinded the agent are refused, and again after a restart', async (t) => {
  await assertHarmless(t, REFUSED_POLICIES, async ({ agent, hostile, policyLines }) => {
    const lines = await policyLines();
    REFUSED_POLICIES.forEach(({ refused }, at) => {
      assert.equal(lines[at]?.output_fields['policy.state'], 'refused');
      assert.match(lines[at].output, refused!);
    });
    const areRefused = async (): Promise<boolean> =>
      (await agent.snapshot()).policies.refused === REFUSED_POLICIES.length;
    await until('all are refused', areRefused);
    await agent.end();
    await agent.run();
    await until('all are refused again', areRefused);
    const before = agent.detections('Sensitive file read').length;
    for (const container of hostile) {
      const script = ': < /hostile-target; cat /etc/shadow > /dev/null';
      assert.equal(await execInContainer(container, `: >> /hostile-target; ${script}`), 0);
    }
    await until('the operator’s rules go on', () => {
      return agent.detections('Sensitive file read').length >= before + hostile.length;
    });
    assert.ok(agent.running);
  });
});

describe('the worst policies that load', () => {
  for (const attack of policiesThatLoad(COUNTS)) {
    test(attack.name, async (t) => {
      await assertHarmless(t, [attack], async ({ policyLines }) => {
        const [line] = await policyLines();
        assert.equal(line?.output_fields['policy.state'], 'in force', line?.output);
      });
    });
  }
});

test('thousands of processes with large environments: memory comes back', async (t) => {
  await assertHarmless(t, [crowd(COUNTS)], async ({ agent, removeHostile }, { hostile }) => {
    const { processes } = await agent.snapshot();
    // On a busy machine the agent is not given the environments of many: their records are lost, and told.
    const lost = hostile[0]?.lost ?? 0;
    assert.ok(processes.processes > COUNTS.crowd / 2, String(processes.processes));
    assert.ok(processes.imagesCut > 0 || lost > COUNTS.crowd / 4, `none cut, ${lost} lost`);
    if (processes.imagesCut > 0)
      await agent.logged(/no room for the arguments and environments of all programs/);
    await removeHostile();
    await until(
      () => `memory comes back: ${agent.rssMib()} MiB now`,
      () => agent.rssMib() < MOST_MIB / 2,
      300_000,
    );
  });
});

for (const attack of [execStorm, churnedCgroups, opens].map((of) => of(COUNTS)))
  test(attack.name, (t) => assertHarmless(t, [attack]));

const nested = nestedCgroups(COUNTS);
test(nested.name, (t) =>
  assertHarmless(t, [nested], async ({ agent, cgroupsBefore }) => {
    const { kernel, apps } = await agent.snapshot();
    assert.equal(kernel.scopeFull, 0);
    // The hostile container, and the new one while it is remembered. A host may have containers of other engines.
    const more = apps.counters.cgroups - cgroupsBefore;
    assert.ok(more <= 2, `${more} more`);
  }),
);
