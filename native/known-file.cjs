'use strict';

const { checkId } = require('./checks.cjs');
const { KNOWN_FILE } = require('./layout.gen.cjs');

/** What the probe's file_identify program reads, and fills in. */
exports.layOutFile = (cgroupId, fd, path) => {
  const { bytes, fields, pathAt } = KNOWN_FILE;
  checkId(cgroupId, 'cgroupId');
  if (!Number.isInteger(fd) || fd < 0) throw new TypeError(`fd is no descriptor: ${fd}`);
  if (!(path instanceof Uint8Array) || path.length === 0 || path.length >= bytes - pathAt)
    throw new TypeError(`the path must be a Uint8Array of 1 to ${bytes - pathAt - 1} bytes`);
  const args = new Uint8Array(bytes);
  const view = new DataView(args.buffer);
  view.setBigUint64(fields.cgroup.at, BigInt(cgroupId), true);
  view.setInt32(fields.fd.at, fd, true);
  view.setUint32(fields.len.at, path.length, true);
  args.set(path, pathAt);
  return args;
};

/** What the file is known by, as text. */
exports.keyOf = (args) => Buffer.from(args.subarray(0, KNOWN_FILE.fields.fd.at)).toString('hex');

/** Such arguments, of its key alone. */
exports.layOutKey = (key) => {
  const { bytes, fields } = KNOWN_FILE;
  const given = Buffer.from(key, 'hex');
  if (given.length !== fields.fd.at || given.toString('hex') !== key)
    throw new TypeError(`no key of a known file: ${key}`);
  const args = new Uint8Array(bytes);
  args.set(given);
  return args;
};
