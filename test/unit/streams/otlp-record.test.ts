import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PRIORITIES } from '../../../src/rules/detection.ts';
import { formatLine } from '../../../src/streams/format.ts';
import { encodeRequest } from '../../../src/streams/otlp/api.ts';
import { exportRequestOf } from '../../../src/streams/otlp/export-request.ts';
import { containerFacts } from '../../../src/streams/otlp/resource.ts';
import type { OutgoingLine } from '../../../src/streams/receiver.ts';
import { plainValue, recordsIn, REQUEST } from '../../support/otlp-proto.ts';
import { containerOf, deliveryOf } from './delivery-fixture.ts';
import { appOf, lineOf } from './outgoing-line-fixture.ts';

/** As a receiver with the protocol's own definition reads it; the same from JSON and from protobuf. */
function recordOf(line: OutgoingLine) {
  const request = exportRequestOf([line]);
  const [found, ...more] = recordsIn(REQUEST.deserialize(encodeRequest(request)));
  assert.deepEqual(more, []);
  const [json] = recordsIn(JSON.parse(JSON.stringify(request)) as typeof request);
  assert.deepEqual(json?.attributes, found?.attributes);
  assert.deepEqual(json?.resource, found?.resource);
  return found!;
}

function detectionLine(
  detection: Parameters<typeof deliveryOf>[0],
  overrides: Partial<OutgoingLine> = {},
): OutgoingLine {
  const delivery = deliveryOf({ timeNs: 1_769_847_304_123_456_789n, ...detection });
  const text = formatLine(delivery, { format: 'json' });
  const { priority, rule } = delivery.detection;
  return lineOf({ text, priority, rule, ...overrides });
}

test('every part of a line, at its place in the record', () => {
  const line = detectionLine({
    output: 'Shell in an app container | A shell (command=sh)',
    tags: ['shell', 'container'],
    outputFields: {
      'proc.name': 'sh',
      'evt.time': 1_769_847_304_123_456_789n,
      'evt.rawtime': 18_446_744_073_709_551_615n,
      'proc.pid': 42,
      'fd.ratio': 1.5,
      'proc.tty': true,
      'fd.name': null,
      'proc.args': ['-c', 'id'],
    },
    lineage: { processes: [{ pid: 4, start: 1600, name: 'sh' }], above: 'outside', origin: 'exec' },
    incident: 'k3x9abcd',
  });
  const { record, attributes } = recordOf(line);
  assert.equal(record.timeUnixNano, '1769847304123456789');
  assert.equal(record.observedTimeUnixNano, '1769847304123456789');
  assert.deepEqual([record.severityNumber, record.severityText], [13, 'Warning']);
  assert.equal(plainValue(record.body), 'Shell in an app container | A shell (command=sh)');
  assert.equal(record.eventName, 'varvel.detection');
  assert.deepEqual(attributes, {
    'log.record.uid': '01JGQ0000000000000000000AB',
    'security_rule.name': 'Shell in an app container',
    'varvel.seq': 7n,
    'varvel.incident': 'k3x9abcd',
    'varvel.source': 'syscall',
    'varvel.tags': ['container', 'shell'],
    'varvel.lineage': {
      processes: [{ pid: 4n, start: 1600n, name: 'sh' }],
      origin: 'exec',
    },
    'falco.proc.name': 'sh',
    'falco.evt.time': 1_769_847_304_123_456_789n,
    'falco.evt.rawtime': '18446744073709551615',
    'falco.proc.pid': 42n,
    'falco.fd.ratio': 1.5,
    'falco.proc.tty': true,
    'falco.proc.args': ['-c', 'id'],
  });
});

