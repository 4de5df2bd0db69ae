import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { httpReceiver } from '../../../src/streams/http/http-receiver.ts';
import { syslogReceiver } from '../../../src/streams/syslog/syslog-receiver.ts';
import { load } from '../config/load-fixture.ts';
import { deliveryOf } from './delivery-fixture.ts';

const FACTORIES = {
  'syslog: {url: "syslog+udp://127.0.0.1:9"': (yaml: string) =>
    syslogReceiver(load(`streams: {${yaml}}`).config.streams.syslog, SILENT_LOGGER),
  'http: {url: "http://127.0.0.1:9/"': (yaml: string) =>
    httpReceiver(load(`streams: {${yaml}}`).config.streams.http, SILENT_LOGGER),
};

test('a tenants’ receiver takes what has an app, an operator’s takes everything; neither connects before it sends', async () => {
  for (const [yaml, make] of Object.entries(FACTORIES)) {
    for (const audience of ['tenant', 'operator'] as const) {
      const receiver = make(`${yaml}, audience: ${audience}}`);
      assert.equal(receiver.name, yaml.split(':')[0]);
      assert.equal(receiver.audience, audience);
      assert.equal(receiver.accepts(deliveryOf()), true);
      assert.equal(receiver.accepts(deliveryOf({ container: undefined })), audience === 'operator');
      assert.deepEqual(await receiver.send([]), { taken: 0 });
      assert.equal(receiver.counters().connects, 0);
      await receiver.close();
    }
  }
});

test('without an address there is no receiver', () => {
  const { syslog, http } = load('').config.streams;
  for (const make of [
    () => syslogReceiver(syslog, SILENT_LOGGER),
    () => httpReceiver(http, SILENT_LOGGER),
  ])
    assert.throws(
      make,
      (error) => error instanceof UserError && /has no url: set/.test(error.message),
    );
});
