import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatIpv4,
  formatIpv6,
  formatUnixPath,
  parseSockaddr,
} from '../../../src/events/address.ts';
import { encodeText } from '../../../src/shared/text.ts';

function ipv6(text: string): Buffer {
  const groups = text.split(':').map((group) => parseInt(group, 16));
  const bytes = Buffer.alloc(16);
  groups.forEach((group, i) => bytes.writeUInt16BE(group, 2 * i));
  return bytes;
}

test('IPv4 as dotted quad', () => {
  assert.equal(formatIpv4(Buffer.from([9, 169, 254, 0, 255]), 1), '169.254.0.255');
});

test('IPv6 as RFC 5952 has it', () => {
  const cases = [
    ['0:0:0:0:0:0:0:0', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'], // of two equal runs the first (4.2.3)
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'], // one zero group is no run (4.2.2)
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'], // the longest run (4.2.3)
    ['fe80:0:0:0:ab:cd:ef:1', 'fe80::ab:cd:ef:1'],
    ['0:0:0:0:0:ffff:a9fe:a9fe', '::ffff:169.254.169.254'], // (5)
  ] as const;
  for (const [groups, text] of cases) assert.equal(formatIpv6(ipv6(groups), 0), text);
});

test('IPv6 as the URL parser serialises it', () => {
  const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
  fc.assert(
    fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
      const text = groups.map((one) => one.toString(16)).join(':');
      fc.pre(!/^(0:){5}ffff:/.test(text)); // URLs write mapped addresses in hexadecimal
      assert.equal(`[${formatIpv6(ipv6(text), 0)}]`, new URL(`http://[${text}]/`).hostname);
    }),
    { numRuns: 500 },
  );
});

test('unix paths: ended by NUL, or abstract', () => {
  assert.equal(formatUnixPath(Buffer.from('/run/x.sock\0\0junk')), '/run/x.sock');
  assert.equal(formatUnixPath(Buffer.from('/no/end')), '/no/end');
  assert.equal(formatUnixPath(Buffer.from('\0name\0more\n')), '@name\0more\n');
  assert.equal(formatUnixPath(Buffer.alloc(0)), '');
});

test('socket addresses of every family, and too short ones', () => {
  const inet = Buffer.from([2, 0, 0x1f, 0x90, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual(parseSockaddr(inet), { family: 2, ip: '10.0.0.1', port: 8080, unixPath: '' });
  assert.deepEqual(parseSockaddr(inet.subarray(0, 7)), {
    family: 2,
    ip: '',
    port: 0,
    unixPath: '',
  });
  const inet6 = Buffer.concat([
    Buffer.from([10, 0, 0, 53, 0, 0, 0, 0]),
    ipv6('0:0:0:0:0:0:0:1'),
    Buffer.alloc(4),
  ]);
  assert.deepEqual(parseSockaddr(inet6), { family: 10, ip: '::1', port: 53, unixPath: '' });
  assert.deepEqual(parseSockaddr(inet6.subarray(0, 23)), {
    family: 10,
    ip: '',
    port: 0,
    unixPath: '',
  });
  const unix = Buffer.concat([Buffer.from([1, 0]), Buffer.from('/x\0')]);
  assert.deepEqual(parseSockaddr(unix), { family: 1, ip: '', port: 0, unixPath: '/x' });
  assert.deepEqual(parseSockaddr(Buffer.from([16, 0, 1])), {
    family: 16,
    ip: '',
    port: 0,
    unixPath: '',
  });
  assert.equal(parseSockaddr(Buffer.from([2])), undefined);
  assert.equal(parseSockaddr(Buffer.alloc(0)), undefined);
});

test('any bytes of a caller are read, and a unix path keeps each of its bytes', () => {
  const family = fc.oneof(fc.constantFrom(1, 2, 10), fc.nat(0xffff));
  fc.assert(
    fc.property(family, fc.uint8Array({ maxLength: 126 }), (number, rest) => {
      const bytes = Buffer.concat([Buffer.of(number & 0xff, number >> 8), rest]);
      const address = parseSockaddr(bytes);
      assert.equal(address?.family, number);
      if (number === 1 && rest[0] !== 0) {
        const end = rest.indexOf(0);
        const path = rest.subarray(0, end < 0 ? undefined : end);
        assert.deepEqual(encodeText(address.unixPath), Buffer.from(path));
      }
      if (number === 1 && rest[0] === 0) {
        assert.deepEqual(
          encodeText(address.unixPath),
          Buffer.concat([Buffer.from('@'), rest.subarray(1)]),
        );
      }
      if (number !== 1) assert.equal(address.unixPath, '');
    }),
  );
});
