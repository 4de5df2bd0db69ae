import { readFileSync } from 'node:fs';

/** The flags with which what is shipped starts Node: those of its wrapper, so that the benches measure the same. */
export const SHIPPED_NODE_FLAGS = [
  /--max-semi-space-size=\d+/.exec(readFileSync('manifests/bundle.sh', 'utf8'))?.[0] ??
    'manifests/bundle.sh has no flags',
];
