// The lint rules. `npm run check:lint` runs them by oxlint, a native linter, whose rules with types are tsgolint's.

// Data flows one way, from the kernel to the log: a stage may import the stages before it, never one after it.
export const ORDER = [
  'shared',
  'host',
  'config',
  'probe',
  'events',
  'context',
  'apps',
  'container-files',
  'rules',
  'responses',
  'evaluation',
  'plan',
  'policy',
  'streams',
  'alerts',
  'reading',
  'metrics',
];

// Each third-party package has its room, and no other file of src may import it. Rooms do not overlap.
export const ROOMS = {
  'src/probe/**': ['ebpf-loader-napi'],
  'src/host/**': ['ebpf-loader-napi'],
  'src/config/**': ['yaml', 'zod'],
  'src/apps/runtimes/**': ['dockerode', 'p-queue', '@grpc/grpc-js', '@grpc/proto-loader'],
  'src/rules/compile/**': ['re2js'],
  'src/streams/loggregator/**': ['@grpc/grpc-js', '@grpc/proto-loader'],
  'src/streams/otlp/**': ['@grpc/grpc-js', '@grpc/proto-loader'],
  'src/streams/syslog/**': ['syslog-client'],
  'src/metrics/**': ['pino', 'prom-client'],
};
const PACKAGES = [...new Set(Object.values(ROOMS).flat())];

/** `stage`: whose later stages are fenced off; undefined for what may import them all. `packages`: those with their room here. */
const fence = (files, stage, packages = []) => {
  const index = ORDER.indexOf(stage);
  const later = [...ORDER.slice(index + 1), 'cli', 'agent'].map((name) => `**/${name}/**`);
  const stages = {
    group: [...later, '**/main.ts'],
    message: `src/${stage} may import only ${ORDER.slice(0, index).join(', ') || 'nothing'}`,
  };
  const paths = PACKAGES.filter((name) => !packages.includes(name)).map((name) => {
    const rooms = Object.keys(ROOMS).filter((room) => ROOMS[room].includes(name));
    return { name, message: `${name} has its own room: ${rooms.join(', ')}` };
  });
  const patterns = index < 0 ? [] : [stages];
  return { files: [files], rules: { 'no-restricted-imports': ['error', { paths, patterns }] } };
};

const errors = (names) => Object.fromEntries(names.map((name) => [name, 'error']));

/** Those that read types: only TypeScript has them. */
const TYPED = {
  ...errors(
    [
      'await-thenable',
      'no-array-delete',
      'no-base-to-string',
      'no-deprecated',
      'no-duplicate-type-constituents',
      'no-floating-promises',
      'no-for-in-array',
      'no-generated-empty-object-type',
      'no-implied-eval',
      'no-meaningless-void-operator',
      'no-misused-promises',
      'no-misused-spread',
      'no-mixed-enums',
      'no-redundant-type-constituents',
      'no-unnecessary-boolean-literal-compare',
      'no-unnecessary-condition',
      'no-unnecessary-template-expression',
      'no-unnecessary-type-arguments',
      'no-unnecessary-type-assertion',
      'no-unnecessary-type-conversion',
      'no-unnecessary-type-parameters',
      'no-unsafe-argument',
      'no-unsafe-assignment',
      'no-unsafe-call',
      'no-unsafe-enum-comparison',
      'no-unsafe-member-access',
      'no-unsafe-return',
      'no-unsafe-unary-minus',
      'no-useless-default-assignment',
      'only-throw-error',
      'prefer-promise-reject-errors',
      'prefer-reduce-type-parameter',
      'prefer-return-this-type',
      'related-getter-setter-pairs',
      'require-await',
      'unbound-method',
      'use-unknown-in-catch-callback-variable',
    ].map((name) => `typescript/${name}`),
  ),
  'typescript/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
  'typescript/restrict-plus-operands': [
    'error',
    {
      allowAny: false,
      allowBoolean: false,
      allowNullish: false,
      allowNumberAndString: false,
      allowRegExp: false,
    },
  ],
  'typescript/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
  'typescript/return-await': ['error', 'error-handling-correctness-only'],
};

const UNTYPED = {
  ...errors([
    'no-array-constructor',
    'no-unused-expressions',
    'no-unused-vars',
    'no-useless-constructor',
    'no-var',
    'prefer-const',
    'prefer-rest-params',
    'prefer-spread',
    'typescript/no-duplicate-enum-values',
    'typescript/no-dynamic-delete',
    'typescript/no-empty-object-type',
    'typescript/no-explicit-any',
    'typescript/no-extra-non-null-assertion',
    'typescript/no-extraneous-class',
    'typescript/no-invalid-void-type',
    'typescript/no-misused-new',
    'typescript/no-namespace',
    'typescript/no-non-null-asserted-nullish-coalescing',
    'typescript/no-non-null-asserted-optional-chain',
    'typescript/no-non-null-assertion',
    'typescript/no-require-imports',
    'typescript/no-this-alias',
    'typescript/no-unnecessary-type-constraint',
    'typescript/no-unsafe-declaration-merging',
    'typescript/no-unsafe-function-type',
    'typescript/no-wrapper-object-types',
    'typescript/prefer-as-const',
    'typescript/prefer-literal-enum-member',
    'typescript/prefer-namespace-keyword',
    'typescript/triple-slash-reference',
    'typescript/unified-signatures',
  ]),
  // Hostile text has control characters, and elements of a set are compared as text here.
  'no-control-regex': 'off',
  'typescript/require-array-sort-compare': 'off',
  'typescript/ban-ts-comment': ['error', { minimumDescriptionLength: 10 }],
  'no-restricted-properties': [
    'error',
    { object: 'process', property: 'exit', message: 'only main.ts ends the process' },
    { object: 'process', property: 'argv', message: 'only main.ts reads argv' },
  ],
};

export default {
  plugins: ['typescript'],
  jsPlugins: ['./test/support/lint-plain-literals.mjs'],
  categories: { correctness: 'error' },
  ignorePatterns: [
    '**/node_modules/**',
    '**/dist/**',
    'native/build/**',
    '**/*.gen.ts',
    '**/*.gen.cjs',
    'test/vm/cache/**',
  ],
  rules: UNTYPED,
  overrides: [
    { files: ['**/*.ts'], rules: TYPED },
    { files: ['**/*.cjs'], rules: { 'typescript/no-require-imports': 'off' } },
    {
      files: [
        'src/main.ts',
        'test/**',
        'native/**',
        'buildpack/**',
        'manifests/docs/**',
        'manifests/release/**',
        'manifests/*.mjs',
      ],
      rules: { 'no-restricted-properties': 'off' },
    },
    {
      files: ['test/**/*.ts'],
      rules: {
        'typescript/no-floating-promises': 'off',
        'typescript/no-non-null-assertion': 'off',
      },
    },
    // A file has one duty, and is read in one sitting. The schema is a table.
    {
      files: ['src/**/*.ts', 'test/**/*.ts', 'native/**/*.ts'],
      rules: { 'max-lines': ['error', 400] },
    },
    { files: ['src/config/schema.ts'], rules: { 'max-lines': 'off' } },
    { files: ['src/**/*.ts'], rules: { 'plain-literals/no-literal-spread': 'error' } },
    // The last one that matches a file holds: rooms are below their stage.
    fence('src/**/*.ts'),
    ...ORDER.map((stage) => fence(`src/${stage}/**/*.ts`, stage)),
    ...Object.entries(ROOMS).map(([room, packages]) =>
      fence(`${room}/*.ts`, room.split('/')[1], packages),
    ),
  ],
};
