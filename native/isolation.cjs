'use strict';
// The facade of what cuts containers off from the network: as index.cjs, it lays addresses out for the addon.
const net = require('node:net');
const path = require('node:path');

const addon = require('./build/Release/ebpf_loader.node');
const { checkId, checkText } = require('./checks.cjs');

const AF_INET = 2;
const AF_INET6 = 10;
const ADDRESS_BYTES = 20;

/** struct isolate_address (probe/isolate.h) of each address, one after the other. */
function layOutAddresses(addresses) {
  if (!Array.isArray(addresses)) throw new TypeError('addresses must be an array');
  const bytes = new Uint8Array(addresses.length * ADDRESS_BYTES);
  const view = new DataView(bytes.buffer);
  addresses.forEach((address, index) => {
    const at = index * ADDRESS_BYTES;
    const family = net.isIP(address);
    if (family === 0) throw new TypeError(`not an IP address: ${address}`);
    view.setUint32(at, family === 4 ? AF_INET : AF_INET6, true);
    bytes.set(family === 4 ? address.split('.').map(Number) : ipv6Bytes(address), at + 4);
  });
  return bytes;
}

function ipv6Bytes(address) {
  const [text] = address.split('%');
  const words = (part) => (part ? part.split(':').flatMap(wordsOf) : []);
  const [head, tail] = text.split('::').map(words);
  const zeroes = tail === undefined ? [] : Array(8 - head.length - tail.length).fill(0);
  return [...head, ...zeroes, ...(tail ?? [])].flatMap((word) => [word >> 8, word & 255]);
}

/** The words of a group of an IPv6 address, of which the last may be an IPv4 address. */
function wordsOf(group) {
  if (!group.includes('.')) return [parseInt(group, 16)];
  const [a, b, c, d] = group.split('.').map(Number);
  return [(a << 8) | b, (c << 8) | d];
}

class Isolation {
  #handle;

  constructor({ servers = [], objectPath = path.join(__dirname, 'build', 'isolate.bpf.o') } = {}) {
    checkText(objectPath, 'objectPath');
    this.#handle = addon.openIsolation(objectPath, layOutAddresses(servers));
  }

  isolate(cgroupId, directory, addresses = []) {
    checkId(cgroupId, 'cgroupId');
    checkText(directory, 'directory');
    addon.isolate(this.#handle, cgroupId, directory, layOutAddresses(addresses));
  }

  lift(cgroupId) {
    checkId(cgroupId, 'cgroupId');
    addon.liftIsolation(this.#handle, cgroupId);
  }

  isolated() {
    return addon.isolated(this.#handle);
  }

  counts() {
    const [packets, connects] = addon.isolationCounts(this.#handle);
    return { packets, connects };
  }

  close() {
    addon.closeIsolation(this.#handle);
  }
}

module.exports = { Isolation };
