import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Endpoint } from '../../../src/metrics/endpoint.ts';
import { AgentMetrics } from '../../../src/metrics/metrics.ts';
import { ScrapeProxy } from '../../../src/metrics/scrape-proxy.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('varvel-scrape-');
let sockets = 0;

/** The agent's socket for scrapers, which counts what it is asked. */
async function agentAt(path: string): Promise<{ endpoint: Endpoint; asked: () => number }> {
  const metrics = new AgentMetrics('9');
  let count = 0;
  const endpoint = await Endpoint.open({
    listen: { kind: 'unix', path },
    onlyMetrics: true,
    metrics: {
      contentType: metrics.contentType,
      text: () => {
        count += 1;
        return metrics.text();
      },
    },
    status: () => assert.fail('nobody may ask for it here'),
    logger: SILENT_LOGGER,
  });
  return { endpoint, asked: () => count };
}

async function proxyOf(
  t: TestContext,
  socket = join(folder, `${++sockets}.sock`),
): Promise<{ proxy: ScrapeProxy; socket: string; told: (string | undefined)[] }> {
  const told: (string | undefined)[] = [];
  const onAgent = (trouble: string | undefined): void => void told.push(trouble);
  const proxy = await ScrapeProxy.open({ socket, host: '127.0.0.1', port: 0, onAgent });
  t.after(() => proxy.close());
  return { proxy, socket, told };
}

interface Answer {
  readonly code: number | undefined;
  readonly type: string | undefined;
  readonly body: string;
}

async function ask(
  { port }: ScrapeProxy,
  path: string,
  method = 'GET',
  body = '',
): Promise<Answer> {
  const asked = request({ port, host: '127.0.0.1', path, method, agent: false });
  asked.end(body);
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  let text = '';
  for await (const part of response) text += String(part);
  return { code: response.statusCode, type: response.headers['content-type'], body: text };
}

/** What a connection gets for these bytes, until the other side closes it. */
async function send({ port }: ScrapeProxy, bytes: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' });
  let text = '';
  socket.on('data', (part: Buffer) => (text += part.toString('latin1')));
  socket.on('error', () => undefined);
  socket.write(bytes);
  await once(socket, 'close');
  return text;
}

test('it answers /metrics as the agent does, and nothing else', async (t) => {
  const { proxy, socket } = await proxyOf(t);
  const { endpoint } = await agentAt(socket);
  t.after(() => endpoint.close());
  const { code, type, body } = await ask(proxy, '/metrics?x=1');
  assert.equal(code, 200);
  assert.equal(type, new AgentMetrics('9').contentType);
  assert.match(body, /varvel_build_info\{version="9"\} 1/);
  assert.deepEqual(await ask(proxy, '/metrics', 'HEAD'), { code: 200, type, body: '' });
  for (const path of [
    '/status',
    '/healthz',
    '/suggest?app=shop',
    '/',
    '/metrics/',
    '//metrics',
    '/METRICS',
  ])
    assert.equal((await ask(proxy, path)).code, 404, path);
  for (const path of ['/lift', '/canary'])
    assert.equal((await ask(proxy, path, 'POST')).code, 404, path);
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
    assert.equal((await ask(proxy, '/metrics', method, 'x')).code, 405, method);
});

test('however many ask, the agent is asked once a second at most', async (t) => {
  const { proxy, socket } = await proxyOf(t);
  const { endpoint, asked } = await agentAt(socket);
  t.after(() => endpoint.close());
  const began = performance.now();
  for (let round = 0; round < 10; round++) {
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(proxy, '/metrics')));
    assert.ok(answers.every(({ code }) => code === 200));
  }
  const seconds = (performance.now() - began) / 1000;
  assert.ok(asked() >= 1 && asked() <= 1 + seconds, `${asked()} in ${seconds} s`);
});

test('an agent that does not answer is told once, to the scraper as 503, until it is back', async (t) => {
  const { proxy, socket, told } = await proxyOf(t);
  const trouble = {
    code: 503,
    type: 'text/plain; charset=utf-8',
    body: 'the agent does not answer\n',
  };
  assert.deepEqual(await ask(proxy, '/metrics'), trouble);
  assert.deepEqual(await ask(proxy, '/metrics'), trouble);
  assert.equal(told.length, 1);
  assert.match(told[0]!, /^The agent does not answer on \/.*\.sock: ENOENT$/);
  const { endpoint } = await agentAt(socket);
  t.after(() => endpoint.close());
  while ((await ask(proxy, '/metrics')).code !== 200);
  assert.deepEqual(told.slice(1), [undefined]);
});

test('an error of the agent is no answer, and its text stays here', async (t) => {
  const { proxy, socket } = await proxyOf(t);
  const server = createServer((_, response) => {
    response.writeHead(500);
    response.end('secret');
  });
  server.listen(socket);
  await once(server, 'listening');
  t.after(() => server.close());
  const { code, body } = await ask(proxy, '/metrics');
  assert.equal(code, 503);
  assert.doesNotMatch(body, /secret/);
});

test('garbage, too many headers and a client that says nothing end in a closed connection', async (t) => {
  const { proxy, socket } = await proxyOf(t);
  const { endpoint } = await agentAt(socket);
  t.after(() => endpoint.close());
  assert.match(await send(proxy, '\x1b[2J\0\xff\r\n\r\n'), /^HTTP\/1\.1 400 /);
  const large = `GET /metrics HTTP/1.1\r\nhost: x\r\na: ${'y'.repeat(5000)}\r\n\r\n`;
  assert.match(await send(proxy, large), /^HTTP\/1\.1 431 /);
  const twice = 'GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(2);
  assert.equal((await send(proxy, twice)).match(/^HTTP\/1\.1 200 /gm)?.length, 1, 'one each');
  assert.match(await send(proxy, 'GET /metrics HTTP/1.1\r\n'), /^HTTP\/1\.1 408 /);
});

test('clients over the limit are turned away, and the others are answered', async (t) => {
  const { proxy, socket } = await proxyOf(t);
  const { endpoint } = await agentAt(socket);
  t.after(() => endpoint.close());
  const silent: Socket[] = [];
  for (let count = 0; count < 32; count++) {
    const client = connect({ port: proxy.port, host: '127.0.0.1' });
    client.on('error', () => undefined);
    await once(client, 'connect');
    silent.push(client);
  }
  await assert.rejects(ask(proxy, '/metrics'));
  for (const client of silent) {
    client.destroy();
    await once(client, 'close');
  }
  for (;;) {
    const code = await ask(proxy, '/metrics').then(
      (answer) => answer.code,
      () => 0,
    );
    if (code === 200) break;
  }
});

test('an address that is taken is an error that names it', async (t) => {
  const { proxy } = await proxyOf(t);
  const open = ScrapeProxy.open({
    socket: '/x',
    host: '127.0.0.1',
    port: proxy.port,
    onAgent: () => undefined,
  });
  await assert.rejects(open, (error: unknown) => {
    assert.ok(error instanceof UserError);
    assert.match(
      error.message,
      /^Cannot listen on 127\.0\.0\.1, port \d+: EADDRINUSE\. Give --listen another/,
    );
    return true;
  });
});
