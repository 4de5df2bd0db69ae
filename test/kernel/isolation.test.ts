import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readlinkSync, rmdirSync, statSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Isolation, testIsolation } from 'ebpf-loader-napi';
import { addressesOf } from '../../src/host/network-addresses.ts';
import { findHierarchy, missingHierarchy } from '../support/kernel-cgroups.ts';
import { until } from '../support/until.ts';

const NAME = `vt-${process.pid}`;
/** RFC 5737 and RFC 3849: of nobody. */
const HOST = '198.51.100.1';
const INSIDE = '198.51.100.2';
const HOST6 = '2001:db8::1';
const INSIDE6 = '2001:db8::2';
const SERVER = '198.51.100.53';
/** Ways to write an IPv6 address. */
const SPELLINGS = [
  '::',
  '::1',
  'fe80::d',
  '1:2:3:4:5:6:7:8',
  '::ffff:1.2.3.4',
  'fd00::%eth0',
  '1::',
];
const CLIENT = fileURLToPath(new URL('../support/isolation-client.mjs', import.meta.url));

const ip = (...words: string[]): unknown => execFileSync('ip', words);
const inside = (holder: ChildProcess, ...words: string[]): unknown =>
  execFileSync('nsenter', ['-t', String(holder.pid), '-n', 'ip', ...words]);

/** A process that has a network namespace of its own. */
async function startNamespace(): Promise<ChildProcess> {
  const holder = spawn('unshare', ['-n', 'sleep', 'infinity'], { stdio: 'ignore' });
  const own = readlinkSync('/proc/self/ns/net');
  await until('the namespace is there', () =>
    Promise.resolve(readlinkSync(`/proc/${holder.pid}/ns/net`) !== own),
  );
  return holder;
}

/** A process in the cgroup, in the network namespace of the test, that makes connections on request. */
class Client {
  readonly #child;
  readonly #lines;

  constructor(cgroup: string, holder: ChildProcess) {
    const enter = 'echo $$ > "$1/cgroup.procs"; exec nsenter -t "$2" -n "$3" "$4"';
    const words = [cgroup, String(holder.pid), process.execPath, CLIENT];
    this.#child = spawn('sh', ['-c', enter, 'sh', ...words], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid!;
  }

