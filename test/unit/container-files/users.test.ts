import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { ProcFs } from '../../../src/context/proc-fs.ts';
import {
  ContainerUsers,
  parseIdFile,
  USER_ENTRIES_MAX,
  USER_FILE_MAX_BYTES,
} from '../../../src/container-files/users.ts';
import { FixtureProc } from '../context/fixture-proc.ts';

const START = 50_000_000n;

/** A container's files; the reading by openat2 is tested with the loader. */
function container(
  files: Record<string, string | undefined>,
  inDirectory: Record<string, string | undefined> = {},
  imageOf: (key: number) => string | undefined = () => undefined,
  processIn: (key: number) => number | undefined = () => undefined,
) {
  const reads: string[] = [];
  const setup = { now: false, ending: false };
  const proc = new FixtureProc();
  proc.put({ pid: 9, comm: 'app', startTicks: 5 });
  let nowMs = 0;
  const users = new ContainerUsers({
    rootReader: {
      filesIn(pid, where, paths, maxBytes) {
        if (setup.ending) return undefined;
        const from = where === 'root' ? files : inDirectory;
        return paths.map((path) => {
          if (where === 'root') reads.push(`${pid} ${path} ${maxBytes}`);
          const text = from[path];
          return text === undefined ? undefined : Buffer.from(text, 'latin1');
        });
      },
      isHostRootInside: () => setup.now,
    },
    procReader: new ProcFs(proc.root),
    nowMs: () => nowMs,
    maxContainers: 3,
    imageOf,
    processIn,
  });
  return {
    users,
    reads,
    setup,
    proc,
    advance: (ms: number) => (nowMs += ms),
    [Symbol.dispose]: () => proc[Symbol.dispose](),
  };
}

test('names come from the container’s own files, which are read at the first event', async () => {
  using c = container({
    '/etc/passwd': 'root:x:0:0:root:/root:/bin/bash\nvcap:x:2000:2000::/home/vcap:/bin/sh\n',
    '/etc/group': 'root:x:0:\nvcap:x:2000:a,b\n',
  });
  const names = c.users.names(1);
  c.users.ensure(1, 9, START);
  assert.deepEqual(c.reads, [
    `9 /etc/passwd ${USER_FILE_MAX_BYTES}`,
    `9 /etc/group ${USER_FILE_MAX_BYTES}`,
  ]);
  assert.equal(names.userName(2000), 'vcap');
  assert.equal(names.homeDir(2000), '/home/vcap');
  assert.equal(names.shell(2000), '/bin/sh');
  assert.equal(names.groupName(2000), 'vcap');
  assert.equal(c.users.names(2).userName(2000), undefined, 'another container');
  await turn();
});

test('later readings are not done by the event that asks for them', async () => {
  using c = container({ '/etc/passwd': 'a:x:1:1::/:/x\n' });
  c.users.ensure(1, 9, START);
  c.advance(60_000);
  c.users.ensure(1, 9, START);
  assert.equal(c.reads.length, 2);
  await turn();
  assert.equal(c.reads.length, 4);
});

test('of many new containers at once, 64 are read at once, the others in the next turn', async () => {
  using c = container({ '/etc/passwd': 'a:x:1:1::/:/x\n' });
  for (let key = 0; key < 70; key++) {
    c.users.forget(key - 1);
    c.users.ensure(key, 9, START);
  }
  assert.equal(c.reads.length, 128);
  await turn();
  assert.equal(c.reads.length, 140);
});

test('nothing is read while the root is still the host’s: its names are nobody’s here', async () => {
  const files = { '/etc/passwd': 'hostuser:x:42:42::/:/x\n' };
  using c = container(files);
  c.setup.now = true;
  c.users.ensure(1, 9, START);
  await turn();
  assert.deepEqual([c.reads.length, c.users.names(1).userName(42)], [0, undefined]);
  c.setup.now = false;
  files['/etc/passwd'] = 'app:x:42:42::/:/x\n';
  c.advance(5);
  c.users.ensure(1, 9, START);
  assert.equal(c.users.names(1).userName(42), 'app', 'at once, when it is set up');
});

test('what was read ahead holds for a container that has ended when its first event arrives', () => {
  using c = container({
    '/etc/passwd': 'app:x:42:42::/home/app:/x\n',
    '/etc/group': 'app:x:42:\n',
  });
  assert.ok(c.users.isUnknown(1));
  assert.ok(c.users.readAhead(1, 9, 5, 'root'));
  assert.ok(!c.users.isUnknown(1));
  c.proc.remove(9);
  c.users.ensure(1, 9, START);
  const names = c.users.names(1);
  assert.deepEqual([names.userName(42), names.groupName(42)], ['app', 'app']);
});

