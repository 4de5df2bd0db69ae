// Files that are not opened: with real processes in real containers. Here, and not in e2e, since it needs a kernel that lets programs
// change what its functions return.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../../support/dockerd.ts';
import { E2eAgent, until } from '../../support/e2e-agent.ts';
import {
  agentLines,
  execInContainer,
  imageMadeBy,
  runContainer,
} from '../../support/e2e-docker.ts';
import { stepsProgram } from '../../support/kernel-process.ts';
import {
  contacting,
  NAMESPACE_RULE,
  RUNTIME_RULE,
  runUnfiltered,
  runWithRuntime,
} from '../../e2e/responses-fixture.ts';

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd({ cgroupDriver: 'cgroupfs' });
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

const CLONE_NEWUSER = 0x10000000;
const SIGCHLD = 17;
/** An emulated machine needs minutes for the tables of all default rules. */
const WAIT_MS = 240_000;
const RULE = 'Key read by another program';
const RULES = `
- rule: ${RULE}
  desc: A test's own.
  condition: >
    evt.type in (open, openat, openat2) and fd.name in (/etc/key.pem, /srv/image.pem, /vol/key.pem)
    and evt.is_open_read = true and not proc.name in (busybox-server)
  output: file=%fd.name result=%evt.res command=%proc.cmdline
  priority: ERROR
`;
const ENTRY = `responses: [{match: {rule: ${RULE}, app: shop}, do: deny, mode: enforce}]`;

/** Succeeds if the command cannot read the key, and says so. */
const REFUSED = (command: string): string =>
  `said=$(${command} 2>&1) && exit 1; case "$said" in *"Operation not permitted"*) ;; *) exit 2;; esac`;

