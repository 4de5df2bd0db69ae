import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import type { ListenAddress } from '../../../src/config/listen-address.ts';
import { askAgent } from '../../../src/metrics/endpoint-client.ts';
import { Endpoint } from '../../../src/metrics/endpoint.ts';
import { AgentMetrics } from '../../../src/metrics/metrics.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { UserError } from '../../../src/shared/user-error.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-endpoint-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, 'deep/er/metrics.sock');
const unix = (at = path): ListenAddress => ({ kind: 'unix', path: at });
const open = (listen: ListenAddress, status: () => unknown = () => ({ fine: true })) =>
  Endpoint.open({ listen, metrics: new AgentMetrics('9'), status, logger: SILENT_LOGGER });

const says = (text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof UserError, String(error));
  assert.match(error.message, text);
  return true;
};

test('answers on a socket that only its owner may open, and removes it at the end', async () => {
  const endpoint = await open(unix());
  await assert.rejects(askAgent(unix(), '/suggest'), says(/answered .* with 404/));
  try {
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.match(await askAgent(unix(), '/metrics'), /varvel_build_info\{version="9"\} 1/);
    assert.deepEqual(JSON.parse(await askAgent(unix(), '/status')), { fine: true });
    assert.equal(await askAgent(unix(), '/healthz'), 'ok\n');
    await assert.rejects(askAgent(unix(), '/etc/passwd'), says(/answered .* with 404/));
  } finally {
    await endpoint.close();
    await endpoint.close();
  }
  assert.equal(existsSync(path), false);
  await assert.rejects(askAgent(unix(), '/status'), says(/^No agent answers on unix:/));
});

test('for scrapers, a socket that everybody may open answers /metrics and nothing else', async () => {
  const scraped = join(folder, 'scraped/metrics.sock');
  const never = (): unknown => assert.fail('nobody may ask for it here');
  const endpoint = await Endpoint.open({
    listen: unix(scraped),
    onlyMetrics: true,
    metrics: new AgentMetrics('9'),
    status: never,
    canary: () => Promise.resolve(never()),
    lift: never,
    suggest: never,
    logger: SILENT_LOGGER,
  });
  try {
    assert.equal(statSync(scraped).mode & 0o777, 0o666);
    assert.match(await askAgent(unix(scraped), '/metrics'), /varvel_build_info/);
    for (const [at, method] of [
      ['/status', 'GET'],
      ['/healthz', 'GET'],
      ['/suggest?app=x', 'GET'],
      ['/lift', 'POST'],
      ['/canary', 'POST'],
    ] as const)
      await assert.rejects(
        askAgent(unix(scraped), at, 5000, method),
        says(/answered .* with 404/),
        at,
      );
    await assert.rejects(
      askAgent(unix(scraped), '/metrics', 5000, 'POST'),
      says(/answered .* with 405/),
    );
    await assert.rejects(
      Endpoint.open({
        listen: unix(scraped),
        onlyMetrics: true,
        metrics: new AgentMetrics('9'),
        status: never,
        logger: SILENT_LOGGER,
      }),
      says(/Another agent answers on/),
    );
  } finally {
    await endpoint.close();
  }
  assert.equal(existsSync(scraped), false);
});

test('a run of the canary is asked for by POST, on a socket only, and where there is one', async () => {
  let runs = 0;
  const run = (): Promise<unknown> => Promise.resolve({ run: ++runs });
  const options = {
    metrics: new AgentMetrics('9'),
    status: () => ({}),
    logger: SILENT_LOGGER,
    canary: run,
  };
  const post = (listen: ListenAddress): Promise<string> =>
    askAgent(listen, '/canary', 5000, 'POST');
  const endpoint = await Endpoint.open({ ...options, listen: unix() });
  assert.deepEqual(JSON.parse(await post(unix())), { run: 1 });
  await assert.rejects(askAgent(unix(), '/canary'), says(/answered .* with 404/));
  await endpoint.close();
  const without = await Endpoint.open({ ...options, canary: undefined, listen: unix() });
  await assert.rejects(post(unix()), says(/answered .* with 404/));
  await without.close();
  const loopback = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
  const open = await Endpoint.open({ ...options, listen: loopback });
  await assert.rejects(post(open.address), says(/answered .* with 403/));
  await open.close();
  assert.equal(runs, 1);
});

test('a lift is asked for by POST with what it is about, on a socket only', async () => {
  const asked: string[] = [];
  const options = {
    metrics: new AgentMetrics('9'),
    status: () => ({}),
    logger: SILENT_LOGGER,
    lift: (query: URLSearchParams) => ({ lifts: asked.push(query.toString()) }),
  };
  const post = (listen: ListenAddress): Promise<string> =>
    askAgent(listen, '/lift?app=a%26b', 5000, 'POST');
  const endpoint = await Endpoint.open({ ...options, listen: unix() });
  assert.deepEqual(JSON.parse(await post(unix())), { lifts: 1 });
  await assert.rejects(askAgent(unix(), '/lift'), says(/answered .* with 404/));
  await endpoint.close();
  const loopback = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
  const open = await Endpoint.open({ ...options, listen: loopback });
  await assert.rejects(post(open.address), says(/answered .* with 403/));
  await open.close();
  assert.deepEqual(asked, ['app=a%26b']);
});