test('what was read ahead is read again at the first event: the container’s own word counts', () => {
  const files = { '/etc/passwd': 'app:x:42:42::/:/x\nold:x:7:7::/:/x\n' };
  using c = container(files);
  c.users.readAhead(1, 9, 5, 'root');
  files['/etc/passwd'] = 'intruder:x:42:42::/:/x\n';
  c.users.ensure(1, 9, START);
  const names = c.users.names(1);
  assert.deepEqual([names.userName(42), names.userName(7)], ['intruder', undefined]);
});

test('a command that has ended in a container that goes on: its files are read through another process', () => {
  const files = { '/etc/passwd': 'app:x:42:42::/:/x\n' };
  using c = container(files, {}, undefined, (key) => (key === 1 ? 7 : undefined));
  c.proc.put({ pid: 7, comm: 'server', startTicks: 3 });
  c.proc.remove(9);
  c.users.ensure(1, 9, START);
  assert.equal(c.users.names(1).userName(42), 'app');
  assert.ok(c.reads.includes(`7 /etc/passwd ${USER_FILE_MAX_BYTES}`));
  c.users.ensure(2, 9, START);
  assert.equal(c.users.names(2).userName(42), undefined, 'where no other is known');
});

test('a container that ended before anybody looked has the names that its image had when it was last set up', () => {
  const files: Record<string, string | undefined> = {
    '/etc/passwd': 'app:x:42:42::/home/app:/x\n',
    '/etc/group': 'staff:x:42:\n',
  };
  const images = new Map([
    [1, 'shop'],
    [2, 'shop'],
    [3, 'other'],
  ]);
  using c = container(files, {}, (key) => images.get(key));
  const names = c.users.names(2);
  assert.equal(names.userName(42), undefined, 'nothing is known of the image yet');
  assert.ok(c.users.readAhead(1, 9, 5, 'root'));
  const known = c.users.names(2);
  assert.deepEqual(
    [known.userName(42), known.homeDir(42), known.shell(42), known.groupName(42)],
    ['app', '/home/app', '/x', 'staff'],
  );
  assert.equal(c.users.names(3).userName(42), undefined, 'of another image');
  files['/etc/passwd'] = 'intruder:x:42:42::/:/x\n';
  c.users.ensure(1, 9, START);
  assert.equal(c.users.names(1).userName(42), 'intruder');
  assert.equal(c.users.names(2).userName(42), 'app', 'what an app wrote is its own');
  c.users.ensure(2, 9, START);
  assert.equal(c.users.names(2).userName(42), 'intruder', 'its own files count');
  assert.equal(c.users.names(2).userName(7), undefined);
});

test('nothing is read ahead through a process that ended', () => {
  using c = container({ '/etc/passwd': 'stranger:x:42:42::/:/x\n' });
  assert.equal(c.users.readAhead(1, 9, 6, 'root'), false);
  assert.ok(c.users.isUnknown(1));
  assert.equal(c.users.names(1).userName(42), undefined);
});

test('what the runtime’s working directory says holds only until the root has been looked into', () => {
  const files: Record<string, string | undefined> = {};
  const inDirectory: Record<string, string> = {};
  using c = container(files, inDirectory);
  assert.equal(c.users.readAhead(1, 9, 5, 'directory'), false, 'no such files there');
  inDirectory['/etc/passwd'] = 'image:x:42:42::/:/x\n';
  assert.ok(c.users.readAhead(1, 9, 5, 'directory'));
  assert.ok(c.users.isUnknown(1), 'the root is still wanted');
  const names = c.users.names(1);
  assert.equal(names.userName(42), 'image');
  inDirectory['/etc/passwd'] = 'other:x:42:42::/:/x\n';
  c.users.readAhead(1, 9, 5, 'directory');
  assert.equal(names.userName(42), 'image', 'once is enough');
  assert.ok(c.users.readAhead(1, 9, 5, 'root'));
  assert.equal(names.userName(42), undefined, 'a volume hides the file, and is not entered');
  c.users.readAhead(1, 9, 5, 'directory');
  assert.equal(names.userName(42), undefined, 'it does not come back');
});

test('a process that is ending has no root any more, which says nothing of the files', () => {
  const files: Record<string, string | undefined> = {};
  using c = container(files, { '/etc/passwd': 'app:x:42:42::/:/x\n' });
  c.users.readAhead(1, 9, 5, 'directory');
  c.setup.ending = true;
  c.users.ensure(1, 9, START);
  const names = c.users.names(1);
  assert.equal(names.userName(42), 'app', 'what was known is');
  c.setup.ending = false;
  files['/etc/passwd'] = 'app:x:42:42::/:/x\nb:x:7:7::/:/x\n';
  c.advance(100);
  c.users.ensure(1, 9, START);
  assert.equal(names.userName(7), 'b', 'through the next process, and not only after five seconds');
});