test('a command that a line of JSON has whole in its fields alone is whole in the body', () => {
  const command = `sh -c ${'x'.repeat(1000)}`;
  const output = `Shell in an app container | command=${command}`;
  const line = detectionLine({ output, outputFields: { 'proc.cmdline': command } });
  assert.match(line.text, /command=sh -c x{58}…"/);
  assert.equal(plainValue(recordOf(line).record.body), output);
});

test('severities are those that the log data model gives to syslog’s', () => {
  const found = PRIORITIES.map((priority) => {
    const { record } = recordOf(detectionLine({ priority }));
    return [record.severityText, record.severityNumber];
  });
  assert.deepEqual(found, [
    ['Emergency', 21],
    ['Alert', 19],
    ['Critical', 18],
    ['Error', 17],
    ['Warning', 13],
    ['Notice', 10],
    ['Informational', 9],
    ['Debug', 5],
  ]);
});

test('what the agent says of itself is an event of another name, on its host', () => {
  const line = detectionLine({ source: 'varvel', rule: 'Varvel: coverage' }, { app: undefined });
  const { record, resource } = recordOf(line);
  assert.equal(record.eventName, 'varvel.notice');
  assert.deepEqual(resource, {
    'service.name': 'varvel',
    'service.instance.id': 'cell-1',
    'host.name': 'cell-1',
  });
});

test('an app of Cloud Foundry: its attributes, and its own tags with a prefix', () => {
  const tags = {
    app_id: 'the same',
    organization_id: 'org-guid',
    space_id: 'space-guid',
    process_id: 'process-guid',
    team: 'payments',
    'service.name': 'not me',
  };
  const container = containerOf({
    runtime: 'garden',
    image: undefined,
    imageRepository: undefined,
  });
  const facts = containerFacts({ ...container, imageTag: undefined, sidecar: 'envoy' });
  const { resource } = recordOf(lineOf({ app: appOf({ tags }), facts }));
  assert.deepEqual(resource, {
    'service.name': 'shop',
    'service.namespace': 'acme/prod',
    'service.instance.id': '0',
    'host.name': 'cell-1',
    'cloudfoundry.app.id': '4cd2b3c3-9f3c-4f8a-9a3e-1f0a4d3f6b70',
    'cloudfoundry.app.name': 'shop',
    'cloudfoundry.app.instance.id': '0',
    'cloudfoundry.process.type': 'web',
    'cloudfoundry.space.name': 'prod',
    'cloudfoundry.org.name': 'acme',
    'container.id': 'ab'.repeat(32),
    'container.name': 'shop-1',
    'varvel.sidecar': 'envoy',
    'cloudfoundry.org.id': 'org-guid',
    'cloudfoundry.process.id': 'process-guid',
    'cloudfoundry.space.id': 'space-guid',
    'varvel.tag.service.name': 'not me',
    'varvel.tag.team': 'payments',
  });
});

test('a container of a pod, and one of Docker whose labels say that it is one', () => {
  const labels = {
    'io.kubernetes.pod.namespace': 'shop',
    'io.kubernetes.pod.name': 'shop-7d9',
    'io.kubernetes.pod.uid': 'pod-uid',
    'io.kubernetes.container.name': 'web',
  };
  const container = containerOf({ runtime: 'cri', labels, imageDigest: 'sha256:aa', imageId: 'i' });
  const app = appOf({ org: undefined, instance: undefined });
  const { resource } = recordOf(lineOf({ app, facts: containerFacts(container) }));
  assert.deepEqual(resource, {
    'service.name': 'shop',
    'service.namespace': 'prod',
    'service.instance.id': 'ab'.repeat(32),
    'host.name': 'cell-1',
    'varvel.app.guid': '4cd2b3c3-9f3c-4f8a-9a3e-1f0a4d3f6b70',
    'container.id': 'ab'.repeat(32),
    'container.name': 'shop-1',
    'container.image.name': 'registry/shop',
    'container.image.tags': ['1'],
    'container.image.id': 'i',
    'oci.manifest.digest': 'sha256:aa',
    'k8s.namespace.name': 'shop',
    'k8s.pod.name': 'shop-7d9',
    'k8s.pod.uid': 'pod-uid',
    'k8s.container.name': 'web',
  });
  const facts = containerFacts({ ...container, runtime: 'docker' });
  assert.ok(!Object.keys(facts).some((key) => key.startsWith('k8s.')));
});

test('a line that is no JSON, or was cut off, is the body as it is', () => {
  for (const text of ['12:00:00: Warning [app=shop] sh\x1b[2J', '{"output":"x', '{}x', '[1]']) {
    const { record, attributes } = recordOf(lineOf({ text }));
    assert.equal(plainValue(record.body), text.replace('\x1b', '\\x1b'));
    assert.equal(attributes['security_rule.name'], 'Shell in an app container');
  }
});

test('lines of one resource stand together, in their order', () => {
  const of = (seq: number, instance: string): OutgoingLine =>
    lineOf({ seq, id: String(seq), app: appOf({ instance }) });
  const request = exportRequestOf([of(1, '0'), of(2, '1'), of(3, '0'), of(4, '1')]);
  assert.equal(request.resourceLogs.length, 2);
  const found = recordsIn(REQUEST.deserialize(encodeRequest(request)));
  assert.deepEqual(
    found.map(({ attributes, resource }) => [
      resource['service.instance.id'],
      attributes['varvel.seq'],
    ]),
    [
      ['0', 1n],
      ['0', 3n],
      ['1', 2n],
      ['1', 4n],
    ],
  );
});

test('names of fields that look alike once they are visible stay two names', () => {
  const { attributes } = recordOf(detectionLine({ outputFields: { 'a\n': 'one', 'a\\n': 'two' } }));
  assert.equal(attributes['falco.a\\n'], 'one');
  assert.equal(attributes['falco.a\\\\n'], 'two');
});
