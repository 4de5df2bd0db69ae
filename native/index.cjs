'use strict';
// The facade: options are checked and laid out here, the addon gets plain values. Errors come from the addon
// (code, errno, operation, detail) or are TypeErrors from here.
const path = require('node:path');

const addon = require('./build/Release/ebpf_loader.node');

const STATES = ['', 'pending', 'included', 'excluded'];
const HANDLES = ['any', 'hex64', 'none'];
const PATTERN_BYTES = 64 + 32 + 32 + 8;
const CONFIG_HEAD_BYTES = 24;
const PATTERNS_MAX = 16;
const LEVEL_MAX = 31;
const READ_MAX = 64 << 20;

function writeText(view, offset, room, text, what) {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length >= room)
    throw new TypeError(`${what} is longer than ${room - 1} bytes: ${text}`);
  view.set(bytes, offset);
  return bytes.length;
}

/** struct probe_config (probe/shared.h) as bytes. */
function layOutConfig(options) {
  const { hierarchy, patterns } = options;
  if (hierarchy?.kind !== 'v2' && hierarchy?.kind !== 'v1-pids') {
    throw new TypeError(`hierarchy.kind must be v2 or v1-pids, not ${hierarchy?.kind}`);
  }
  checkId(hierarchy.id, 'hierarchy.id');
  if (!Array.isArray(patterns)) throw new TypeError('patterns must be an array');
  if (patterns.length > PATTERNS_MAX)
    throw new TypeError(`more than ${PATTERNS_MAX} scope patterns`);
  const bytes = new Uint8Array(addon.configBytes);
  if (bytes.length !== CONFIG_HEAD_BYTES + PATTERNS_MAX * PATTERN_BYTES) {
    throw new TypeError('the addon was built from another probe/shared.h');
  }
  const view = new DataView(bytes.buffer);
  view.setUint32(0, hierarchy.kind === 'v1-pids' ? 1 : 0, true);
  view.setInt32(4, hierarchy.id, true);
  view.setUint32(8, options.threadClones ? 1 : 0, true);
  // An eighth of a ring per epoch: beside the half that whoever comes first may fill, three containers that flood
  // leave room for others. Not less than the largest record (RECORD_MAX).
  view.setUint32(12, Math.max(32768, options.execRingBytes / 8), true);
  view.setUint32(16, Math.max(32768, options.bulkRingBytes / 8), true);
  view.setUint32(20, patterns.length, true);
  patterns.forEach((pattern, index) => {
    const at = CONFIG_HEAD_BYTES + index * PATTERN_BYTES;
    bytes[at + 128] = writeText(bytes, at, 64, pattern.prefix, 'a scope pattern prefix');
    bytes[at + 129] = writeText(
      bytes,
      at + 64,
      32,
      pattern.leafPrefix,
      'a scope pattern leafPrefix',
    );
    bytes[at + 130] = writeText(
      bytes,
      at + 96,
      32,
      pattern.leafSuffix,
      'a scope pattern leafSuffix',
    );
    const handle = HANDLES.indexOf(pattern.handle);
    if (handle < 0) throw new TypeError(`no such handle in a scope pattern: ${pattern.handle}`);
    bytes[at + 131] = handle;
    bytes[at + 132] = pattern.deep ? 1 : 0;
    bytes[at + 133] = pattern.negative ? 1 : 0;
  });
  return bytes;
}

function toEntries(rows) {
  const entries = [];
  for (let i = 0; i < rows.length; i += 11) {
    entries.push({
      cgroupId: rows[i],
      state: STATES[rows[i + 1]],
      emitted: rows[i + 2],
      dropped: rows[i + 3],
      prefiltered: rows[i + 4],
      droppedExec: rows[i + 5],
      droppedShare: rows[i + 6],
      droppedLate: rows[i + 7],
      firstDropBootNs: rows[i + 8],
      lastDropBootNs: rows[i + 9],
      lateNs: rows[i + 10],
    });
  }
  return entries;
}

function checkId(id, what) {
  if (!Number.isSafeInteger(id) || id < 0) throw new TypeError(`${what} is not an id: ${id}`);
}

function checkPaths(root, file) {
  if (typeof root !== 'string') throw new TypeError(`root is not a string: ${root}`);
  if (typeof file !== 'string') throw new TypeError(`file is not a string: ${file}`);
}

function checkMilliseconds(value, what) {
  if (!Number.isInteger(value) || value < 1 || value > 60_000) {
    throw new TypeError(`${what} must be an integer from 1 to 60000, not ${value}`);
  }
}

// Probes between start() and close(): one that nobody else refers to must go on too.
const started = new Set();

class Probe {
  #handle;

