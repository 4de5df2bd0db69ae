// Opens and other calls that a rule denies, on whatever kernel this is: where it cannot refuse them, the process is killed, and it is
// said. That they are refused is tested in guests (test/vm/guest/denial-opens.ts).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startDockerd } from '../support/dockerd.ts';
import { E2eAgent, until } from '../support/e2e-agent.ts';
import { agentLines, execInContainer } from '../support/e2e-docker.ts';
import {
  contacting,
  KILLED,
  NAMESPACE_RULE,
  outcomeOf,
  runApp,
  RUNTIME_RULE,
  runUnfiltered,
  runWithRuntime,
} from './responses-fixture.ts';

const RULES = `
- rule: Key read
  desc: A test's own.
  condition: evt.type in (open, openat) and fd.name = /etc/key.pem and evt.is_open_read = true
  output: file=%fd.name result=%evt.res
  priority: ERROR
`;

test('what cannot be refused is killed, and status says why', async (t) => {
  await using engine = await startDockerd();
  await engine.importBusybox();
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: ['responses: [{match: {rule: Key read}, do: deny, mode: enforce}]'],
  });
  const shop = await runApp(engine, 'shop', 'production');
  try {
    await until('it is judged', async () => {
      const { verdicts } = (await agent.snapshot()).kernel;
      return verdicts.containers === 1;
    });
    const { refusalsUnavailable, denialTest, verdicts } = (await agent.snapshot()).kernel;
    const refuses = denialTest?.file === 'denied';
    t.diagnostic(`opens: ${denialTest?.file}`);
    assert.equal(refusalsUnavailable?.file, refuses ? undefined : denialTest?.file);
    assert.deepEqual(verdicts.denying.rules, refuses ? ['Key read'] : []);
    const { stdout: status } = agent.varvel('status');
    assert.match(
      status,
      refuses
        ? /^denied before the effect, in 1 containers: .*"Key read"$/m
        : /^OPENS AND CHANGES OF FILES ARE NOT REFUSED on this host, their processes are killed .* \(Cannot refuse to open or change files: E\w+\. This kernel .*\): run varvel doctor$/m,
    );
    const code = await execInContainer(
      shop,
      'echo key > /etc/key.pem; exec sleep 60 < /etc/key.pem',
    );
    assert.equal(code, refuses ? 1 : KILLED);
    const line = await until(
      'it is told',
      async () => (await agentLines(engine, shop)).filter(({ rule }) => rule === 'Key read')[0],
    );
    assert.equal(outcomeOf(line), refuses ? 'prevented' : 'done');
    assert.match(
      line.output,
      refuses
        ? /result=EPERM \| file not opened \(EPERM\)$/
        : /result=SUCCESS \| process killed after the event \(it could not be denied before\)$/,
    );
  } finally {
    await shop.remove({ force: true });
  }
});

test('each group of calls is asked for when a rule denies one of it, and told by its own name', async () => {
  await using engine = await startDockerd();
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': NAMESPACE_RULE },
    config: ['responses: [{match: {rule: User namespace made}, do: deny, mode: enforce}]'],
  });
  const shop = await runUnfiltered(engine);
  try {
    const { refusalsUnavailable, verdicts } = await until('it is judged', async () => {
      const { kernel } = await agent.snapshot();
      return kernel.verdicts.containers === 1 && kernel;
    });
    const { call, memory, namespace } = refusalsUnavailable ?? {};
    assert.deepEqual([call, memory], [undefined, undefined], 'no rule is about those');
    const refuses = namespace === undefined;
    assert.deepEqual(verdicts.denying.rules, refuses ? ['User namespace made'] : []);
    if (!refuses)
      assert.match(
        agent.varvel('status').stdout,
        /^USER NAMESPACES ARE NOT REFUSED on this host, processes that make one are killed .* \(Cannot refuse user namespaces: E\w+\. This kernel .*\): run varvel doctor$/m,
      );
    const code = await execInContainer(shop, 'exec unshare -U sleep 60');
    assert.equal(code, refuses ? 1 : KILLED);
    const line = await until(
      'it is told',
      async () =>
        (await agentLines(engine, shop)).filter(({ rule }) => rule === 'User namespace made')[0],
    );
    assert.equal(outcomeOf(line), refuses ? 'prevented' : 'done');
    assert.match(
      line.output,
      refuses
        ? /result=EPERM \| call refused before it had an effect \(EPERM\)$/
        : /result=SUCCESS \| process killed after the event \(it could not be denied before\)$/,
    );
  } finally {
    await shop.remove({ force: true });
  }
});

