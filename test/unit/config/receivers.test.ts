import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { changedKeys } from '../../../src/config/load.ts';
import {
  formatSyslogAddress,
  parseHttpAddress,
  parseSyslogAddress,
  SYSLOG_FORMS,
} from '../../../src/config/receiver-address.ts';
import { failure, folder, load } from './load-fixture.ts';

function phrase(parsed: unknown): string {
  assert.ok(typeof parsed === 'string', 'it should not be an address');
  return parsed;
}

test('addresses of syslog receivers', () => {
  const forms = {
    'syslog+tcp://logs.example.org:601': { kind: 'tcp', host: 'logs.example.org', port: 601 },
    'syslog+tls://10.0.0.1:6514': { kind: 'tls', host: '10.0.0.1', port: 6514 },
    'syslog+udp://[2001:db8::1]:514': { kind: 'udp', host: '2001:db8::1', port: 514 },
    'unix:/run/syslog.sock': { kind: 'unix', path: '/run/syslog.sock' },
  } as const;
  for (const [text, address] of Object.entries(forms)) {
    assert.deepEqual(parseSyslogAddress(text), address);
    assert.equal(formatSyslogAddress(address), text);
  }
  const wrong = [
    'logs.example.org:514',
    'syslog+tls://logs.example.org',
    'syslog+tcp://:514',
    'syslog+tcp://a:0',
    'syslog+tcp://a:65536',
    'syslog+tcp://a:5 14',
    'syslog+tcp://[1.2.3.4]:514',
    'syslog+tcp://[::1]x:514',
    'syslog+tcp://user@a:514',
    'syslog+tcp://a:514/path',
    'syslog+tcp://-a:514',
    'syslog+tcp://a..b:514',
    `syslog+tcp://${'a.'.repeat(130)}a:514`,
    'syslog+dtls://a:514',
    'tcp://a:514',
    '',
  ];
  for (const text of wrong) assert.equal(parseSyslogAddress(text), SYSLOG_FORMS, text);
  for (const path of ['', 'run/x', `/${'x'.repeat(107)}`, '/a\0b'])
    assert.match(phrase(parseSyslogAddress(`unix:${path}`)), /at most 107 bytes/);
});

test('addresses of HTTP receivers', () => {
  assert.deepEqual(parseHttpAddress('http://sidekick:2801'), {
    secure: false,
    host: 'sidekick',
    port: 2801,
    path: '/',
  });
  assert.deepEqual(parseHttpAddress('https://[::1]/in?key=a%20b'), {
    secure: true,
    host: '::1',
    port: 443,
    path: '/in?key=a%20b',
  });
  const wrong = {
    'ftp://a/': /such as https/,
    'sidekick:2801': /such as https/,
    'https://user:secret@a/': /token_file/,
    'http://a/#x': /without a fragment/,
    'http://a:0/': /such as https/,
    '': /such as https/,
  };
  for (const [text, says] of Object.entries(wrong))
    assert.match(phrase(parseHttpAddress(text)), says, text);
});

test('a syslog and an HTTP stream', () => {
  const { config } = load(`
streams:
  syslog:
    url: syslog+tls://logs.example.org:6514
    audience: tenant
    on_url_change: drop
    source_type: My Watch
    ca: ca.pem
    cert: /etc/varvel/cert.pem
    key: /etc/varvel/key.pem
    server_name: logs.internal
  http:
    url: https://hooks.example.org/in
    batch: true
    headers: {X-Team: payments}
    token_file: token
`);
  assert.deepEqual(config.streams.syslog, {
    enabled: true,
    audience: 'tenant',
    format: 'json',
    address: { kind: 'tls', host: 'logs.example.org', port: 6514 },
    onUrlChange: 'drop',
    sourceType: 'My Watch',
    tls: {
      ca: join(folder, 'ca.pem'),
      cert: '/etc/varvel/cert.pem',
      key: '/etc/varvel/key.pem',
      serverName: 'logs.internal',
    },
  });
  assert.equal(config.streams.http.enabled, true);
  assert.equal(config.streams.http.onUrlChange, 'keep');
  assert.deepEqual(config.streams.http.address, {
    secure: true,
    host: 'hooks.example.org',
    port: 443,
    path: '/in',
  });
  assert.deepEqual(config.streams.http.headers, { 'X-Team': 'payments' });
  assert.equal(config.streams.http.tokenFile, join(folder, 'token'));
  assert.ok(Object.isFrozen(config.streams.http.headers));
});

