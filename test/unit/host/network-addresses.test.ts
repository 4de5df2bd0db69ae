import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { addressesOf, nameServers } from '../../../src/host/network-addresses.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-addresses-'));
after(() => rmSync(folder, { recursive: true, force: true }));

// As Linux 6.18 prints them (net/ipv4/fib_trie.c, net/ipv6/addrconf.c).
const TRIE = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
     +-- 172.17.0.0/16 2 0 2
        |-- 172.17.0.0
           /16 link UNICAST
        |-- 172.17.0.2
           /32 host LOCAL
        |-- 172.17.255.255
           /32 link BROADCAST
Local:
  +-- 0.0.0.0/0 3 0 5
        |-- 172.17.0.2
           /32 host LOCAL
`;
const INET6 = `00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000002 05 40 00 80     eth0
fe800000000000000042acfffe110002 05 40 20 80     eth0
`;

test('a container’s own addresses, but for loopback', () => {
  mkdirSync(join(folder, '7', 'net'), { recursive: true });
  writeFileSync(join(folder, '7', 'net', 'fib_trie'), TRIE);
  writeFileSync(join(folder, '7', 'net', 'if_inet6'), INET6);
  assert.deepEqual(addressesOf(7, folder), [
    '172.17.0.2',
    '2001:0db8:0000:0000:0000:0000:0000:0002',
    'fe80:0000:0000:0000:0042:acff:fe11:0002',
  ]);
  assert.deepEqual(addressesOf(8, folder), [], 'it has ended');
});

test('at most 64 of them, and none of a list without end', () => {
  mkdirSync(join(folder, '9', 'net'), { recursive: true });
  const many = Array.from(
    { length: 100 },
    (_, n) => `     |-- 10.0.0.${n}\n        /32 host LOCAL\n`,
  );
  writeFileSync(join(folder, '9', 'net', 'fib_trie'), many.join(''));
  assert.equal(addressesOf(9, folder).length, 64);
  writeFileSync(join(folder, '9', 'net', 'fib_trie'), many.join('').repeat(20));
  assert.deepEqual(addressesOf(9, folder), []);
});

test('the host’s name servers, but for loopback and what is no address; at most 8', () => {
  const file = join(folder, 'resolv.conf');
  const write = (text: string): readonly string[] => {
    writeFileSync(file, text);
    return nameServers(file);
  };
  assert.deepEqual(
    write(
      '# nameserver 192.0.2.9\nsearch x\nnameserver 127.0.0.53\nnameserver\t169.254.0.2 # bosh\nnameserver fd00::53%eth0\nnameserver ::1\nnameserver 169.254.0.2\nnameserver example\nnameserver 1.2.3\n',
    ),
    ['169.254.0.2', 'fd00::53'],
  );
  assert.equal(
    write(Array.from({ length: 20 }, (_, n) => `nameserver 10.0.0.${n}\n`).join('')).length,
    8,
  );
  assert.deepEqual(nameServers(join(folder, 'none')), []);
});
