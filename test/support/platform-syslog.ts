import type { LogEnvelope } from '../../src/streams/loggregator/api.ts';

/**
 * An envelope of a log as Cloud Foundry's syslog agent sends it to a drain, without the octet count. Written from what a
 * real one was seen to send: `agentTags` are what the agents before it add where it is absent. Throws where that one
 * stops before a message and tries it over and over, with all that comes after it: a name, an app or an instance that
 * RFC 5424 cannot have.
 */
export function renderAsPlatform(
  envelope: LogEnvelope,
  agentTags: Readonly<Record<string, string>> = {},
): Buffer {
  const { timestamp, sourceId, instanceId, log } = envelope;
  const tags: Readonly<Record<string, string>> = { ...agentTags, ...envelope.tags };
  const names = ['organization_name', 'space_name', 'app_name'].map((name) => tags[name]);
  const host = names.some((name) => name !== undefined)
    ? names.map((name) => hostLabel(name ?? '')).join('.')
    : '-';
  const source = (tags['source_type'] ?? '').replace(/[\t\n\f\r ]+/g, '-').toUpperCase();
  const procId = `[${source}/${instanceId}]`;
  for (const field of [host, sourceId, procId]) {
    if (!/^[\x21-\x7e]*$/.test(field)) throw new Error(`not in a header: ${JSON.stringify(field)}`);
  }
  const params = Object.entries(tags)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => {
      if (!/^[\x21\x23-\x3c\x3e-\x5c\x5e-\x7e]*$/.test(name)) throw new Error(`no name: ${name}`);
      return ` ${name}="${value.replace(/["\\\]]/g, '\\$&')}"`;
    });
  const header = `<${log.type === 'ERR' ? 11 : 14}>1 ${timeOf(timestamp)} ${host} ${sourceId.slice(0, 48) || '-'} ${procId.slice(0, 128)} -`;
  const payload = Buffer.from(log.payload.filter((byte) => byte !== 0));
  const end = payload.at(-1) === 0x0a ? '' : '\n';
  return Buffer.concat([
    Buffer.from(`${header} [tags@47450${params.join('')}] `),
    payload,
    Buffer.from(end),
  ]);
}

/** Microseconds without the zeros at their end. */
function timeOf(timestampNs: string): string {
  const ns = BigInt(timestampNs);
  const micros = String((ns % 1_000_000_000n) / 1000n)
    .padStart(6, '0')
    .replace(/0+$/, '');
  const seconds = new Date(Number(ns / 1_000_000n)).toISOString().slice(0, 19);
  return `${seconds}${micros === '' ? '' : `.${micros}`}+00:00`;
}

function hostLabel(name: string): string {
  return name
    .replace(/[\t\n\f\r ]+/g, '-')
    .replace(/[^-a-zA-Z0-9]+/g, '')
    .replace(/-+$/, '')
    .slice(0, 63);
}