test('a suggestion is asked for by GET, on a socket only, and where there is one', async () => {
  const options = {
    metrics: new AgentMetrics('9'),
    status: () => ({}),
    logger: SILENT_LOGGER,
    suggest: (query: URLSearchParams) => ({ app: query.get('app') }),
  };
  const ask = (listen: ListenAddress): Promise<string> => askAgent(listen, '/suggest?app=a%26b');
  const endpoint = await Endpoint.open({ ...options, listen: unix() });
  assert.deepEqual(JSON.parse(await ask(unix())), { app: 'a&b' });
  await endpoint.close();
  const loopback = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
  const open = await Endpoint.open({ ...options, listen: loopback });
  await assert.rejects(ask(open.address), says(/answered .* with 403/));
  await open.close();
});

test('a second agent is refused; what a killed one left behind is replaced', async () => {
  const endpoint = await open(unix());
  await assert.rejects(open(unix()), says(/^Another agent answers on /));
  assert.equal(await askAgent(unix(), '/healthz'), 'ok\n', 'the first is not harmed');
  await endpoint.close();

  const listener = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', listener]);
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.ok(existsSync(path));
  const next = await open(unix());
  assert.equal(await askAgent(unix(), '/healthz'), 'ok\n');
  await next.close();
});

test('what is not a socket is left alone', async () => {
  const file = join(folder, 'precious');
  writeFileSync(file, 'x');
  await assert.rejects(open(unix(file)), says(/is not a socket, so it is not removed/));
  assert.equal(existsSync(file), true);
  await assert.rejects(open(unix(join(file, 'x.sock'))), says(/^Cannot make the folder /));
});

test('loopback works, a network address is refused, a port in use is a sentence', async () => {
  const endpoint = await open({ kind: 'tcp', host: '127.0.0.1', port: 0 });
  try {
    const { address } = endpoint;
    assert.ok(address.kind === 'tcp' && address.port > 0);
    assert.match(await askAgent(address, '/metrics'), /varvel_build_info/);
    await assert.rejects(
      open(address),
      says(/^Cannot listen on 127\.0\.0\.1:\d+: the address is in use/),
    );
  } finally {
    await endpoint.close();
  }
  await assert.rejects(
    open({ kind: 'tcp', host: '0.0.0.0', port: 0 }),
    says(/loopback or a unix socket only, not on 0\.0\.0\.0/),
  );
});

test('a page that reaches loopback under another name gets nothing; nor do other methods', async () => {
  const endpoint = await open({ kind: 'tcp', host: '127.0.0.1', port: 0 });
  const { address } = endpoint;
  assert.ok(address.kind === 'tcp');
  const ask = async (method: string, host: string): Promise<number | undefined> => {
    const asked = request({
      port: address.port,
      host: '127.0.0.1',
      method,
      path: '/status',
      headers: { host },
    });
    asked.end();
    const [response] = (await once(asked, 'response')) as [{ statusCode?: number; resume(): void }];
    response.resume();
    return response.statusCode;
  };
  try {
    assert.equal(await ask('GET', 'evil.example'), 403);
    assert.equal(await ask('GET', 'localhost.evil.example:80'), 403);
    assert.equal(await ask('POST', '127.0.0.1'), 405);
    assert.equal(await ask('GET', 'localhost:1'), 200);
  } finally {
    await endpoint.close();
  }
});

test('off is off', async () => {
  const endpoint = await open({ kind: 'off' });
  await endpoint.close();
  await assert.rejects(askAgent({ kind: 'off' }, '/status'), says(/endpoint is off/));
});

test('a status that fails answers 500 and the agent goes on', async () => {
  let broken = true;
  const endpoint = await open(unix(), () => {
    if (broken) throw new Error('broken');
    return 1;
  });
  try {
    await assert.rejects(askAgent(unix(), '/status'), says(/with 500/));
    broken = false;
    assert.equal(await askAgent(unix(), '/status'), '1\n');
  } finally {
    await endpoint.close();
  }
});

test('clients that say nothing do not hold up the end', async () => {
  const endpoint = await open(unix());
  const idle = connect({ path });
  await once(idle, 'connect');
  const closing = endpoint.close().then(() => 'closed');
  const heldUp = delay(15_000, 'held up', { ref: false });
  assert.equal(await Promise.race([closing, heldUp]), 'closed');
  idle.destroy();
});