const DEVICE_RULE = `
- rule: Device made
  desc: A test's own.
  condition: evt.type in (mknod, mknodat) and evt.rawarg.dev != 0
  output: path=%evt.arg.path result=%evt.res
  priority: ERROR
- rule: Port bound
  desc: A test's own.
  condition: evt.type = bind
  output: result=%evt.res
  priority: ERROR
`;

test('device nodes and binds are refused by cgroup v2, also where other calls cannot be', async () => {
  await using engine = await startDockerd();
  await engine.importBusybox();
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': DEVICE_RULE },
    config: ['responses: [{match: {priority: ERROR}, do: deny, mode: enforce}]'],
  });
  const shop = await runApp(engine, 'shop', 'production');
  try {
    const { verdicts, refusalsUnavailable } = await until('it is judged', async () => {
      const { kernel } = await agent.snapshot();
      return kernel.verdicts.denying.containers === 1 && kernel;
    });
    assert.deepEqual(verdicts.denying.rules, ['Device made', 'Port bound']);
    assert.equal(refusalsUnavailable?.cgroup, undefined);
    const said = 'grep -q "Operation not permitted"';
    const made = 'test -e /tmp/null && exit 1';
    assert.equal(await execInContainer(shop, `mknod /tmp/null c 1 3 2>&1 | ${said}`), 0);
    assert.equal(await execInContainer(shop, `${made}; mknod /tmp/pipe p`), 0);
    assert.equal(await execInContainer(shop, `nc -l -p 8080 2>&1 | ${said}`), 0);
    const lines = await until('both are told', async () => {
      const found = (await agentLines(engine, shop)).filter(({ priority }) => priority === 'Error');
      return found.length >= 2 && found;
    });
    for (const [at, rule] of ['Device made', 'Port bound'].entries()) {
      assert.equal(lines[at]!.rule, rule);
      assert.match(lines[at]!.output, /result=EPERM \| call refused before it had an effect/);
      assert.equal(outcomeOf(lines[at]!), 'prevented');
    }
    const { kernel } = await agent.snapshot();
    assert.deepEqual([kernel.verdicts.denying.inVain, kernel.deniedDropped], [0, 0]);
  } finally {
    await shop.remove({ force: true });
  }
});

test('a program that contacts the container runtime is refused, or killed where that cannot be', async () => {
  await using engine = await startDockerd();
  await engine.importBusybox();
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RUNTIME_RULE },
    config: ['responses: [{match: {rule: Container runtime *}, do: deny, mode: enforce}]'],
  });
  const shop = await runWithRuntime(engine);
  try {
    const { refusalsUnavailable, verdicts } = await until('it is judged', async () => {
      const { kernel } = await agent.snapshot();
      return kernel.verdicts.containers === 1 && kernel;
    });
    const { connection, unix } = refusalsUnavailable ?? {};
    assert.equal(connection, undefined, 'the rule is about no address');
    const refuses = unix === undefined;
    assert.deepEqual(verdicts.denying.rules, refuses ? ['Container runtime contacted'] : []);
    if (!refuses)
      assert.match(
        agent.varvel('status').stdout,
        /^CONNECTIONS TO UNIX SOCKETS ARE NOT REFUSED on this host, their processes are killed .* \(Cannot refuse connections to unix sockets: E\w+\. This kernel .*\): run varvel doctor$/m,
      );
    const code = await execInContainer(shop, `exec ${contacting('sleep', 60_000)}`);
    assert.equal(code, refuses ? 0 : KILLED);
    const line = await until('it is told', async () =>
      (await agentLines(engine, shop)).find(({ rule }) => rule === 'Container runtime contacted'),
    );
    assert.equal(outcomeOf(line), refuses ? 'prevented' : 'done');
    assert.match(
      line.output,
      refuses
        ? /docker\.sock result=EPERM \| connection refused before it was made \(EPERM\)$/
        : /docker\.sock result=SUCCESS \| process killed after the event \(it could not be denied before\)$/,
    );
  } finally {
    await shop.remove({ force: true });
  }
});