test('the key of an app is read by its own program alone, however others name it', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: [ENTRY],
  });
  // A file of the image is in a lower layer of overlayfs. A link to it has it copied up.
  const image = await imageMadeBy(engine, 'key', 'mkdir /srv; echo key > /srv/image.pem');
  const runApp = (name: string): Promise<Docker.Container> =>
    runContainer(
      engine,
      'echo key | tee /etc/key.pem > /vol/key.pem; ln -s key.pem /etc/link; cp /bin/busybox /bin/busybox-server; exec sleep 600',
      {
        image,
        labels: { 'varvel.enable': 'true', 'varvel.app': name },
        hostConfig: { Tmpfs: { '/vol': '' } },
      },
    );
  const [shop, blog] = [await runApp('shop'), await runApp('blog')];

  try {
    await until(
      'it is denied in one of two',
      async () => {
        const { verdicts } = (await agent.snapshot()).kernel;
        return verdicts.denying.containers === 1 && verdicts.containers === 2;
      },
      WAIT_MS,
    );
    const { denialTest, refusalsUnavailable } = (await agent.snapshot()).kernel;
    assert.deepEqual([denialTest?.program, denialTest?.file], ['denied', 'denied']);
    assert.deepEqual(refusalsUnavailable, {});
    await until(
      'all files are known',
      async () => (await agent.snapshot()).kernel.knownFiles.files === 3,
      WAIT_MS,
    );
    const others =
      'ln /etc/key.pem /tmp/key; ln /srv/image.pem /tmp/image; ln /vol/key.pem /vol/x; cp /bin/busybox /etc/';
    assert.equal(await execInContainer(shop, others), 0);
    // Inodes that nobody uses are forgotten, and read again.
    writeFileSync('/proc/sys/vm/drop_caches', '2');
    const commands = [
      ['cat /etc/key.pem', '/etc/key.pem'],
      ['cat /etc/link', '/etc/key.pem'],
      ['cat /etc/../etc/key.pem', '/etc/key.pem'],
      ['cat /proc/self/root/etc/key.pem', '/etc/key.pem'],
      ['cat /tmp/key', '/etc/key.pem'],
      ['cat /srv/image.pem', '/srv/image.pem'],
      ['cat /tmp/image', '/srv/image.pem'],
      ['cat /vol/x', '/vol/key.pem'],
      ['chroot /etc /busybox cat /key.pem', '/etc/key.pem'],
    ] as const;
    for (const [command] of commands)
      assert.equal(await execInContainer(shop, REFUSED(command)), 0, command);
    // Its own program, another app, another file by a second name, and to write.
    assert.equal(await execInContainer(shop, '/bin/busybox-server cat /etc/key.pem'), 0);
    assert.equal(
      await execInContainer(blog, 'ln /etc/key.pem /tmp/key; cat /tmp/key /etc/key.pem'),
      0,
    );
    assert.equal(await execInContainer(shop, 'ln /etc/busybox /tmp/busybox; cat /tmp/busybox'), 0);
    assert.equal(await execInContainer(shop, 'echo more >> /etc/key.pem'), 0);
    const lines = await until(
      'each is told',
      async () => {
        const found = (await agentLines(engine, shop)).filter(({ rule }) => rule === RULE);
        return found.length >= commands.length && found;
      },
      WAIT_MS,
    );
    assert.equal(lines.length, commands.length);
    for (const [at, { output, output_fields: fields }] of lines.entries()) {
      assert.match(
        output,
        new RegExp(
          `file=${commands[at]?.[1]} result=EPERM command=\\S+ (?:cat )?${commands[at]?.[0].split(' ').at(-1)} .*\\| file not opened \\(EPERM\\)$`,
        ),
      );
      assert.deepEqual(
        ['', '.outcome', '.guarantee'].map((key) => fields[`varvel.response${key}`]),
        ['deny', 'prevented', 'before the effect'],
      );
    }
    assert.equal((await shop.inspect()).State.Running, true);
    assert.match(
      agent.varvel('status').stdout,
      new RegExp(`^denied before the effect, in 1 containers: .*"${RULE}"$`, 'm'),
    );
    const { kernel } = await agent.snapshot();
    assert.deepEqual([kernel.verdicts.denying.inVain, kernel.deniedDropped], [0, 0]);
    assert.equal(agent.varvel('lift', '--app', 'shop').code, 0);
    await until(
      'it is lifted',
      async () => (await agent.snapshot()).kernel.verdicts.denying.containers === 0,
      WAIT_MS,
    );
    assert.equal(await execInContainer(shop, 'cat /etc/key.pem'), 0);
    assert.deepEqual(
      (await agentLines(engine, blog))
        .filter(({ rule }) => rule === RULE)
        .map(({ output_fields: of }) => of['varvel.response']),
      [undefined],
      'there it is only told',
    );
  } finally {
    for (const app of [shop, blog]) await app.remove({ force: true });
  }
});

test('an app holds itself to who opens its secrets and to code that nobody changes', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    // An emulated machine takes long for one event: rules that are paused deny nothing.
    config: ['policies: {responses: [deny], budget: {cpu_percent: 100, at_once: 1s}}'],
  });
  const policy = `
variables:
  secret_paths: [/app/tls.key]
  secret_readers: [/bin/busybox-server]
  code_paths: [/data/site]
enforce: [secret_paths, code_paths]
`;
  // In the image: a start script would be held to it, too.
  const image = await imageMadeBy(
    engine,
    'shop',
    'mkdir -p /app /data/site; echo key > /app/tls.key; echo code > /data/site/a; cp /bin/busybox /bin/busybox-server',
  );
  const shop = await runContainer(engine, 'exec sleep 600', {
    labels: { 'varvel.enable': 'true', 'varvel.app': 'shop', 'varvel.policy': policy },
    image,
  });
  try {
    await until(
      'it is denied',
      async () => (await agent.snapshot()).kernel.verdicts.denying.containers === 1,
      WAIT_MS,
    );
    for (const command of [
      'cat /app/tls.key',
      'sh -c "echo x >> /app/tls.key"',
      'sh -c "echo x > /data/site/a"',
      'cp /bin/busybox /data/site/a',
      // Other names, of what the app lists and of the directories that it is in.
      'ln /app/tls.key /tmp/key',
      'mv /app/tls.key /tmp/key',
      'mv /app /app2',
      'mv /data/site /data/site2',
      'mv /data /data2',
    ])
      assert.equal(await execInContainer(shop, REFUSED(command)), 0, command);
    for (const command of [
      '/bin/busybox-server cat /app/tls.key',
      'cat /data/site/a',
      'echo x > /data/other; mv /data/other /data/another; mkdir /srv; mv /srv /srv2',
    ])
      assert.equal(await execInContainer(shop, command), 0, command);
    assert.equal((await agent.snapshot()).kernel.verdicts.denying.inVain, 0);
  } finally {
    await shop.remove({ force: true });
  }
});

