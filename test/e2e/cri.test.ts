// The agent on a host of Kubernetes: a real containerd, driven by the interface that the kubelet uses.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { TestContainerd, type PodOptions, type TestContainer } from '../support/containerd.ts';
import { E2eAgent, pooled, settled, until, type DetectionLine } from '../support/e2e-agent.ts';

const RULE = 'Mark read';
const RULES = `
- rule: ${RULE}
  desc: A file of the test was read.
  condition: evt.type in (open, openat) and evt.is_open_read = true and fd.name startswith /marks/
  output: mark (id=%container.id file=%fd.name container=%container.name pod=%k8s.pod.name namespace=%k8s.ns.name image=%container.image.repository privileged=%container.privileged)
  priority: WARNING
`;

let containerd: TestContainerd;
let marks: string;

before(async () => {
  marks = mkdtempSync(join(tmpdir(), 'varvel-marks-'));
  for (let at = 0; at < 40; at++) writeFileSync(join(marks, `m${at}`), '');
  containerd = await TestContainerd.start();
});

after(async () => {
  await containerd[Symbol.asyncDispose]();
  rmSync(marks, { recursive: true });
});

const mounts = () => [{ host_path: marks, container_path: '/marks', readonly: true }];

/** A pod as Korifi's StatefulSet makes it. */
function korifiPod(app: string, index: number, asks = true): PodOptions {
  return {
    name: `${app}-${index}`,
    namespace: `space-of-${app}`,
    labels: {
      'korifi.cloudfoundry.org/app-guid': app,
      'korifi.cloudfoundry.org/process-guid': `process-of-${app}`,
      'korifi.cloudfoundry.org/process-type': 'web',
      'korifi.cloudfoundry.org/version': '0',
      'apps.kubernetes.io/pod-index': String(index),
    },
    annotations: asks ? { 'varvel.enable': 'true' } : {},
  };
}

/**
 * What the CRI's log format carries: times, stream and tag taken off, lines that were cut put together. What stands behind the
 * last newline may be half written.
 */
function logLines({ logFile }: TestContainer): string[] {
  if (!existsSync(logFile)) return [];
  let part = '';
  const lines: string[] = [];
  for (const line of readFileSync(logFile, 'utf8').split('\n').slice(0, -1)) {
    const [, tag, text = ''] =
      /^\S+ (?:stdout|stderr) ([FP]) (.*)$/.exec(line) ?? assert.fail(line);
    part += text;
    if (tag === 'P') continue;
    lines.push(part);
    part = '';
  }
  assert.equal(part, '', 'a line without its end');
  return lines;
}

const detectionsIn = (container: TestContainer): DetectionLine[] =>
  logLines(container)
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as DetectionLine);

beforeEach(() => containerd.startDaemon());

async function startAgent(
  t: { after(end: () => Promise<void>): void },
  apps: 'all' | 'korifi' = 'all',
  config: readonly string[] = [],
): Promise<E2eAgent> {
  const agent = await E2eAgent.start({
    cri: { socketPath: containerd.socketPath, apps },
    config: ['limits: {enabled: false}', ...config],
    rules: { 'marks.yaml': RULES },
    noDefaultRules: true,
  });
  t.after(() => agent[Symbol.asyncDispose]());
  return agent;
}

