// The client of Log Cache's HTTPS interface, against a server that behaves and one that does not.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { LogCacheConfig } from '../../../src/config/canary-config.ts';
import { parseHttpAddress } from '../../../src/config/receiver-address.ts';
import { LogCache, type LogCacheAnswer } from '../../../src/reading/log-cache.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { Authority, type Certificate } from '../../support/certificates.ts';
import { LogCacheServer, type Misbehaviour } from '../../support/log-cache-server.ts';
import type { ReceivedEnvelope } from '../../support/loggregator-server.ts';

const GUID = '5711bbdd-ef74-4626-ab17-ed29d72c3f7c';
const NOON = 1_790_000_000_000_000_000n;

const line = (timestamp: bigint, text: string, id = GUID): ReceivedEnvelope => ({
  timestamp: String(timestamp),
  source_id: id,
  instance_id: '0',
  tags: {},
  log: { payload: Buffer.from(text), type: 'OUT' },
});

const folder = mkdtempSync(join(tmpdir(), 'varvel-log-cache-'));
const envelopes: ReceivedEnvelope[] = [];
let ca: string;
let client: Certificate;
let mutual: LogCacheServer;
let byToken: LogCacheServer;

before(async () => {
  const authority = new Authority(folder);
  ({ ca } = authority);
  client = authority.issue('varvel');
  const certificate = authority.issue('log-cache', ['DNS:log-cache', 'IP:127.0.0.1']);
  mutual = new LogCacheServer(ca, certificate, () => envelopes);
  byToken = new LogCacheServer(ca, certificate, () => envelopes, 'a-token');
  await Promise.all([mutual.start(), byToken.start()]);
});

after(() => {
  mutual.stop();
  byToken.stop();
  rmSync(folder, { recursive: true, force: true });
});

function configOf(url: string, more: Partial<LogCacheConfig['tls']> = {}): LogCacheConfig {
  const address = parseHttpAddress(url);
  assert.ok(typeof address === 'object');
  const tls = { ca, cert: undefined, key: undefined, serverName: undefined, ...more };
  return { address, tls, tokenFile: undefined };
}

const read = (config: LogCacheConfig, timeoutMs = 10_000): Promise<LogCacheAnswer> =>
  new LogCache(config, SILENT_LOGGER).read({
    sourceId: GUID,
    fromNs: NOON,
    toNs: NOON + 1000n,
    timeoutMs,
  });

async function misbehaving(misbehaviour: Misbehaviour, timeoutMs?: number): Promise<string> {
  mutual.misbehaviour = misbehaviour;
  try {
    const answer = await read(configOf(mutual.url, client), timeoutMs);
    assert.ok('failed' in answer, JSON.stringify(answer));
    return answer.failed;
  } finally {
    mutual.misbehaviour = undefined;
  }
}

test('with a client certificate: the lines of this app, of this time', async () => {
  envelopes.push(
    line(NOON - 1n, 'before'),
    line(NOON, 'first, ä'),
    line(NOON + 999n, 'last'),
    line(NOON + 1000n, 'after'),
    line(NOON, 'another’s', 'other'),
  );
  const answer = await read(configOf(mutual.url, client));
  assert.deepEqual(answer, { lines: ['first, ä', 'last'] });
  const url = new URL(mutual.asked.at(-1) ?? '', mutual.url);
  assert.equal(url.pathname, `/api/v1/read/${GUID}`);
  assert.equal(url.searchParams.get('envelope_types'), 'LOG');
  assert.equal(url.searchParams.get('descending'), 'true');
});

test('with a token, which is read again when its file changes', async () => {
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, 'old-token');
  const cache = new LogCache({ ...configOf(byToken.url), tokenFile }, SILENT_LOGGER);
  const ask = (): Promise<LogCacheAnswer> =>
    cache.read({ sourceId: 'nobody', fromNs: 0n, toNs: NOON, timeoutMs: 10_000 });
  const refused = await ask();
  assert.match(
    'failed' in refused ? refused.failed : '',
    /rejects the agent’s credentials \(401\)/,
  );
  writeFileSync(tokenFile, 'a-token\n');
  assert.deepEqual(await ask(), { lines: [] });
});