test('by variables; off although there is a url', () => {
  const { config } = load('', {
    VARVEL_STREAMS_SYSLOG_URL: 'unix:/run/log',
    VARVEL_STREAMS_SYSLOG_ENABLED: 'false',
    VARVEL_STREAMS_HTTP_URL: 'http://127.0.0.1:2801/',
    VARVEL_STREAMS_HTTP_HEADERS: '{"X-A": "1"}',
    VARVEL_STREAMS_HTTP_SOCKET: '/run/hooks.sock',
  });
  assert.equal(config.streams.syslog.enabled, false);
  assert.deepEqual(config.streams.syslog.address, { kind: 'unix', path: '/run/log' });
  assert.deepEqual(config.streams.http.headers, { 'X-A': '1' });
  assert.equal(config.streams.http.socket, '/run/hooks.sock');
  assert.equal(config.streams.http.enabled, true);
});

test('mistakes are named with their place', () => {
  const mistakes: readonly (readonly [yaml: string, says: string])[] = [
    [
      'streams: {syslog: {enabled: true}}\n',
      '/varvel.yaml:1:29: streams.syslog is enabled but has no url: set streams.syslog.url.',
    ],
    [
      'streams:\n  syslog:\n    url: syslog://a:514\n',
      `/varvel.yaml:3:10: "streams.syslog.url" must be ${SYSLOG_FORMS}; it is "syslog://a:514".`,
    ],
    [
      'streams:\n  syslog:\n    url: syslog+tcp://a:514\n    ca: ca.pem\n',
      '/varvel.yaml:4:9: "streams.syslog.ca" is for syslog+tls:// only, and streams.syslog.url is another: nothing would be encrypted. Change the url, or remove it.',
    ],
    [
      'streams: {syslog: {url: "syslog+tls://a:1", cert: c.pem}}\n',
      '/varvel.yaml:1:51: "streams.syslog.cert" needs its private key: set streams.syslog.key.',
    ],
    [
      'streams: {http: {url: "https://a/", key: k.pem}}\n',
      '/varvel.yaml:1:42: "streams.http.key" needs its certificate: set streams.http.cert.',
    ],
    [
      'streams: {syslog: {source_type: "   "}}\n',
      '/varvel.yaml:1:33: "streams.syslog.source_type" must be a name of 1 to 32 ASCII characters; it is "   ".',
    ],
    [
      'streams: {syslog: {audience: tenants}}\n',
      '/varvel.yaml:1:30: "streams.syslog.audience" must be one of tenant, operator; it is "tenants". Did you mean "tenant"?',
    ],
    [
      'streams: {http: {url: "http://a/", batch: true, format: text}}\n',
      '/varvel.yaml:1:43: "streams.http.batch" sends JSON arrays: set streams.http.format to json, or batch to false.',
    ],
    [
      'streams: {http: {headers: {content-type: x}}}\n',
      '/varvel.yaml:1:27: "streams.http.headers" must be headers without content-type, which the request sets itself; it is a section.',
    ],
    [
      'streams: {http: {headers: {X: "a\\r\\nY: b"}}}\n',
      '/varvel.yaml:1:27: "streams.http.headers" must be headers with names as in RFC 9110 and values without control characters; it is a section.',
    ],
    [
      'streams: {http: {headers: {X: a, x: b}}}\n',
      '/varvel.yaml:1:27: "streams.http.headers" must be headers of which each is there once; it is a section.',
    ],
    [
      `streams: {http: {headers: {X: ${'a'.repeat(1025)}}}}\n`,
      '/varvel.yaml:1:27: "streams.http.headers" must be headers with values of at most 1024 bytes; it is a section.',
    ],
    [
      'streams: {http: {url: "http://a/", token_file: t, headers: {authorization: x}}}\n',
      '/varvel.yaml:1:48: "streams.http.token_file" and a header "Authorization" both set the credentials: remove one.',
    ],
    [
      'streams: {otlp: {url: "https://a:4317/x", protocol: grpc}}\n',
      '/varvel.yaml:1:23: "streams.otlp.url" has a path, which gRPC has no use for: remove it, or set streams.otlp.protocol to http/protobuf.',
    ],
    [
      'streams: {otlp: {url: "https://a:4317", protocol: grpc, headers: {X: "é"}}}\n',
      '/varvel.yaml:1:66: "streams.otlp.headers" must have no names that begin with grpc- or end with -bin, and values in printable ASCII: gRPC sends no others. Change them, or set streams.otlp.protocol to http/protobuf.',
    ],
    [
      'streams: {otlp: {url: "https://a", protocol: protobuf}}\n',
      '/varvel.yaml:1:46: "streams.otlp.protocol" must be one of grpc, http/protobuf, http/json; it is "protobuf".',
    ],
    [
      'streams: {otlp: {url: "http://a", ca: ca.pem}}\n',
      '/varvel.yaml:1:39: "streams.otlp.ca" is for https:// only, and streams.otlp.url is another: nothing would be encrypted. Change the url, or remove it.',
    ],
    [
      'streams: {otlp: {url: "https://a", timeout: 26s}}\n',
      '/varvel.yaml:1:45: "streams.otlp.timeout" must be a duration from 1s to 25s, such as 500ms, 20s or 2m; it is "26s".',
    ],
  ];
  for (const [yaml, says] of mistakes)
    assert.equal(
      failure(() => load(yaml)),
      says,
    );
  const many = Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`X-${index}`, '']));
  assert.match(
    failure(() => load('', { VARVEL_STREAMS_HTTP_HEADERS: JSON.stringify(many) })),
    /^VARVEL_STREAMS_HTTP_HEADERS: .* must be at most 16 headers/,
  );
});