const CALL_RULES = `${NAMESPACE_RULE}- rule: Process killed
  desc: A test's own.
  condition: evt.type = kill and evt.rawres = 0 and evt.arg.sig = SIGKILL and not proc.exepath endswith runc
  output: sig=%evt.arg.sig result=%evt.res
  priority: ERROR
`;

test('calls of more than one group are refused by who makes them, with a line each', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': CALL_RULES },
    config: ['responses: [{match: {priority: ERROR}, do: deny, mode: enforce}]'],
  });
  const shop = await runUnfiltered(engine, { Binds: [`${stepsProgram()}:/steps:ro`] });
  try {
    await until(
      'it is denied',
      async () => (await agent.snapshot()).kernel.verdicts.denying.containers === 1,
      WAIT_MS,
    );
    assert.deepEqual((await agent.snapshot()).kernel.refusalsUnavailable, {});
    assert.equal(await execInContainer(shop, REFUSED('unshare -U true')), 0);
    assert.equal(await execInContainer(shop, 'unshare -u true'), 0, 'another namespace');
    const cloning = `/steps call clone ${CLONE_NEWUSER | SIGCHLD} 0 0 0 0 ';' | grep -q '"ret":-1,'`;
    assert.equal(await execInContainer(shop, cloning), 0);
    const killing = (signal: string): string =>
      `sleep 60 & kill -${signal} $! 2>&1 | grep -q 'not permitted'; said=$?; kill $!; exit $said`;
    assert.equal(await execInContainer(shop, killing('KILL')), 0);
    assert.equal(await execInContainer(shop, killing('TERM')), 1, 'another signal');
    const lines = await until(
      'each is told',
      async () => {
        const found = (await agentLines(engine, shop)).filter(
          ({ priority }) => priority === 'Error',
        );
        return found.length >= 3 && found;
      },
      WAIT_MS,
    );
    assert.deepEqual(
      lines.map(({ rule }) => rule),
      ['User namespace made', 'User namespace made', 'Process killed'],
    );
    for (const { output, output_fields: fields } of lines) {
      assert.match(output, /result=EPERM \| call refused before it had an effect \(EPERM\)$/);
      assert.equal(fields['varvel.response.outcome'], 'prevented');
    }
    const { kernel } = await agent.snapshot();
    assert.deepEqual([kernel.verdicts.denying.inVain, kernel.deniedDropped], [0, 0]);
  } finally {
    await shop.remove({ force: true });
  }
});

test('the container runtime is not reached by an app that has its socket', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RUNTIME_RULE },
    config: ['responses: [{match: {priority: ERROR}, do: deny, mode: enforce}]'],
  });
  const shop = await runWithRuntime(engine);
  try {
    await until(
      'it is denied',
      async () => (await agent.snapshot()).kernel.verdicts.denying.containers === 1,
      WAIT_MS,
    );
    assert.deepEqual((await agent.snapshot()).kernel.refusalsUnavailable, {});
    assert.equal(await execInContainer(shop, `${contacting()} | grep -q '"ret":-1,'`), 0);
    const [line] = await until(
      'it is told',
      async () => {
        const found = (await agentLines(engine, shop)).filter(
          ({ rule }) => rule === 'Container runtime contacted',
        );
        return found.length > 0 && found;
      },
      WAIT_MS,
    );
    assert.match(
      line!.output,
      /\/docker\.sock result=EPERM \| connection refused before it was made \(EPERM\)$/,
    );
    assert.equal(line!.output_fields['varvel.response.outcome'], 'prevented');
    const { kernel } = await agent.snapshot();
    assert.deepEqual([kernel.verdicts.denying.inVain, kernel.deniedDropped], [0, 0]);
  } finally {
    await shop.remove({ force: true });
  }
});
