'use strict';
// The facade: checks options and lays them out; the addon gets plain values. Errors come from the addon (code, errno,
// operation, detail) or are TypeErrors from here.
const os = require('node:os');
const path = require('node:path');

const addon = require('./build/Release/ebpf_loader.node');

const layout = require('./layout.gen.cjs');
const { checkId, checkText } = require('./checks.cjs');
const { Isolation } = require('./isolation.cjs');
const { layOutCall, readVerdict } = require('./judged-call.cjs');
const { keyOf, layOutFile, layOutKey } = require('./known-file.cjs');
const { layOutProcess } = require('./known-process.cjs');

const { CONFIG, PATTERN, HANDLES, MASKS, STATES, LEVEL_MAX, PATTERNS_MAX, RECORD_MAX } = layout;
const { VERDICT_TABLES } = layout;
const READ_MAX = 64 << 20;
const CALL_GROUPS = ['calls', 'memory', 'namespaces', 'unix', 'cgroup'];
/** By AWAKE_* (probe/shared.h). */
const WAITS = ['asleep', 'polls', 'dozes'];

/** Writes a text and its length into the fields of a pattern, NUL-terminated. */
function writeText(bytes, at, name, text) {
  const field = PATTERN.fields[name];
  const encoded = Buffer.from(text, 'utf8');
  if (encoded.length >= field.bytes)
    throw new TypeError(
      `a scope pattern ${CAMEL[name]} is longer than ${field.bytes - 1} bytes: ${text}`,
    );
  bytes.set(encoded, at + field.at);
  bytes[at + PATTERN.fields[`${name}_len`].at] = encoded.length;
}

function groupOf(name) {
  const group = CALL_GROUPS.indexOf(name);
  if (group < 0) throw new TypeError(`group must be one of ${CALL_GROUPS.join(', ')}`);
  return group;
}

const CAMEL = { prefix: 'prefix', leaf_prefix: 'leafPrefix', leaf_suffix: 'leafSuffix' };

function kernelIsAtLeast(major, minor) {
  const [, has = 0, and = 0] = (/^(\d+)\.(\d+)/.exec(os.release()) ?? []).map(Number);
  return has > major || (has === major && and >= minor);
}

