import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { Authority } from './certificates.ts';
import type { Certificate } from './certificates.ts';

/** A message as rsyslog took it apart. */
export interface ReceivedMessage {
  readonly input: string;
  readonly pri: string;
  readonly version: string;
  readonly time: string;
  readonly host: string;
  readonly app: string;
  readonly proc: string;
  readonly msgid: string;
  readonly sd: string;
  readonly msg: string;
  readonly raw: string;
}

/** A real rsyslogd with a configuration, ports and certificates of its own, in the foreground, below a folder that goes with it. */
export class Rsyslog {
  readonly folder = mkdtempSync(join(tmpdir(), 'varvel-rsyslog-'));
  readonly authority: Authority;
  readonly client: Certificate;
  readonly socket: string;
  readonly ports: { readonly tcp: number; readonly tls: number; readonly udp: number };
  readonly #output: string;
  /** The messages in the output up to this byte: it grows by 10 MB in a test, and is asked for again and again. */
  readonly #read: ReceivedMessage[] = [];
  #readTo = 0;
  #process: ChildProcess | undefined;

  /** With a file of a user's own configuration and the name of the rule set in it that gets all messages too. */
  static async start(more?: { readonly file: string; readonly ruleset: string }): Promise<Rsyslog> {
    const [tcp, tls, udp] = [await freeTcpPort(), await freeTcpPort(), await freeUdpPort()];
    const rsyslog = new Rsyslog({ tcp, tls, udp }, more);
    await rsyslog.run();
    return rsyslog;
  }

  private constructor(
    ports: Rsyslog['ports'],
    more: { readonly file: string; readonly ruleset: string } | undefined,
  ) {
    this.ports = ports;
    this.socket = join(this.folder, 'syslog.sock');
    this.#output = join(this.folder, 'received');
    this.authority = new Authority(this.folder);
    const server = this.authority.issue('logs.test', ['DNS:logs.test', 'IP:127.0.0.1']);
    this.client = this.authority.issue('client');
    writeFileSync(join(this.folder, 'conf'), this.#configuration(server, more));
  }

  /** Starts it (again); resolves when it listens everywhere. */
  async run(): Promise<void> {
    assert.equal(this.#process, undefined, 'it runs already');
    rmSync(this.socket, { force: true });
    rmSync(join(this.folder, 'ready'), { force: true });
    const child = spawn(
      'rsyslogd',
      ['-n', '-C', '-f', join(this.folder, 'conf'), '-i', join(this.folder, 'pid')],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let said = '';
    child.stderr.on('data', (text) => (said += String(text)));
    this.#process = child;
    const { tcp, tls, udp } = this.ports;
    await this.#until(
      () => [tcp, tls].every(isListening) && isBound(udp) && isListeningAt(this.socket),
      () => `rsyslogd does not listen: ${said}`,
    );
  }

  /** Stops it where it is; resolves when none of its threads runs any more. */
  async pause(): Promise<void> {
    const tasks = `/proc/${this.#process?.pid ?? assert.fail('it does not run')}/task`;
    const stands = (id: string): boolean => {
      try {
        return /\) T /.test(readFileSync(`${tasks}/${id}/stat`, 'utf8'));
      } catch {
        return true; // a thread that ended meanwhile
      }
    };
    this.signal('SIGSTOP');
    await this.#until(
      () => readdirSync(tasks).every(stands),
      () => 'rsyslogd goes on',
    );
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  /** Ends it with a signal and waits for its end. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    const ended = child.exitCode === null ? once(child, 'exit') : Promise.resolve();
    child.kill(signal);
    await ended;
    this.#process = undefined;
    if (!existsSync(this.#output)) return;
    // What it was writing when it was killed it has not kept; the next one would write on behind it.
    const written = readFileSync(this.#output);
    truncateSync(this.#output, written.lastIndexOf('\n') + 1);
  }

  received(): ReceivedMessage[] {
    if (!existsSync(this.#output)) return [];
    const output = openSync(this.#output, 'r');
    try {
      const bytes = Buffer.alloc(fstatSync(output).size - this.#readTo);
      const length = readSync(output, bytes, 0, bytes.length, this.#readTo);
      // What stands behind the last newline may be half written.
      const end = bytes.subarray(0, length).lastIndexOf('\n') + 1;
      const lines = bytes.toString('utf8', 0, end).split('\n').slice(0, -1);
      for (const line of lines) this.#read.push(JSON.parse(line) as ReceivedMessage);
      this.#readTo += end;
    } finally {
      closeSync(output);
    }
    return this.#read.slice();
  }

  /** Waits until it has written that many messages. */
  async wait(count: number): Promise<ReceivedMessage[]> {
    await this.#until(
      () => this.received().length >= count,
      () => `${this.received().length} of ${count} messages arrived`,
    );
    return this.received();
  }