  async ask(request: Readonly<Record<string, unknown>>): Promise<unknown> {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    return JSON.parse(String((await this.#lines.next()).value)) as unknown;
  }

  async end(): Promise<void> {
    this.#child.stdin.end();
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
  }
}

describe('a container that is cut off from the network', { skip: missingHierarchy('v2') }, () => {
  const folder = join(findHierarchy('v2').mount, NAME);
  const [app, other] = ['app', 'other'].map((name) => join(folder, name)) as [string, string];
  let holder: ChildProcess;
  let isolation: Isolation;
  let server: net.Server;
  let port: number;
  let received = '';
  before(async () => {
    for (const path of [folder, app, other]) mkdirSync(path);
    holder = await startNamespace();
    ip('link', 'add', NAME, 'type', 'veth', 'peer', 'name', 'inner', 'netns', String(holder.pid));
    for (const address of [`${HOST}/24`, `${SERVER}/24`]) ip('addr', 'add', address, 'dev', NAME);
    ip('addr', 'add', `${HOST6}/64`, 'dev', NAME, 'nodad');
    ip('link', 'set', NAME, 'up');
    inside(holder, 'addr', 'add', `${INSIDE}/24`, 'dev', 'inner');
    inside(holder, 'addr', 'add', `${INSIDE6}/64`, 'dev', 'inner', 'nodad');
    inside(holder, 'link', 'set', 'inner', 'up');
    inside(holder, 'link', 'set', 'lo', 'up');
    isolation = new Isolation({ servers: [SERVER, '2001:db8::53'] });
    server = net.createServer((socket) => {
      socket.on('data', (bytes) => (received += bytes.toString()));
      socket.on('error', () => undefined);
    });
    server.listen(0, '::');
    await once(server, 'listening');
    ({ port } = server.address() as net.AddressInfo);
  });
  after(async () => {
    server.close();
    isolation.close();
    // With the namespace goes the link.
    holder.kill();
    await once(holder, 'exit');
    for (const path of [app, other, folder]) rmdirSync(path);
  });

  test('no packet leaves it, of connections from before neither; its neighbour notices nothing', async () => {
    const [client, neighbour] = [new Client(app, holder), new Client(other, holder)];
    const id = statSync(app).ino;
    const elsewhere = [HOST, HOST6, `::ffff:${HOST}`].map((host) => ({
      do: 'connect',
      host,
      port,
    }));
    try {
      assert.equal(await client.ask({ do: 'keep', host: HOST, port }), 'ok');
      assert.equal(await client.ask({ do: 'write', text: 'before' }), 'ok');
      await until('what was sent before is there', () => Promise.resolve(received === 'before'));
      for (const request of elsewhere) assert.equal(await client.ask(request), 'ok');

      isolation.isolate(id, app, addressesOf(client.pid));
      const packets = isolation.counts().packets;
      assert.equal(await client.ask({ do: 'write', text: ' after' }), 'ok');
      await until('a packet was dropped', () =>
        Promise.resolve(isolation.counts().packets > packets),
      );
      for (const request of elsewhere)
        assert.equal(await client.ask(request), 'EPERM', JSON.stringify(request));
      assert.equal(isolation.counts().connects, 3);
      for (const host of [HOST, HOST6]) {
        const send = { do: 'send', host, port: 53, text: 'x', family: host === HOST ? 4 : 6 };
        assert.equal(await client.ask(send), 'EPERM', host);
      }
      for (const request of elsewhere) assert.equal(await neighbour.ask(request), 'ok');

      for (const host of ['127.0.0.1', '::1', INSIDE, INSIDE6]) {
        const own = await client.ask({ do: 'listen', host });
        assert.equal(typeof own, 'number', host);
        assert.equal(await client.ask({ do: 'connect', host, port: own }), 'ok', host);
      }
      assert.equal(received, 'before');

      isolation.lift(id);
      await until('what was held back has arrived', () =>
        Promise.resolve(received === 'before after'),
      );
      for (const request of elsewhere) assert.equal(await client.ask(request), 'ok');
    } finally {
      isolation.lift(id);
      await Promise.all([client.end(), neighbour.end()]);
    }
  });

  test('it may ask name servers, and send them nothing on other ports', async () => {
    const client = new Client(app, holder);
    const id = statSync(app).ino;
    const names = dgram.createSocket('udp4').bind(53, SERVER);
    await once(names, 'listening');
    try {
      isolation.isolate(id, app);
      const asked = once(names, 'message');
      const question = { do: 'send', host: SERVER, text: 'who?' };
      assert.equal(await client.ask({ ...question, port: 53 }), 'ok');
      assert.equal(String((await asked)[0]), 'who?');
      assert.equal(await client.ask({ ...question, port: 54 }), 'EPERM');
      const tcp = net.createServer((socket) => socket.end()).listen(53, SERVER);
      await once(tcp, 'listening');
      assert.equal(await client.ask({ do: 'connect', host: SERVER, port: 53 }), 'ok');
      tcp.close();
      assert.equal(await client.ask({ do: 'connect', host: SERVER, port }), 'EPERM');
    } finally {
      names.close();
      isolation.lift(id);
      await client.end();
    }
  });

  test('nobody reaches it from outside', async () => {
    const client = new Client(app, holder);
    const id = statSync(app).ino;
    const outside = dgram.createSocket('udp4');
    const send = (): void => outside.send('x', 9999, INSIDE);
    const datagrams = async (): Promise<number> =>
      (await client.ask({ do: 'datagrams' })) as number;
    try {
      assert.equal(await client.ask({ do: 'bind', port: 9999 }), 'ok');
      send();
      await until('one arrives', async () => (await datagrams()) === 1);
      isolation.isolate(id, app);
      const { packets } = isolation.counts();
      send();
      await until('the next is dropped', () =>
        Promise.resolve(isolation.counts().packets > packets),
      );
      isolation.lift(id);
      send();
      await until('another arrives', async () => (await datagrams()) === 2);
    } finally {
      outside.close();
      isolation.lift(id);
      await client.end();
    }
  });

  test('a cgroup inside it is cut off with it', async () => {
    const below = join(app, 'below');
    mkdirSync(below);
    const client = new Client(below, holder);
    const id = statSync(app).ino;
    try {
      isolation.isolate(id, app);
      assert.equal(await client.ask({ do: 'connect', host: HOST, port }), 'EPERM');
    } finally {
      isolation.lift(id);
      await client.end();
      rmdirSync(below);
    }
  });

  test('the test of it passes in a cgroup that is cut off, and fails in any other', () => {
    const id = statSync(other).ino;
    const refusal = { code: 'EIO', detail: 'a connect elsewhere was not refused' };
    assert.throws(() => testIsolation(other), refusal);
    isolation.isolate(id, other);
    testIsolation(other);
    assert.ok(isolation.isolated().includes(id));
    isolation.lift(id);
    assert.deepEqual(isolation.isolated(), []);
    assert.throws(() => testIsolation(other), refusal);
  });

  test('nothing is left of those that were closed', () => {
    const id = statSync(other).ino;
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    const before = descriptors();
    for (let n = 0; n < 20; n++) {
      const one = new Isolation();
      one.isolate(id, other, [`10.0.0.${n}`, ...SPELLINGS]);
      if (n % 2 === 0) one.lift(id);
      one.close();
      assert.throws(() => new Isolation({ objectPath: '/etc/hostname' }));
    }
    assert.equal(descriptors(), before);
    assert.throws(() => testIsolation(other), { detail: 'a connect elsewhere was not refused' });
  });

  test('what cannot be cut off is an error, and changes nothing', () => {
    const id = statSync(other).ino;
    assert.throws(() => isolation.isolate(id + 1, other), { code: 'ESRCH' });
    assert.throws(() => isolation.isolate(id, join(other, 'gone')), { code: 'ENOENT' });
    assert.throws(() => isolation.isolate(id, '/proc'), { code: 'ESRCH' });
    assert.throws(() => isolation.isolate(id, other, ['nowhere']), TypeError);
    assert.throws(() => new Isolation({ servers: Array<string>(9).fill('192.0.2.1') }), {
      code: 'EINVAL',
    });
    assert.throws(() => new Isolation({ objectPath: '/nowhere' }), { code: 'ENOENT' });
    assert.deepEqual(isolation.isolated(), []);
    const closed = new Isolation();
    closed.close();
    closed.close();
    assert.throws(() => closed.isolate(id, other), { code: 'EBADF' });
    assert.deepEqual(closed.counts(), { packets: 0, connects: 0 });
  });
});