  constructor(options) {
    const filled = {
      objectPath: path.join(__dirname, 'build', 'probe.bpf.o'),
      execRingBytes: 1 << 20,
      bulkRingBytes: 1 << 22,
      threadClones: false,
      ...options,
    };
    if (typeof filled.objectPath !== 'string') throw new TypeError('objectPath must be a string');
    for (const name of ['execRingBytes', 'bulkRingBytes']) {
      const bytes = filled[name];
      if (
        !Number.isInteger(bytes) ||
        bytes < 65536 ||
        bytes > 1 << 30 ||
        (bytes & (bytes - 1)) !== 0
      ) {
        throw new TypeError(`${name} must be a power of two from 64 KiB to 1 GiB, not ${bytes}`);
      }
    }
    this.#handle = addon.load(
      filled.objectPath,
      layOutConfig(filled),
      filled.execRingBytes,
      filled.bulkRingBytes,
    );
  }

  attach(name) {
    addon.attach(this.#handle, name);
  }

  detach(name) {
    addon.detach(this.#handle, name);
  }

  attached() {
    return addon.attached(this.#handle, false);
  }

  programs() {
    return addon.attached(this.#handle, true);
  }

  scopeSet(cgroupId, state, level) {
    checkId(cgroupId, 'cgroupId');
    if (!Number.isInteger(level) || level < 0 || level > LEVEL_MAX) {
      throw new TypeError(`level must be an integer from 0 to ${LEVEL_MAX}, not ${level}`);
    }
    const number = STATES.indexOf(state);
    if (number < 1) throw new TypeError(`no such scope state: ${state}`);
    addon.scopeSet(this.#handle, cgroupId, number, level);
  }

  scopeDelete(cgroupId) {
    checkId(cgroupId, 'cgroupId');
    addon.scopeDelete(this.#handle, cgroupId);
  }

  scopeGet(cgroupId) {
    checkId(cgroupId, 'cgroupId');
    return toEntries(addon.scopeGet(this.#handle, cgroupId))[0];
  }

  scopeEntries() {
    return toEntries(addon.scopeEntries(this.#handle));
  }

  nextLossInterval() {
    addon.nextLossInterval(this.#handle);
  }

  setMasks({ opens, messages, env }) {
    addon.setMasks(
      this.#handle,
      (opens.read ? 1 : 0) | (opens.write ? 2 : 0) | (opens.failed ? 4 : 0),
      (messages.newPeer ? 1 : 0) | (messages.other ? 2 : 0),
      env ? 1 : 0,
    );
  }

  start(buffer, onBatch, { tickMs = 2, safetyMs = 200 } = {}) {
    if (!(buffer instanceof ArrayBuffer) || buffer.byteLength < 4 * addon.recordBytes) {
      throw new TypeError(
        `buffer must be an ArrayBuffer of ${4 * addon.recordBytes} bytes or more`,
      );
    }
    if (typeof onBatch !== 'function') throw new TypeError('onBatch must be a function');
    checkMilliseconds(tickMs, 'tickMs');
    checkMilliseconds(safetyMs, 'safetyMs');
    addon.start(this.#handle, buffer, onBatch, tickMs, safetyMs);
    started.add(this);
  }

  drain() {
    return addon.drain(this.#handle);
  }

  stats() {
    const [emitted, dropped, droppedExec, scopeFull, readErrors, awake, epoch] = addon.stats(
      this.#handle,
    );
    return { emitted, dropped, droppedExec, scopeFull, readErrors, awake: awake === 1, epoch };
  }

  close() {
    started.delete(this);
    addon.close(this.#handle);
  }

  [Symbol.dispose ?? Symbol.for('Symbol.dispose')]() {
    this.close();
  }
}

// One by one: this is the form in which ES modules find the names.
exports.Probe = Probe;
exports.wireVersion = addon.wireVersion;
exports.bootTimeNs = addon.bootTimeNs;
exports.selfTest = addon.selfTest;
exports.openInRoot = (root, file, { symlinks = false, directory = false } = {}) => {
  checkPaths(root, file);
  return addon.openInRoot(root, file, symlinks, directory);
};
exports.readInRoot = (root, file, maxBytes, { symlinks = false } = {}) => {
  checkPaths(root, file);
  if (!Number.isInteger(maxBytes) || maxBytes < 0 || maxBytes > READ_MAX) {
    throw new RangeError(`maxBytes must be an integer from 0 to ${READ_MAX}, not ${maxBytes}`);
  }
  return addon.readInRoot(root, file, symlinks, maxBytes);
};
exports.killProcess = (pid, startTicks) => {
  for (const value of [pid, startTicks]) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new TypeError(`pid and startTicks must be whole numbers, not ${value}`);
    }
  }
  addon.killProcess(pid, startTicks);
};
