import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { LoaderError } from 'ebpf-loader-napi';
import { EVENT_TABLE, MORE_HOOKS, type EventName } from '../../src/events/table.gen.ts';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { KernelProbe, type KernelProbeOptions, type TestCgroup } from './kernel-probe.ts';
import { raw, type Step } from './kernel-process.ts';

/**
 * The events of native/schema/calls.mjs by the test that makes their calls, test/kernel/calls-<topic>.test.ts.
 * calls-table.test.ts says that none is missing; `describeCalls` that a topic's test asserts each param of its events.
 */
export const TOPICS = {
  files: [
    'symlink',
    'symlinkat',
    'link',
    'linkat',
    'unlink',
    'unlinkat',
    'rmdir',
    'rename',
    'renameat',
    'renameat2',
    'mkdir',
    'mkdirat',
    'mknod',
    'mknodat',
  ],
  modes: [
    'chmod',
    'fchmod',
    'fchmodat',
    'chown',
    'lchown',
    'fchown',
    'fchownat',
    'open_by_handle_at',
  ],
  mounts: ['mount', 'umount2', 'open_tree', 'move_mount', 'fsopen', 'pivot_root', 'chroot'],
  directories: ['chdir', 'fchdir'],
  memory: [
    'memfd_create',
    'mmap',
    'mprotect',
    'process_vm_readv',
    'process_vm_writev',
    'userfaultfd',
  ],
  descriptors: [
    'dup',
    'dup2',
    'dup3',
    'pidfd_getfd',
    'pidfd_open',
    'io_uring_setup',
    'io_uring_enter',
    'io_uring_register',
  ],
  sockets: ['socket', 'bind', 'listen', 'accept', 'accept4'],
  messages: ['sendto', 'sendmsg', 'sendmmsg', 'recvfrom', 'recvmsg', 'recvmmsg'],
  processes: [
    'ptrace',
    'kill',
    'tkill',
    'tgkill',
    'pidfd_send_signal',
    'prctl',
    'setns',
    'unshare',
    'capset',
    'setuid',
    'setgid',
    'setreuid',
    'setregid',
    'setresuid',
    'setresgid',
    'setsid',
    'setpgid',
    'keyctl',
    'bpf',
  ],
  modules: ['init_module', 'finit_module', 'delete_module'],
} as const satisfies Record<string, readonly EventName[]>;

type Topic = keyof typeof TOPICS;
type Outcome = 'works' | 'fails';

/** One line of the steps `call` and `callfd`. */
export interface CallResult {
  readonly step: string;
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly ret: number;
  /** As passed: 64 bits, unsigned. */
  readonly args: readonly string[];
  /** What b: and o: arguments hold after the call, in hex. */
  readonly buffers: readonly string[];
  /** callfd and describe: what stat, /proc/self/fd, getsockname and getpeername say of the descriptor. */
  readonly ino?: number;
  readonly dev?: number;
  readonly mode?: number;
  readonly link?: string;
  readonly local?: { readonly ip: string; readonly port: number };
  readonly remote?: { readonly ip: string; readonly port: number };
}

/** The step that makes the call; see kernel-steps.c for what arguments there are. */
export const call = (name: string, ...args: Step[]): Step[] => ['call', name, ...args, ';'];

/** The same for a call that returns a descriptor, which is `@` from then on. */
export const callFd = (name: string, ...args: Step[]): Step[] => ['callfd', name, ...args, ';'];

/** An argument that points to this text. */
export const text = (value: Buffer | string): string => `s:${raw(value)}`;

/** An argument that points to these bytes. */
export const bytes = (value: Buffer | string): string => `b:${Buffer.from(value).toString('hex')}`;

export const u16 = (value: number): Buffer => Buffer.of(value & 0xff, value >> 8);
export const u32 = (value: number): Buffer =>
  Buffer.concat([u16(value & 0xffff), u16(value >>> 16)]);

/** A struct sockaddr_in. */
export function ipv4(ip: string, port: number): Buffer {
  const address = Buffer.alloc(16);
  address.writeUInt16LE(2, 0);
  address.writeUInt16BE(port, 2);
  ip.split('.').forEach((part, at) => address.writeUInt8(Number(part), 4 + at));
  return address;
}