describe('a host of Kubernetes', () => {
  test('a detection is in the container’s own log and in the operator’s copy, with its app; who did not ask has none', async (t) => {
    const agent = await startAgent(t);
    const script =
      'echo before; cat /marks/m1; echo after; printf unfinished; sleep 1; cat /marks/m2; sleep 1000';
    const command = ['sh', '-c', script];
    const pod = await containerd.runPod(korifiPod('app-1', 3));
    const app = await containerd.runContainer(pod, { command, mounts: mounts() });
    const sidecar = await containerd.runContainer(pod, {
      name: 'istio-proxy',
      command,
      mounts: mounts(),
    });
    const other = await containerd.runPod(korifiPod('app-2', 0, false));
    const quiet = await containerd.runContainer(other, { command, mounts: mounts() });
    const plainPod = await containerd.runPod({
      name: 'shop-7d9f',
      namespace: 'shops',
      quality: '',
      labels: { 'varvel.enable': 'true', 'app.kubernetes.io/name': 'shop' },
    });
    const plain = await containerd.runContainer(plainPod, {
      name: 'web',
      command,
      mounts: mounts(),
    });

    await until('both marks are in both logs', () => {
      return detectionsIn(app).length >= 2 && detectionsIn(plain).length >= 2;
    });
    const of = (container: TestContainer) =>
      agent
        .detections(RULE)
        .filter((line) => line.output_fields['container.id'] === container.id.slice(0, 12));
    await until('the operator has those of the sidecar', () => of(sidecar).length >= 2);
    await settled(agent);
    assert.deepEqual(
      detectionsIn(app).map(({ output_fields, seq, app: own }) => [
        output_fields['fd.name'],
        seq,
        own,
      ]),
      [1, 2].map((at) => [
        `/marks/m${at}`,
        at,
        {
          name: 'app-1',
          guid: 'app-1',
          space: 'space-of-app-1',
          process_type: 'web',
          instance: '3',
        },
      ]),
    );
    assert.deepEqual(
      detectionsIn(plain).map(({ app: own }) => own),
      Array.from({ length: 2 }, () => ({ name: 'shop', space: 'shops', process_type: 'web' })),
    );
    assert.deepEqual(
      of(app).map(({ id }) => id),
      detectionsIn(app).map(({ id }) => id),
    );
    const [first] = of(app);
    assert.match(
      first?.output ?? '',
      /container=application pod=app-1-3 namespace=space-of-app-1 image=docker\.io\/varvel-test\/busybox privileged=false/,
    );
    // The app's own lines are whole, the one that it did not end as well.
    assert.deepEqual(
      logLines(app).filter((line) => line !== '' && !line.startsWith('{')),
      ['before', 'after', 'unfinished'],
    );
    // A container that Korifi did not make is nobody's: operators have its detections, its log has none.
    assert.deepEqual(detectionsIn(sidecar), []);
    assert.equal(of(sidecar).length, 2);
    assert.ok(of(sidecar).every((line) => line.app === undefined));
    assert.deepEqual([detectionsIn(quiet), of(quiet)], [[], []]);

    const status = agent.varvel('status').stdout;
    assert.match(
      status,
      /runtime cri: connected\. Connected to Kubernetes’ runtime at .*containerd\.sock\. It is containerd 1\.\d/,
    );
    assert.match(
      status,
      /It has no label varvel\.enable=true and no policy \(label varvel\.policy or file\), and the mode is "opt-in"/,
    );
    assert.match(status, /It is the sandbox of a pod, in which nothing of an app runs\./);
    assert.match(status, /the app is in the container "application"/);
    const doctor = agent.varvel('doctor').stdout.replaceAll(/\s+/g, ' ');
    assert.match(doctor, /containerd 1\.\d+\.\d+\S* answers on .*: \d+ containers\./);
    for (const one of [pod, other, plainPod]) await containerd.removePod(one);
  });

  test('where Korifi’s apps alone are watched, everything else is left alone, whatever it asks for', async (t) => {
    const agent = await startAgent(t, 'korifi', ['mode: always']);
    const command = ['sh', '-c', 'sleep 0.2; cat /marks/m1; sleep 1000'];
    const app = await containerd.runPod(korifiPod('app-3', 0, false));
    const plain = await containerd.runPod({ labels: { 'varvel.enable': 'true' } });
    const watched = await containerd.runContainer(app, { command, mounts: mounts() });
    const left = await containerd.runContainer(plain, { command, mounts: mounts() });
    await until('the app’s is there', () => detectionsIn(watched).length > 0);
    await until(
      'the other is decided',
      async () => (await agent.containerStatus(left.id))?.state === 'excluded',
    );
    assert.match((await agent.containerStatus(left.id))?.reason ?? '', /no app of Korifi’s/);
    assert.equal(await containerd.exec(left, ['cat', '/marks/m2']), 0);
    await settled(agent);
    assert.equal(agent.detections().length, 1);
    assert.deepEqual(detectionsIn(left), []);
    for (const one of [app, plain]) await containerd.removePod(one);
  });

  test('containerd is killed and started again: nothing is lost, neither the app’s lines nor ours', async (t) => {
    const agent = await startAgent(t, 'all', ['rescan_interval: 1s']);
    // What containerd had read and not yet written when it was killed would be lost, and is not ours: it has written all until then.
    const killed = join(marks, 'killed');
    const first = 5;
    const untilKilled = `until [ $n -lt ${first} -o -e /marks/killed ]; do sleep 0.05; done`;
    const script = `n=0; while [ $n -lt 40 ]; do ${untilKilled}; echo own $n; cat /marks/m$n; n=$((n+1)); sleep 0.1; done; sleep 1000`;
    const pod = await containerd.runPod(korifiPod('app-4', 0));
    const app = await containerd.runContainer(pod, {
      command: ['sh', '-c', script],
      mounts: mounts(),
    });
    const ownIn = (container: TestContainer): string[] =>
      logLines(container).filter((line) => line.startsWith('own'));
    await until('it has begun', () => {
      return detectionsIn(app).length >= first && ownIn(app).length >= first;
    });
    await containerd.stopDaemon('SIGKILL');
    writeFileSync(killed, '');
    await until('it is noticed', async () => {
      return (await agent.snapshot()).apps.runtimes.some(({ connected }) => !connected);
    });
    assert.match(
      agent.varvel('status').stdout,
      /runtime cri: NOT CONNECTED\. (?:Nothing listens on the CRI socket|The connection to Kubernetes’ runtime at .* was lost)/,
    );
    await containerd.startDaemon();
    await until(
      'all are there',
      () => detectionsIn(app).length >= 40 && ownIn(app).length >= 40,
      30_000,
    );
    await until('it is connected again', async () => {
      return (await agent.snapshot()).apps.runtimes.every(({ connected }) => connected);
    });
    // Also one that is new.
    const later = await containerd.runPod(korifiPod('app-5', 0));
    const young = await containerd.runContainer(later, {
      command: ['sh', '-c', 'cat /marks/m1; sleep 1000'],
      mounts: mounts(),
    });
    await until('the new one’s', () => detectionsIn(young).length >= 1);
    await settled(agent);
    const numbers = Array.from({ length: 40 }, (_, at) => at);
    const lines = detectionsIn(app);
    assert.deepEqual(
      lines.map(({ seq }) => seq),
      numbers.map((at) => at + 1),
    );
    assert.deepEqual(
      lines.map(({ output_fields }) => output_fields['fd.name']),
      numbers.map((at) => `/marks/m${at}`),
    );
    assert.deepEqual(
      ownIn(app),
      numbers.map((at) => `own ${at}`),
    );
    rmSync(killed);
    for (const one of [pod, later]) await containerd.removePod(one);
  });

  test('containerd is down when the agent starts: what runs is watched, and comes to the right app', async (t) => {
    const pod = await containerd.runPod(korifiPod('app-6', 1));
    const go = join(marks, 'go');
    mkdirSync(go);
    const script = 'until [ -e /marks/go/now ]; do sleep 0.05; done; cat /marks/m1; sleep 1000';
    const app = await containerd.runContainer(pod, {
      command: ['sh', '-c', script],
      mounts: mounts(),
    });
    await containerd.stopDaemon('SIGKILL');
    const agent = await startAgent(t, 'all', ['hold_time: 500ms']);
    writeFileSync(join(go, 'now'), '');
    await until('it waits', async () => (await agent.snapshot()).waiting.detections.held === 1);
    assert.deepEqual(agent.detections(), []);
    await containerd.startDaemon();
    await until('it comes', () => detectionsIn(app).length === 1);
    assert.equal(detectionsIn(app)[0]?.app?.['instance'], '1');
    rmSync(go, { recursive: true });
    await containerd.removePod(pod);
  });

  test('30 containers come and go, and each detection is its own app’s', async (t) => {
    const agent = await startAgent(t);
    const logs = new Map<string, DetectionLine[]>();
    await pooled(
      Array.from({ length: 30 }, (_, at) => at),
      6,
      async (at) => {
        const pod = await containerd.runPod({
          ...korifiPod(`churn-${at}`, at % 3, at % 5 !== 0),
          quality: 'burstable',
        });
        const command = ['sh', '-c', `cat /marks/m${at}; sleep 1000`];
        const app = await containerd.runContainer(pod, { command, mounts: mounts() });
        if (at % 5 === 0) {
          await until(
            'it is decided',
            async () => (await agent.containerStatus(app.id))?.state === 'excluded',
            60_000,
          );
        } else {
          await until(`its line (${at})`, () => detectionsIn(app).length >= 1, 60_000);
        }
        logs.set(`churn-${at}`, detectionsIn(app));
        await containerd.removePod(pod);
      },
    );
    const snapshot = await settled(agent);
    for (const [app, lines] of logs) {
      const at = Number(app.slice('churn-'.length));
      assert.deepEqual(
        lines.map((line) => [
          line.output_fields['fd.name'],
          line.app?.['guid'],
          line.app?.['instance'],
        ]),
        at % 5 === 0 ? [] : [[`/marks/m${at}`, app, String(at % 3)]],
      );
    }
    const copies = agent
      .detections(RULE)
      .map((line) => [line.app?.['guid'], line.output_fields['fd.name']]);
    assert.equal(copies.length, 24);
    for (const [app, file] of copies)
      assert.equal(file, `/marks/m${String(app).slice('churn-'.length)}`);
    assert.deepEqual(
      snapshot.apps.containers.filter(({ state }) => state === 'pending'),
      [],
    );
    assert.equal(snapshot.kernel.dropped, 0);
  });

  test('a pod whose image has the layer of the buildpack asks by it, and is watched by its policy', async (t) => {
    const policy = `custom_rules: [{rule: Own mark, desc: d, condition: 'evt.type in (open, openat) and fd.name = /marks/m2', output: own, priority: ERROR}]`;
    const image = 'docker.io/varvel-test/layered:1';
    containerd.importImage(image, {
      '/layers/varvel/varvel/policy.json': JSON.stringify({ format: 1, varvel: '0.1.0', policy }),
    });
    const agent = await startAgent(t, 'all', ['rule_matching: all']);
    // The second one is set up while the agent stands still: it is looked into when its program runs.
    for (const isMissed of [false, true]) {
      const pod = await containerd.runPod(korifiPod(`app-6-${isMissed}`, 0, false));
      const command = ['sh', '-c', 'cat /marks/m1; cat /marks/m2; echo begun; sleep 1000'];
      if (isMissed) agent.kill('SIGSTOP');
      const app = await containerd.runContainer(pod, { command, mounts: mounts(), image });
      await until('its program runs', () => logLines(app).includes('begun'));
      agent.kill('SIGCONT');
      const rules = (): string[] => detectionsIn(app).map(({ rule }) => rule);
      const fired = (): string[] => rules().filter((rule) => !rule.startsWith('Varvel: '));
      await until('its policy is told', () => rules().includes('Varvel: policy'));
      await settled(agent);
      // containerd writes what the agent wrote a moment later.
      await until('all three are in its log', () => fired().length >= 3);
      const told = detectionsIn(app).find(({ rule }) => rule === 'Varvel: policy');
      assert.match(
        told?.output ?? '',
        /\(varvel\.yml, verified\) of this app is in force: 2 rules/,
      );
      assert.deepEqual(fired(), [RULE, RULE, 'Own mark']);
      assert.equal(
        (await agent.containerStatus(app.id))?.reason,
        'It has a policy file (the varvel buildpack’s, or its own).',
      );
    }
  });
});
