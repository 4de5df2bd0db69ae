import assert from 'node:assert/strict';

/** A syslog message, taken apart by the grammar of RFC 5424, 6. NILVALUE is undefined. */
export interface ParsedSyslog {
  readonly pri: number;
  readonly version: number;
  readonly timestamp: string | undefined;
  readonly hostname: string | undefined;
  readonly appName: string | undefined;
  readonly procId: string | undefined;
  readonly msgId: string | undefined;
  /** SD-IDs with their params in order; values as they were before the escape of 6.3.3. */
  readonly structuredData: ReadonlyMap<string, readonly (readonly [string, string])[]>;
  readonly message: string | undefined;
}

/**
 * Reads one message and nothing but what the grammar has: throws AssertionError for a byte that is out of place, for
 * invalid UTF-8, for an escape of what needs none, and for an SD-ID that is there twice. Written from the RFC, shares
 * nothing with `src/`.
 */
export function parseRfc5424(bytes: Buffer): ParsedSyslog {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  let at = 0;
  const take = (pattern: RegExp, what: string): RegExpExecArray => {
    const match = new RegExp(pattern.source, 'yu');
    match.lastIndex = at;
    const found = match.exec(text);
    assert.ok(found, `no ${what} at ${at}: ${JSON.stringify(text.slice(at, at + 40))}`);
    at += found[0].length;
    return found;
  };
  const space = (): unknown => take(/ /, 'SP');
  const field = (max: number, what: string): string | undefined => {
    const value = take(/[\x21-\x7e]+/, what)[0];
    assert.ok(value.length <= max, `${what} has ${value.length} characters`);
    return value === '-' ? undefined : value;
  };

  // PRI = "<" PRIVAL ">"; PRIVAL = 1*3DIGIT ; range 0 .. 191. VERSION = NONZERO-DIGIT 0*2DIGIT
  const pri = Number(take(/<(0|[1-9]\d{0,2})>/, 'PRI')[1]);
  assert.ok(pri <= 191, `PRIVAL ${pri}`);
  const version = Number(take(/[1-9]\d{0,2}/, 'VERSION')[0]);
  space();
  const timestamp = take(
    /-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)/,
    'TIMESTAMP',
  )[0];
  assert.ok(timestamp === '-' || !Number.isNaN(Date.parse(timestamp)), timestamp);
  space();
  const hostname = field(255, 'HOSTNAME');
  space();
  const appName = field(48, 'APP-NAME');
  space();
  const procId = field(128, 'PROCID');
  space();
  const msgId = field(32, 'MSGID');
  space();

  // STRUCTURED-DATA = NILVALUE / 1*SD-ELEMENT; SD-ELEMENT = "[" SD-ID *(SP SD-PARAM) "]"
  const structuredData = new Map<string, (readonly [string, string])[]>();
  const sdName = (): string => take(/[\x21\x23-\x3c\x3e-\x5c\x5e-\x7e]{1,32}/, 'SD-NAME')[0];
  if (text[at] === '-') at++;
  else {
    do {
      take(/\[/, '"["');
      const id = sdName();
      assert.ok(!structuredData.has(id), `SD-ID ${id} twice`);
      const params: (readonly [string, string])[] = [];
      while (text[at] === ' ') {
        space();
        const name = sdName();
        take(/="/, '="');
        const escaped = take(/(?:[^"\\\]]|\\["\\\]])*/, 'PARAM-VALUE')[0];
        take(/"/, 'closing quote');
        params.push([name, escaped.replace(/\\(["\\\]])/g, '$1')]);
      }
      take(/\]/, '"]"');
      structuredData.set(id, params);
    } while (text[at] === '[');
  }

  // [SP MSG]; MSG = MSG-ANY / MSG-UTF8
  let message: string | undefined;
  if (at < text.length) {
    space();
    message = text.slice(at);
  }
  return {
    pri,
    version,
    timestamp: timestamp === '-' ? undefined : timestamp,
    hostname,
    appName,
    procId,
    msgId,
    structuredData,
    message,
  };
}