/** A struct sockaddr_un up to the end of the path; one that begins with '@' is abstract. */
export function unix(path: string): Buffer {
  const name = path.startsWith('@') ? `\0${path.slice(1)}` : `${path}\0`;
  return Buffer.concat([u16(1), Buffer.from(name)]);
}

export const pathOf = (result: CallResult): string =>
  Buffer.from(result.link ?? '', 'hex').toString();

const SI_QUEUE = -1;

/** An argument that points to a struct siginfo, of a signal that a process queues. */
export function queuedSignal(signal: number): string {
  const info = Buffer.alloc(128);
  info.writeInt32LE(signal, 0);
  info.writeInt32LE(SI_QUEUE, 8);
  return bytes(info);
}

/** The event of the call of that name. */
function eventOf(name: string): EventName {
  const as = Object.entries(MORE_HOOKS).find(([, hook]) => hook === name);
  return (as?.[0] ?? name) as EventName;
}

export type Params = Readonly<Record<string, unknown>>;

/** All params of the event as the table has them. */
export function paramsOf(event: WireEvent): Params {
  return Object.fromEntries(
    EVENT_TABLE[event.type].params.map(([name]) => [name, event.param(name)]),
  );
}

/** What a run of kernel-steps did, with the events of its calls. */
export class CallRun {
  readonly cgroup: TestCgroup;
  readonly results: readonly CallResult[];
  readonly #events: readonly WireEvent[];
  readonly #suite: CallSuite;
  readonly #taken = new Map<string, number>();

  constructor(cgroup: TestCgroup, results: readonly CallResult[], suite: CallSuite) {
    this.cgroup = cgroup;
    this.results = results;
    this.#events = suite.eventsOf(cgroup);
    this.#suite = suite;
  }

  /** The next call of that name, and its event; nothing is asserted but that the event has its result. */
  take(name: string): [WireEvent, CallResult] {
    const result = this.result(name);
    const event = this.event(eventOf(name), result);
    if (!Object.hasOwn({ sendmmsg: 0, recvmmsg: 0 }, name)) assert.equal(event.result, result.ret);
    return [event, result];
  }

  /** The next result of that call. */
  result(name: string): CallResult {
    const nth = this.#next(`result ${name}`);
    const result = this.results.filter((one) => one.name === name)[nth];
    assert.ok(result, `${nth} calls of ${name} only: ${JSON.stringify(this.results)}`);
    return result;
  }

  /** The next event of that type, by the process that made the call. */
  event(type: EventName, { pid }: { readonly pid: number }): WireEvent {
    const nth = this.#next(`${pid} ${type}`);
    const event = this.#events.filter((one) => one.type === type && one.pid === pid)[nth];
    assert.ok(event, `no event ${nth} of ${type} by ${pid}`);
    return event;
  }

  /**
   * The next call of that name has an event whose params are these, all of them; `res` or `fd` is its result, which
   * need not be named where `expected` says what it is to be.
   */
  check(name: string, expected: Params | ((result: CallResult) => Params)): WireEvent {
    const [event, result] = this.take(name);
    this.checkEvent(event, typeof expected === 'function' ? expected(result) : expected);
    return event;
  }

  /** The event's params are these, all of them. */
  checkEvent(event: WireEvent, expected: Params): void {
    assert.deepEqual(paramsOf(event), expected, event.type);
    this.#suite.note(event, expected);
  }

  /** Every event of a call was looked at. */
  end(): void {
    const seen = new Map<string, number>();
    for (const { type, pid } of this.#events) {
      seen.set(`${pid} ${type}`, (seen.get(`${pid} ${type}`) ?? 0) + 1);
    }
    const taken = [...this.#taken].filter(([key]) => !key.startsWith('result '));
    assert.deepEqual(new Map(taken.sort()), new Map([...seen].sort()), 'events looked at, and all');
  }

  #next(key: string): number {
    const nth = this.#taken.get(key) ?? 0;
    this.#taken.set(key, nth + 1);
    return nth;
  }
}

