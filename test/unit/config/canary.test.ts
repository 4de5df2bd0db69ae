import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { failure, folder, load } from './load-fixture.ts';

const GUID = '5711bbdd-ef74-4626-ab17-ed29d72c3f7c';
const canary = (inner: string): string => `canary: {${inner}}`;
const on = (inner = ''): string =>
  canary(`enabled: true, app: {guid: ${GUID}}${inner === '' ? '' : `, ${inner}`}`);
const read = (inner: string): string => on(`read: {log_cache: {${inner}}}`);

test('the canary with everything: paths are those of the file’s folder', () => {
  const { config } = load(
    canary(
      `enabled: true, interval: 6h, timeout: 20s, app: {name: canary, guid: ${GUID}, space: ops, org: platform}, ` +
        'read: {log_cache: {address: "https://log-cache.example.org:8083/base", ca: ca.crt, cert: c.crt, key: c.key, server_name: log-cache, token_file: token}}',
    ),
  );
  assert.deepEqual(config.canary, {
    enabled: true,
    intervalMs: 6 * 3_600_000,
    timeoutMs: 20_000,
    app: { name: 'canary', guid: GUID, space: 'ops', org: 'platform' },
    logCache: {
      address: { secure: true, host: 'log-cache.example.org', port: 8083, path: '/base' },
      tls: {
        ca: join(folder, 'ca.crt'),
        cert: join(folder, 'c.crt'),
        key: join(folder, 'c.key'),
        serverName: 'log-cache',
      },
      tokenFile: join(folder, 'token'),
    },
  });
});

test('the app’s guid is enough, and a variable sets it', () => {
  assert.equal(load(on()).config.canary.enabled, true);
  const { config } = load('', { VARVEL_CANARY_ENABLED: 'true', VARVEL_CANARY_APP_GUID: GUID });
  assert.deepEqual([config.canary.enabled, config.canary.app.guid], [true, GUID]);
});

test('bad values say what they must be', () => {
  const cases: readonly (readonly [yaml: string, says: RegExp])[] = [
    [canary('enabled: maybe'), /"canary.enabled" must be true or false/],
    [canary('interval: 30s'), /"canary.interval" must be a duration from 1m to 168h/],
    [canary('interval: 200h'), /"canary.interval" must be a duration from 1m to 168h/],
    [canary('timeout: 100ms'), /"canary.timeout" must be a duration from 1s to 10m/],
    [canary('interval: 2m, timeout: 2m'), /"canary.timeout" must be less than canary.interval/],
    [canary('enabled: true'), /canary is enabled but has no app: set canary.app.guid/],
    [canary('app: {guid: "a/../b"}'), /"canary.app.guid" must be the guid of an app/],
    [canary('app: {guid: ""}'), /"canary.app.guid" must be the guid of an app/],
    [canary('app: {space: "a\\nb"}'), /"canary.app.space" must be a name of at most 256/],
    [canary('app: {names: x}'), /There is no key "canary.app.names"\. Did you mean/],
    [read('address: "http://x", token_file: t'), /log_cache.address" must be an address such as/],
    [read('address: "https://x/?a=b", token_file: t'), /must be an address such as/],
    [read('address: "https://u:p@x"'), /must be a URL without a user or password/],
    [read('address: "https://x"'), /needs something to show: set canary.read.log_cache.token_file/],
    [read('address: "https://x", cert: c'), /log_cache.cert" needs its private key/],
    [read('address: "https://x", key: c'), /log_cache.key" needs its certificate/],
    [read('token_file: t'), /log_cache.token_file" needs canary.read.log_cache.address/],
  ];
  for (const [yaml, says] of cases) {
    const text = failure(() => load(yaml));
    assert.match(text, says, yaml);
    assert.match(text, /varvel\.yaml:1:/, yaml);
  }
});
