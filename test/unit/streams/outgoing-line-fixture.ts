import type { AppIdentity } from '../../../src/apps/identity.ts';
import type { OutgoingLine } from '../../../src/streams/receiver.ts';

/** An app as Cloud Foundry describes one. */
export function appOf(overrides: Partial<AppIdentity> = {}): AppIdentity {
  return {
    name: 'shop',
    guid: '4cd2b3c3-9f3c-4f8a-9a3e-1f0a4d3f6b70',
    space: 'prod',
    org: 'acme',
    processType: 'web',
    instance: '0',
    ...overrides,
  };
}

export function lineOf(overrides: Partial<OutgoingLine> = {}): OutgoingLine {
  return {
    id: '01JGQ0000000000000000000AB',
    seq: 7,
    timeNs: 1_769_847_304_123_456_789n,
    priority: 'Warning',
    rule: 'Shell in an app container',
    incident: 'k3x9abcd',
    hostname: 'cell-1',
    text: '{"rule":"Shell in an app container","output":"sh"}',
    app: appOf(),
    ...overrides,
  };
}