/** A probe with the hooks of a topic's calls, a directory, and what was asserted so far. */
export class CallSuite {
  readonly topic: Topic;
  #probe: KernelProbe | undefined;
  #dir: string | undefined;
  #runs = 0;
  readonly missing = new Map<string, string>();
  readonly #seen = new Map<EventName, { params: Set<string>; outcomes: Set<Outcome> }>();

  constructor(topic: Topic) {
    this.topic = topic;
  }

  get probe(): KernelProbe {
    assert.ok(this.#probe);
    return this.#probe;
  }

  get dir(): string {
    assert.ok(this.#dir);
    return this.#dir;
  }

  open(options: KernelProbeOptions = {}): void {
    this.#dir = mkdtempSync(join(tmpdir(), `varvel-${this.topic}-`));
    this.#probe = new KernelProbe({
      ...options,
      attach: ['cgroup_mkdir', 'cgroup_attach_task', 'sched_fork'],
    });
    for (const event of TOPICS[this.topic]) {
      const more = (MORE_HOOKS as Readonly<Record<string, string>>)[event];
      for (const hook of [EVENT_TABLE[event].hook, ...(more === undefined ? [] : [more])]) {
        this.#attach(event, hook);
      }
    }
  }

  #attach(event: string, hook: string): void {
    try {
      this.probe.probe.attach(`sys_${hook}`);
    } catch (error) {
      const { code, operation } = error as LoaderError;
      if (code !== 'ENOENT') throw error;
      this.missing.set(hook === EVENT_TABLE[event as EventName].hook ? event : hook, operation);
    }
  }

  async close(): Promise<void> {
    await this.#probe?.close();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Why the call cannot be tested here, or undefined. */
  whyMissing(name: string): string | undefined {
    const operation = this.missing.get(name);
    return operation === undefined
      ? undefined
      : `this kernel has no such call: ${operation} says ENOENT`;
  }

  /** Runs the steps in a cgroup of their own. */
  async run(...steps: readonly (readonly Step[])[]): Promise<CallRun> {
    const cgroup = this.probe.mkdir(`${this.topic}${this.#runs++}`);
    const running = await this.probe.run(cgroup, steps.flat());
    const calls = running.results as unknown as readonly CallResult[];
    return new CallRun(cgroup, calls, this);
  }

  eventsOf(cgroup: TestCgroup): readonly WireEvent[] {
    return this.probe.events.filter(
      ({ cgroupId, call: details }) => cgroupId === cgroup.id && details !== undefined,
    );
  }

  note(event: WireEvent, expected: Params): void {
    const seen = this.#seen.get(event.type) ?? { params: new Set(), outcomes: new Set() };
    for (const [name, value] of Object.entries(expected)) {
      if (value !== undefined) seen.params.add(name);
    }
    seen.outcomes.add(event.result < 0 ? 'fails' : 'works');
    this.#seen.set(event.type, seen);
  }

  /** What no test of the topic has asserted: params with a value, calls that work, calls that fail. */
  unasserted(outcomes: readonly Outcome[]): string[] {
    return TOPICS[this.topic].flatMap((event) => {
      if (this.missing.has(event)) return [];
      const seen = this.#seen.get(event);
      const params = EVENT_TABLE[event].params.map(([name]) => name);
      return [
        ...params
          .filter((name) => seen?.params.has(name) !== true)
          .map((name) => `${event}.${name}`),
        ...outcomes
          .filter((one) => seen?.outcomes.has(one) !== true)
          .map((one) => `${event} ${one}`),
      ];
    });
  }
}

/** To be called first in a topic's describe: opens and closes its suite. */
export function suiteOf(topic: Topic): CallSuite {
  const suite = new CallSuite(topic);
  before(() => {
    suite.open();
  });
  after(async () => {
    await suite.close();
  });
  return suite;
}

/** To be called last: the tests before it have asserted every param of every event of the topic. */
export function testAllAsserted(
  suite: CallSuite,
  outcomes: readonly Outcome[] = ['works', 'fails'],
): void {
  test(`every param was asserted with a value, every call when it ${outcomes.join(' and ')}`, () => {
    assert.deepEqual(suite.unasserted(outcomes), []);
  });
}