test('without files only root has a name', async () => {
  using c = container({});
  c.users.ensure(1, 9, START);
  await turn();
  const names = c.users.names(1);
  assert.deepEqual(
    [names.userName(0), names.groupName(0), names.homeDir(0), names.shell(0), names.userName(1)],
    ['root', 'root', '/root', undefined, undefined],
  );
});

test('the container’s own name for 0 counts', async () => {
  using c = container({ '/etc/passwd': 'toor:x:0:0::/:/bin/false\n' });
  c.users.ensure(1, 9, START);
  await turn();
  assert.equal(c.users.names(1).userName(0), 'toor');
});

test('files are read again after a minute, and after five seconds when an id was missed', async () => {
  const files = { '/etc/passwd': 'a:x:1:1::/:/x\n' };
  using c = container(files);
  const again = async (): Promise<number> => {
    c.users.ensure(1, 9, START);
    await turn();
    return c.reads.length / 2;
  };
  assert.equal(await again(), 1);
  c.advance(59_999);
  assert.equal(await again(), 1);
  c.advance(1);
  assert.equal(await again(), 2);
  files['/etc/passwd'] += 'b:x:7:7::/:/x\n';
  c.advance(1000);
  assert.equal(c.users.names(1).userName(7), undefined);
  assert.equal(await again(), 2, 'not twice within five seconds');
  c.advance(4000);
  assert.equal(await again(), 3);
  assert.equal(c.users.names(1).userName(7), 'b');
});

test('a process that ended gives no names: its pid may be another container’s', async () => {
  using c = container({ '/etc/passwd': 'stranger:x:1:1::/:/x\n' });
  c.users.ensure(1, 9, START + 10_000_000n);
  await turn();
  assert.equal(c.users.names(1).userName(1), undefined);
  c.users.ensure(1, 9, START);
  await turn();
  assert.equal(c.reads.length, 2, 'a short rest between attempts');
  c.advance(100);
  c.users.ensure(1, 9, START);
  await turn();
  assert.equal(c.users.names(1).userName(1), 'stranger');
});

test('a file that vanishes leaves what was known', async () => {
  const files: Record<string, string | undefined> = { '/etc/passwd': 'a:x:1:1::/:/x\n' };
  using c = container(files);
  c.users.ensure(1, 9, START);
  await turn();
  files['/etc/passwd'] = undefined;
  c.advance(60_000);
  c.users.ensure(1, 9, START);
  await turn();
  assert.equal(c.users.names(1).userName(1), 'a');
});

test('at most maxContainers are remembered', async () => {
  using c = container({ '/etc/passwd': 'a:x:1:1::/:/x\n' });
  for (const key of [1, 2, 3, 4]) c.users.ensure(key, 9, START);
  await turn();
  assert.equal(c.users.names(4).userName(1), 'a');
  assert.equal(c.users.names(1).userName(1), undefined);
  c.users.forget(4);
  assert.equal(c.users.names(4).userName(1), undefined);
});

test('hostile files: only well-formed entries, the first of an id, made harmless', () => {
  const file = [
    '# comment:x:1:1::/:/x',
    '+::::::',
    'evil\u001b[31m:x:5:5::/home\u0007:/x',
    'late:x:5:5::/:/x',
    'neg:x:-1:0::/:/x',
    'big:x:4294967296:0::/:/x',
    'hex:x:0x10:0::/:/x',
    ':x:6:6::/:/x',
    'short:x:7',
    `long:x:8:8::/${'d'.repeat(5000)}:/x`,
    `name${'n'.repeat(300)}:x:9:9::/:/x`,
    'bad\xff\xfe:x:10:10::/:/x',
    'nul\0:x:11:11::/:/x',
  ].join('\n');
  const entries = parseIdFile(Buffer.from(file, 'latin1'), 7);
  assert.deepEqual([...entries.keys()], [5, 9, 10, 11]);
  assert.equal(entries.get(5)![0], 'evil\u001b[31m');
  assert.equal(entries.get(5)![5], '/home\u0007');
  assert.equal(entries.get(9)![0]!.length, 256);
  assert.equal(entries.get(10)![0], 'bad\udcff\udcfe');
  assert.equal(entries.get(11)![0], 'nul\0');
});

test('entries and bytes are bounded; a line cut by the bound is not taken', () => {
  let many = '';
  for (let i = 0; i < USER_ENTRIES_MAX + 50; i++) many += `u:x:${i}:\n`;
  assert.equal(parseIdFile(Buffer.from(many), 3).size, USER_ENTRIES_MAX);
  const cut = Buffer.alloc(USER_FILE_MAX_BYTES, 'x');
  cut.write('a:x:1:\n');
  cut.write('\nroot:x:2', USER_FILE_MAX_BYTES - 9);
  assert.deepEqual([...parseIdFile(cut, 3).keys()], [1]);
});
