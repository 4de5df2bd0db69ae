'use strict';

// Made-up calls for runVerdict, as the probe's verdict_run program reads them.

const { GIVEN_ANCESTOR, VERDICT_RUN } = require('./layout.gen.cjs');

const NUMBER_UNKNOWN = 2n ** 64n - 1n;
/** As in native/probe/verdict-ancestors.h. */
const ANCESTOR_KNOWN = 1;
const ANCESTOR_NONE = 2;
const NOTHING = new Uint8Array();

/** The argument of the program for a LoaderJudgedCall. */
exports.layOutCall = (table, call) => {
  const { kind, directory, dots = false, layer, path, program } = call;
  const { argv = [], env = [], standard = 0, thread, address, port = 0 } = call;
  const words = joined(argv);
  const variables = joined(env);
  const { bytes, fields, pathAt, programAt, argvAt, envAt, ancestorsAt } = VERDICT_RUN;
  const args = new Uint8Array(bytes);
  const view = new DataView(args.buffer);
  const {
    path: programPath = NOTHING,
    layer: programLayer = 0,
    loads = true,
    name = NOTHING,
    age,
    parentAge,
    insideAge,
    fromOutside,
    vpid,
    parentVpid,
    ancestors = [],
  } = program ?? {};
  const numbers = {
    table,
    kind,
    directory,
    dots,
    layer,
    len: path.length,
    address_len: address?.length ?? 0,
    port,
    argv_len: words.length,
    standard,
    env_len: variables.length,
    program_known: program !== undefined,
    program_len: programPath.length,
    program_layer: programLayer,
    program_loads: loads,
  };
  for (const [field, value] of Object.entries(numbers))
    view.setUint32(fields[field].at, Number(value), true);
  const wide = {
    age,
    parent_age: parentAge,
    inside_age: insideAge,
    from_outside: fromOutside === false ? 0n : undefined,
    vpid,
    parent_vpid: parentVpid,
  };
  for (const [field, number] of Object.entries(wide))
    view.setBigUint64(fields[field].at, number ?? NUMBER_UNKNOWN, true);
  for (const [field, text] of Object.entries({ program_name: name, thread, address }))
    if (text !== undefined) args.set(text.subarray(0, fields[field].bytes), fields[field].at);
  args.set(path.subarray(0, programAt - pathAt), pathAt);
  args.set(programPath.subarray(0, argvAt - programAt), programAt);
  args.set(words.subarray(0, envAt - argvAt), argvAt);
  args.set(variables.subarray(0, ancestorsAt - envAt), envAt);
  layOutAncestors(args.subarray(ancestorsAt), ancestors);
  return args;
};

/** Each with its end. */
const joined = (words) => Buffer.concat(words.flatMap((word) => [word, Buffer.of(0)]));

/** Those for which there is no room are not known. */
function layOutAncestors(bytes, ancestors) {
  const { fields, pathAt, bytes: size } = GIVEN_ANCESTOR;
  for (const [index, one] of ancestors.slice(0, bytes.length / size).entries()) {
    const given = bytes.subarray(index * size, (index + 1) * size);
    const view = new DataView(given.buffer, given.byteOffset, given.length);
    view.setUint32(fields.found.at, one === 'none' ? ANCESTOR_NONE : ANCESTOR_KNOWN, true);
    if (one === 'none') return;
    view.setUint32(fields.len.at, one.path.length, true);
    view.setUint32(fields.loads.at, Number(one.loads ?? true), true);
    view.setBigUint64(fields.age.at, one.age ?? NUMBER_UNKNOWN, true);
    given.set(one.name.subarray(0, fields.name.bytes), fields.name.at);
    given.set(one.path.subarray(0, size - pathAt), pathAt);
  }
}

/** What the program has written into its argument. */
exports.readVerdict = (args) => {
  const view = new DataView(args.buffer);
  const { passes, failing, denies } = VERDICT_RUN.fields;
  return {
    passes: view.getInt32(passes.at, true),
    failing: view.getUint32(failing.at, true),
    denies: view.getUint32(denies.at, true),
  };
};