test('what a header holds is not shown, but a change of it is seen', () => {
  const withKey = (key: string) => load(`streams: {http: {headers: {X-Api-Key: ${key}}}}`);
  const before = withKey('letmein');
  const shown = JSON.stringify(before.settings);
  assert.ok(shown.includes('X-Api-Key') && !shown.includes('letmein'));
  assert.deepEqual(changedKeys(before, withKey('letmein')), []);
  assert.deepEqual(changedKeys(before, withKey('changed')), ['streams.http.headers']);
});

test('OTLP: where logs go by default, and what is not shown', () => {
  const yaml = (url: string): string =>
    `streams: {otlp: {url: "${url}", headers: {X-Key: s3cret}, token_file: token}}\n`;
  const { config, settings } = load(yaml('https://otlp.example.org:4318'));
  const { address, enabled, tokenFile, timeoutMs } = config.streams.otlp;
  assert.deepEqual(address, {
    secure: true,
    host: 'otlp.example.org',
    port: 4318,
    path: '/v1/logs',
  });
  assert.deepEqual([enabled, timeoutMs], [true, 10_000]);
  assert.equal(tokenFile, join(folder, 'token'));
  assert.equal(
    load(yaml('https://x/otlp/v1/logs?a=b')).config.streams.otlp.address?.path,
    '/otlp/v1/logs?a=b',
  );
  assert.doesNotMatch(JSON.stringify(settings), /s3cret/);
  const shown = (key: string): unknown => settings.find((it) => it.key === key)?.value;
  assert.equal(shown('streams.otlp.timeout'), '10s');
  assert.equal(shown('streams.otlp.enabled'), true);
});