  async stop(): Promise<void> {
    this.signal('SIGCONT');
    await this.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #until(reached: () => boolean, says: () => string): Promise<void> {
    // A sender on a busy machine: 25 s for a batch that fails, and then as long as it backs off.
    const deadlineMs = performance.now() + 90_000;
    while (!reached()) {
      assert.ok(performance.now() < deadlineMs, says());
      await delay(20);
    }
  }

  #configuration(
    server: Certificate,
    more: { readonly file: string; readonly ruleset: string } | undefined,
  ): string {
    const include = more === undefined ? '' : `include(file="${more.file}")`;
    const call = more === undefined ? '' : `call ${more.ruleset}`;
    const field = (outname: string, name: string, more = ''): string =>
      `property(outname="${outname}" name="${name}" format="jsonf" ${more})`;
    const fields = [
      field('input', 'inputname'),
      field('pri', 'pri'),
      field('version', 'protocol-version'),
      field('time', 'timereported', 'dateFormat="rfc3339"'),
      field('host', 'hostname'),
      field('app', 'app-name'),
      field('proc', 'procid'),
      field('msgid', 'msgid'),
      field('sd', 'structured-data'),
      field('msg', 'msg'),
      field('raw', 'rawmsg'),
    ].join(' constant(value=",") ');
    return `
global(
  workDirectory="${this.folder}" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off"
  defaultNetstreamDriverCAFile="${this.authority.ca}"
  defaultNetstreamDriverCertFile="${server.cert}" defaultNetstreamDriverKeyFile="${server.key}"
)
template(name="fields" type="list") { constant(value="{") ${fields} constant(value="}\\n") }
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
module(load="imptcp")
module(load="imudp")
${include}
ruleset(name="all") {
  action(type="omfile" file="${this.#output}" template="fields")
  ${call}
}
input(type="imtcp" address="127.0.0.1" port="${this.ports.tls}" name="tls" ruleset="all")
input(type="imptcp" address="127.0.0.1" port="${this.ports.tcp}" name="tcp" ruleset="all")
input(type="imptcp" path="${this.socket}" name="unix" ruleset="all")
input(type="imudp" address="127.0.0.1" port="${this.ports.udp}" name="udp" ruleset="all")
`;
  }
}

/** By /proc: a connection of ours to see whether it listens would be one more for the receiver. */
function isListening(port: number): boolean {
  const at = port.toString(16).toUpperCase().padStart(4, '0');
  return readFileSync('/proc/net/tcp', 'utf8').includes(`0100007F:${at} 00000000:0000 0A`);
}

function isBound(udpPort: number): boolean {
  const at = udpPort.toString(16).toUpperCase().padStart(4, '0');
  return readFileSync('/proc/net/udp', 'utf8').includes(`0100007F:${at} 00000000:0000 07`);
}

/** A socket has its name before it listens. */
function isListeningAt(path: string): boolean {
  return readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .some((line) => / 00010000 0001 01 /.test(line) && line.endsWith(` ${path}`));
}

/** From here to where the kernel looks for a port when somebody asks for any, or as far as is room enough. */
const FIRST_PORT = 10_000;
const ROOM = 10_000;
/** Given away by this process: they stay its own, though nobody listens there yet. */
const given = new Set<number>();

/** A port of loopback's at which nobody listens, and which nobody gets who asks for any: it is free until a test takes it. */
export function freeTcpPort(): Promise<number> {
  return freePort(async (port) => {
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
  });
}

/** The same for datagrams. */
export function freeUdpPort(): Promise<number> {
  return freePort(async (port) => {
    const socket = createSocket('udp4').bind(port, '127.0.0.1');
    await once(socket, 'listening');
    socket.close();
    await once(socket, 'close');
  });
}

async function freePort(listenOnce: (port: number) => Promise<void>): Promise<number> {
  const range = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8');
  const end = Math.max(Number(/^\d+/.exec(range)?.[0]), FIRST_PORT + ROOM);
  for (let tries = 1; ; tries++) {
    const port = randomInt(FIRST_PORT, end);
    if (given.has(port)) continue;
    try {
      await listenOnce(port);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || tries === 100) throw error;
      continue;
    }
    given.add(port);
    return port;
  }
}