test('what it is not trusted with, and what cannot be used', async () => {
  const other = new Authority(folder, 'other-ca');
  const stranger = await read(configOf(mutual.url, { ...client, ca: other.ca }));
  assert.match('failed' in stranger ? stranger.failed : '', /certificate is not trusted; see ca/);
  const name = await read(configOf(mutual.url, { ...client, serverName: 'else' }));
  assert.match('failed' in name ? name.failed : '', /certificate is for another name/);
  const anonymous = await read(configOf(mutual.url));
  assert.match('failed' in anonymous ? anonymous.failed : '', /TLS failed|ended the connection/);
  const config = { ...configOf(mutual.url), tokenFile: join(folder, 'none') };
  assert.throws(
    () => new LogCache(config, SILENT_LOGGER),
    /"canary.read.log_cache.token_file": cannot read .*none/,
  );
});

test('answers that are none of Log Cache’s', async () => {
  const bodies = [
    '',
    'nonsense',
    '[]',
    'null',
    '{}',
    '{"envelopes": 3}',
    '{"envelopes":{"batch":{}}}',
  ];
  for (const body of bodies) {
    const failed = await misbehaving((_, response) => response.end(body));
    assert.equal(failed, 'its answer is not one of Log Cache’s', body);
  }
});

test('envelopes of any shape say nothing', async () => {
  const batch = [
    1,
    null,
    [],
    {},
    { log: null },
    { log: { payload: 3 } },
    { log: { payload: '%%' } },
  ];
  mutual.misbehaviour = (_, response) => response.end(JSON.stringify({ envelopes: { batch } }));
  assert.deepEqual(await read(configOf(mutual.url, client)), { lines: [''] });
  mutual.misbehaviour = (_, response) => response.end('{"envelopes": null}');
  assert.deepEqual(await read(configOf(mutual.url, client)), { lines: [] });
  mutual.misbehaviour = undefined;
});

test('statuses that are no answer, each with what to do', async () => {
  const cases = [
    [401, /rejects the agent’s credentials \(401\); see token_file/],
    [403, /rejects the agent’s credentials \(403\)/],
    [404, /no such app, or the agent is not permitted to read it \(404\); see canary.app.guid/],
    [302, /answers with 302/],
    [503, /answers with 503/],
  ] as const;
  for (const [status, says] of cases) {
    const failed = await misbehaving((_, response) =>
      response.writeHead(status, { location: 'https://127.0.0.1:1/' }).end(),
    );
    assert.match(failed, says);
  }
});

test('an answer without end is given up at its bound, and none at all in time', async () => {
  const endless = await misbehaving((_, response) => {
    const chunk = Buffer.alloc(65_536, 0x20);
    const more = (): void => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on('drain', more);
    more();
  });
  assert.equal(endless, 'its answer is longer than 4 MiB');
  assert.equal(await misbehaving(() => undefined, 100), 'it does not answer');
  // Headers and half a body are no answer.
  const half = await misbehaving((_, response) => response.write('{"envelopes"'), 100);
  assert.equal(half, 'it does not answer');
  const broken = await misbehaving((request) => request.socket.destroy());
  assert.match(broken, /it ended the connection|socket hang up/);
});

test('it is hung up on when the agent ends', async () => {
  mutual.misbehaviour = () => undefined;
  const ending = new AbortController();
  const cache = new LogCache(configOf(mutual.url, client), SILENT_LOGGER);
  const query = { sourceId: GUID, fromNs: 0n, toNs: 1n, timeoutMs: 600_000 };
  const answer = cache.read({ ...query, signal: ending.signal });
  ending.abort();
  assert.deepEqual(await answer, { failed: 'the agent ends' });
  assert.deepEqual(await cache.read({ ...query, signal: ending.signal }), {
    failed: 'the agent ends',
  });
  mutual.misbehaviour = undefined;
});
