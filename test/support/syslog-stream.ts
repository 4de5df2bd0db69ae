// A real rsyslogd, and the receiver that sends to it: for tests of the syslog stream. Importing it starts rsyslogd.
import { after, before } from 'node:test';
import type { TestContext } from 'node:test';
import type { SyslogAddress } from '../../src/config/receiver-address.ts';
import type { TlsFilesConfig } from '../../src/config/receiver-config.ts';
import { SILENT_LOGGER } from '../../src/shared/logger.ts';
import type { OutgoingLine } from '../../src/streams/receiver.ts';
import { syslogReceiver } from '../../src/streams/syslog/syslog-receiver.ts';
import type { SyslogReceiver } from '../../src/streams/syslog/syslog-receiver.ts';
import { Rsyslog } from './rsyslog.ts';
import type { ReceivedMessage } from './rsyslog.ts';
import { appOf, lineOf } from '../unit/streams/outgoing-line-fixture.ts';

const NO_FILES: TlsFilesConfig = {
  ca: undefined,
  cert: undefined,
  key: undefined,
  serverName: undefined,
};

/** Of this process's tests. */
export let rsyslog: Rsyslog;
before(async () => {
  rsyslog = await Rsyslog.start();
});
after(() => rsyslog.stop());

export const at = {
  tcp: (): SyslogAddress => ({ kind: 'tcp', host: '127.0.0.1', port: rsyslog.ports.tcp }),
  tls: (): SyslogAddress => ({ kind: 'tls', host: '127.0.0.1', port: rsyslog.ports.tls }),
  udp: (): SyslogAddress => ({ kind: 'udp', host: '127.0.0.1', port: rsyslog.ports.udp }),
  unix: (): SyslogAddress => ({ kind: 'unix', path: rsyslog.socket }),
};

export function receiverAt(
  context: TestContext,
  address: SyslogAddress,
  tls: Partial<TlsFilesConfig> = {},
  logger = SILENT_LOGGER,
): SyslogReceiver {
  const receiver = syslogReceiver(
    {
      enabled: true,
      audience: 'operator',
      format: 'json',
      onUrlChange: 'keep',
      address,
      sourceType: 'VARVEL',
      tls: { ...NO_FILES, ...tls },
    },
    logger,
  );
  context.after(() => receiver.close());
  return receiver;
}

export function clientFiles(): Partial<TlsFilesConfig> {
  const { authority, client } = rsyslog;
  return { ca: authority.ca, cert: client.cert, key: client.key };
}

let lastSeq = 0;
export function lines(count: number, overrides: Partial<OutgoingLine> = {}): OutgoingLine[] {
  return Array.from({ length: count }, () => {
    lastSeq++;
    return lineOf({ seq: lastSeq, id: `id-${lastSeq}`, ...overrides });
  });
}

export const HOSTILE = lineOf({
  rule: 'a "quoted\\ ] rule',
  priority: 'Critical',
  app: appOf({
    name: 'shop "]\\ €',
    tags: {
      evil: '"] [tags@47450 app_id="forged"]\n<0>1 - - - - - - forged\0\x1b[2J',
      long: 'x'.repeat(65_536),
      source_type: 'APP/PROC/WEB',
    },
  }),
  text: '{"output":"é 🦅 \\u001b"}',
});

export async function arrived(input: string, count: number): Promise<ReceivedMessage[]> {
  for (let all = count; ;) {
    const received = await rsyslog.wait(all);
    const found = received.filter((it) => it.input === input);
    if (found.length >= count) return found;
    all = received.length + 1;
  }
}

/** Ids of those of the lines that have arrived, as often and in the order they did. */
export function arrivedOf(sent: readonly OutgoingLine[]): string[] {
  const ids = new Set(sent.map(({ id }) => id));
  return rsyslog
    .received()
    .map(idOf)
    .filter((id) => ids.has(id));
}

/** All that has arrived, once this line is there. */
export async function untilThere(line: Pick<OutgoingLine, 'id'>): Promise<ReceivedMessage[]> {
  for (let count = 1; ;) {
    const found = await rsyslog.wait(count);
    if (found.some((it) => idOf(it) === line.id)) return found;
    count = found.length + 1;
  }
}

export function idOf(message: ReceivedMessage): string {
  return / varvel_id="([^"]*)"/.exec(message.sd)?.[1] ?? '';
}