/** struct probe_config (probe/events.gen.h) as bytes. */
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
  if (bytes.length !== CONFIG.bytes) {
    throw new TypeError('the addon was built from another schema/table.mjs');
  }
  const view = new DataView(bytes.buffer);
  const { fields } = CONFIG;
  view.setUint32(fields.v1_pids.at, hierarchy.kind === 'v1-pids' ? 1 : 0, true);
  view.setUint32(fields.holds_cpu.at, kernelIsAtLeast(6, 15) ? 1 : 0, true);
  view.setInt32(fields.hierarchy_id.at, hierarchy.id, true);
  // An eighth of a ring per epoch, but at least the largest record. Beside the half that is first come, first served, three
  // flooding containers leave room for others.
  view.setUint32(fields.exec_budget.at, Math.max(RECORD_MAX, options.execRingBytes / 8), true);
  view.setUint32(fields.bulk_budget.at, Math.max(RECORD_MAX, options.bulkRingBytes / 8), true);
  view.setUint32(fields.n_patterns.at, patterns.length, true);
  patterns.forEach((pattern, index) => {
    const at = CONFIG.patternsAt + index * PATTERN.bytes;
    for (const [name, key] of Object.entries(CAMEL)) writeText(bytes, at, name, pattern[key]);
    const handle = HANDLES.indexOf(pattern.handle);
    if (handle < 0) throw new TypeError(`no such handle in a scope pattern: ${pattern.handle}`);
    bytes[at + PATTERN.fields.handle.at] = handle;
    bytes[at + PATTERN.fields.deep.at] = pattern.deep ? 1 : 0;
    bytes[at + PATTERN.fields.negative.at] = pattern.negative ? 1 : 0;
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

function checkTable(number, least) {
  if (!Number.isInteger(number) || number < least || number >= VERDICT_TABLES)
    throw new TypeError(`a table must be from ${least} to ${VERDICT_TABLES - 1}, not ${number}`);
}

function checkRules(rules) {
  if (rules >>> 0 !== rules) throw new TypeError(`rules must be 32 bits, not ${rules}`);
}

function checkPaths(root, file) {
  checkText(root, 'root');
  checkText(file, 'file');
}

function checkMilliseconds(value, what) {
  if (!Number.isInteger(value) || value < 1 || value > 60_000) {
    throw new TypeError(`${what} must be an integer from 1 to 60000, not ${value}`);
  }
}

// Probes between start() and close(): keeps those alive that nobody else references.
const started = new Set();

// The arguments of the addon's load.
function toLoad(options) {
  const filled = {
    objectPath: path.join(__dirname, 'build', 'probe.bpf.o'),
    execRingBytes: 1 << 20,
    bulkRingBytes: 1 << 22,
    ...options,
  };
  checkText(filled.objectPath, 'objectPath');
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
  return [
    filled.objectPath,
    layOutConfig(filled),
    filled.execRingBytes,
    filled.bulkRingBytes,
    filled.withVerdictRun === true,
    filled.byCompatExit === true,
  ];
}

class Probe {
  #handle;

  // Only `load` passes `loaded`.
  constructor(options, loaded) {
    this.#handle = loaded ?? addon.load(...toLoad(options));
  }

  static async load(options) {
    return new Probe(options, await addon.loadInThread(...toLoad(options)));
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

  scopeSet(cgroupId, state, level, table) {
    checkId(cgroupId, 'cgroupId');
    if (!Number.isInteger(level) || level < 0 || level > LEVEL_MAX) {
      throw new TypeError(`level must be an integer from 0 to ${LEVEL_MAX}, not ${level}`);
    }
    const number = STATES.indexOf(state);
    if (number < 1) throw new TypeError(`no such scope state: ${state}`);
    if (table !== undefined) checkTable(table, 0);
    addon.scopeSet(this.#handle, cgroupId, number, level, table === undefined ? 0 : table + 1);
  }

  setVerdicts(number, table) {
    checkTable(number, 1);
    if (table !== undefined && !(table instanceof Uint8Array))
      throw new TypeError('the table must be a Uint8Array');
    addon.setVerdicts(this.#handle, number, table);
  }

  suspendVerdicts() {
    addon.suspendVerdicts(this.#handle);
  }

  stopFiltering(only) {
    if (only !== undefined) checkTable(only, 1);
    addon.stopFiltering(this.#handle, only ?? 0);
  }

  copyVerdicts(from, to, rules) {
    checkTable(from, 1);
    checkTable(to, 1);
    checkRules(rules);
    addon.copyVerdicts(this.#handle, from, to, rules);
  }

  allowRules(number, rules) {
    checkTable(number, 1);
    checkRules(rules);
    addon.allowRules(this.#handle, number, rules);
  }

  denyConnects(directory, objectPath = path.join(__dirname, 'build', 'deny-connects.bpf.o')) {
    checkText(directory, 'directory');
    checkText(objectPath, 'objectPath');
    addon.denyConnects(this.#handle, objectPath, directory);
  }

  allowConnects() {
    addon.allowConnects(this.#handle);
  }

  denyFiles(objectsPath = path.join(__dirname, 'build')) {
    checkText(objectsPath, 'objectsPath');
    const [opens, paths] = ['deny-opens', 'deny-paths'].map((name) =>
      path.join(objectsPath, `${name}.bpf.o`),
    );
    addon.denyFiles(this.#handle, opens, paths);
  }

  allowFiles() {
    addon.allowFiles(this.#handle);
  }

  knowFile(cgroupId, fd, path) {
    const args = layOutFile(cgroupId, fd, path);
    addon.knowFile(this.#handle, args);
    return keyOf(args);
  }

  forgetFile(key) {
    addon.forgetFile(this.#handle, layOutKey(key));
  }

  denyCalls(group = 'calls', directory = '') {
    checkText(directory, 'directory');
    const number = groupOf(group);
    const objectPath = path.join(__dirname, 'build', `deny-${group}.bpf.o`);
    addon.denyCalls(this.#handle, number, objectPath, directory);
  }

  allowCalls(group = 'calls') {
    addon.allowCalls(this.#handle, groupOf(group));
  }

  pin(directory) {
    checkText(directory, 'directory');
    addon.pin(this.#handle, directory);
  }

  unpin() {
    addon.unpin(this.#handle);
  }

  noteSeen(denyMs = 0) {
    checkId(denyMs, 'denyMs');
    addon.noteSeen(this.#handle, denyMs);
  }

  runVerdict(table, call) {
    checkTable(table, 1);
    const args = layOutCall(table, call);
    addon.runVerdict(this.#handle, args);
    return readVerdict(args);
  }

  adoptProcess(known) {
    addon.adoptImage(this.#handle, layOutProcess(known));
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

  filtered() {
    return addon.filtered(this.#handle);
  }

  nextLossInterval() {
    addon.nextLossInterval(this.#handle);
  }

  setMasks({ opens, messages, dups, sockets, env }) {
    addon.setMasks(
      this.#handle,
      (opens.read ? MASKS.OPEN_READ : 0) |
        (opens.write ? MASKS.OPEN_WRITE : 0) |
        (opens.failed ? MASKS.OPEN_FAILED : 0),
      (messages.newPeer ? MASKS.MESSAGE_NEW_PEER : 0) |
        (messages.other ? MASKS.MESSAGE_OTHER : 0) |
        (dups.network ? MASKS.DUP_NETWORK : 0) |
        (dups.other ? MASKS.DUP_OTHER : 0) |
        (sockets.ordinary ? MASKS.SOCKET_ORDINARY : 0) |
        (sockets.local ? MASKS.SOCKET_LOCAL : 0) |
        (sockets.other ? MASKS.SOCKET_OTHER : 0),
      env ? 1 : 0,
    );
  }

  start(buffer, onBatch, { tickMs = 2, dozeMs = Math.max(tickMs, 16), safetyMs = 200 } = {}) {
    if (!(buffer instanceof ArrayBuffer) || buffer.byteLength < 4 * addon.recordBytes) {
      throw new TypeError(
        `buffer must be an ArrayBuffer of ${4 * addon.recordBytes} bytes or more`,
      );
    }
    if (typeof onBatch !== 'function') throw new TypeError('onBatch must be a function');
    checkMilliseconds(tickMs, 'tickMs');
    checkMilliseconds(dozeMs, 'dozeMs');
    checkMilliseconds(safetyMs, 'safetyMs');
    addon.start(this.#handle, buffer, onBatch, tickMs, dozeMs, safetyMs);
    started.add(this);
  }

  drain() {
    return addon.drain(this.#handle);
  }

  skipped() {
    return addon.skipped(this.#handle);
  }

  forgetRefusals(olderMs) {
    checkId(olderMs, 'olderMs');
    return addon.forgetRefusals(this.#handle, olderMs);
  }

  stats() {
    const [
      emitted,
      dropped,
      droppedExec,
      scopeFull,
      readErrors,
      denied,
      awake,
      epoch,
      waitingSince,
    ] = addon.stats(this.#handle);
    return {
      emitted,
      dropped,
      droppedExec,
      scopeFull,
      readErrors,
      deniedDropped: denied,
      waits: WAITS[awake],
      epoch,
      waitingSinceBootNs: waitingSince < 2 ** 63 ? waitingSince : undefined,
    };
  }

  close() {
    started.delete(this);
    addon.close(this.#handle);
  }

  [Symbol.dispose ?? Symbol.for('Symbol.dispose')]() {
    this.close();
  }
}

// One by one, because ES modules detect the names only in this form.
exports.Probe = Probe;
exports.Isolation = Isolation;
exports.wireVersion = addon.wireVersion;
exports.levelMax = LEVEL_MAX;
exports.bootTimeNs = addon.bootTimeNs;

exports.unseenDenials = (directory) => {
  checkText(directory, 'directory');
  return pinnedScope(directory).flatMap(({ cgroupId, count }) =>
    count > 0 ? [{ cgroupId, count }] : [],
  );
};
exports.pinnedScope = (directory) => {
  checkText(directory, 'directory');
  return pinnedScope(directory);
};
exports.allowPinned = (directory, cgroupId, level) => {
  checkText(directory, 'directory');
  checkId(cgroupId, 'cgroupId');
  checkId(level, 'level');
  addon.allowPinned(directory, cgroupId, level);
};
exports.pinnedTable = (directory, number) => {
  checkText(directory, 'directory');
  checkTable(number, 1);
  try {
    return addon.pinnedTable(directory, number);
  } catch (error) {
    if (error.code === 'ESRCH') return undefined;
    throw error;
  }
};
exports.allowPinnedRules = (directory, number, rules) => {
  checkText(directory, 'directory');
  checkTable(number, 1);
  checkId(rules, 'rules');
  addon.allowPinnedRules(directory, number, rules);
};
const pinnedScope = (directory) => {
  const rows = addon.pinnedScope(directory);
  return Array.from({ length: rows.length / 3 }, (_, at) => ({
    cgroupId: rows[3 * at],
    table: rows[3 * at + 1],
    count: rows[3 * at + 2],
  }));
};
exports.threadCpuMs = addon.threadCpuMs;
exports.trimHeap = addon.trimHeap;
exports.selfTest = addon.selfTest;
exports.runFirstProcess = addon.runFirstProcess;
exports.tryExecutableMemory = addon.tryExecutableMemory;
exports.addonPath = require.resolve('./build/Release/ebpf_loader.node');
exports.openInRoot = (root, file, { symlinks = false, directory = false } = {}) => {
  checkPaths(root, file);
  return addon.openInRoot(root, file, symlinks, directory);
};
exports.findInRoot = (root, file, { mounts = false } = {}) => {
  checkPaths(root, file);
  return addon.findInRoot(root, file, mounts);
};
exports.readInRoot = (root, file, maxBytes, { symlinks = false } = {}) => {
  checkPaths(root, file);
  if (!Number.isInteger(maxBytes) || maxBytes < 0 || maxBytes > READ_MAX) {
    throw new RangeError(`maxBytes must be an integer from 0 to ${READ_MAX}, not ${maxBytes}`);
  }
  return addon.readInRoot(root, file, symlinks, maxBytes);
};
const checkNumbers = (...values) => {
  for (const value of values) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new TypeError(`pid, startTicks and descriptors must be whole numbers, not ${value}`);
    }
  }
};
exports.killProcess = (pid, startTicks) => {
  checkNumbers(pid, startTicks);
  addon.killProcess(pid, startTicks);
};
exports.notifyManager = (socket, message) => {
  checkText(socket, 'socket');
  checkText(message, 'message');
  addon.notifyManager(socket, message);
};
exports.socketsOf = (pid, startTicks, fds) => {
  checkNumbers(pid, startTicks, ...fds);
  const rows = addon.socketsOf(pid, startTicks, fds);
  return rows.map(([fd, domain, type, protocol, state, connected, local, remote]) => ({
    fd,
    domain,
    type,
    protocol,
    state,
    connected,
    local,
    remote,
  }));
};
exports.openMemoryFile = addon.openMemoryFile;
exports.testIsolation = (directory) => {
  checkText(directory, 'directory');
  addon.testIsolation(directory);
};
