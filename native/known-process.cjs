'use strict';

const { IMAGE_ADOPT } = require('./layout.gen.cjs');

/** A LoaderKnownProcess as the probe's image_adopt program reads it. */
exports.layOutProcess = ({ pid, startNs, name, path, parent }) => {
  const { bytes, fields, pathAt } = IMAGE_ADOPT;
  const args = new Uint8Array(bytes);
  const view = new DataView(args.buffer);
  const isKnown = parent !== undefined && parent !== 'out of scope';
  const room = bytes - pathAt;
  view.setBigUint64(fields.start.at, startNs, true);
  view.setBigUint64(fields.parent_start.at, isKnown ? parent.startNs : 0n, true);
  const numbers = {
    pid,
    parent: isKnown ? parent.pid : 0,
    is_entrant: parent === 'out of scope',
    len: path.length < room ? path.length : 0,
  };
  for (const [field, value] of Object.entries(numbers))
    view.setUint32(fields[field].at, Number(value), true);
  args.set(name.subarray(0, fields.name.bytes - 1), fields.name.at);
  if (path.length < room) args.set(path, pathAt);
  return args;
};
