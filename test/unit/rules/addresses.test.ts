import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatIp, netContains, parseIp, parseNet } from '../../../src/rules/fields/ip.ts';

describe('addresses', () => {
  test('one spelling for each', () => {
    const canonical = (text: string) => {
      const address = parseIp(text);
      return address === undefined ? undefined : formatIp(address);
    };
    assert.equal(canonical('1.2.3.4'), '1.2.3.4');
    assert.equal(canonical('255.255.255.255'), '255.255.255.255');
    assert.equal(canonical('::'), '::');
    assert.equal(canonical('2001:DB8:0:0:1:0:0:1'), '2001:db8::1:0:0:1');
    assert.equal(canonical('2001:db8:0:1:1:1:1:1'), '2001:db8:0:1:1:1:1:1');
    assert.equal(canonical('::ffff:1.2.3.4'), '1.2.3.4');
    assert.equal(canonical('::ffff:0102:0304'), '1.2.3.4');
    for (const wrong of [
      '',
      '1.2.3',
      '1.2.3.256',
      '1:2',
      ':::',
      '1::2::3',
      '12345::',
      '1.2.3.4::',
      'g::',
    ]) {
      assert.equal(canonical(wrong), undefined, wrong);
    }
  });

  test('networks', () => {
    const within = (net: string, ip: string) => netContains(parseNet(net)!, parseIp(ip)!);
    assert.equal(within('10.0.0.0/8', '10.255.1.2'), true);
    assert.equal(within('10.0.0.0/8', '11.0.0.0'), false);
    assert.equal(within('0.0.0.0/0', '255.1.1.1'), true);
    assert.equal(within('0.0.0.0/0', '::1'), false);
    assert.equal(within('fd00::/8', 'fdff::1'), true);
    assert.equal(within('fd00::/8', 'fe00::1'), false);
    assert.equal(within('::1/128', '::1'), true);
    assert.equal(within('::ffff:10.0.0.0/104', '10.1.1.1'), true);
    assert.equal(parseNet('::ffff:10.0.0.0/8'), undefined);
  });
});
