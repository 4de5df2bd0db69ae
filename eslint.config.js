import tseslint from 'typescript-eslint';

// Data flows one way, from the kernel to the log: a stage may import the stages before it, never one after it.
const ORDER = [
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
const ROOMS = {
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

/** A rule of its own: another configuration of `no-restricted-imports` for the same file would replace this one. */
const roomFence = (files, packages) => ({
  files: [files],
  rules: {
    '@typescript-eslint/no-restricted-imports': [
      'error',
      ...PACKAGES.filter((name) => !packages.includes(name)).map((name) => {
        const rooms = Object.keys(ROOMS).filter((room) => ROOMS[room].includes(name));
        return { name, message: `${name} has its own room: ${rooms.join(', ')}` };
      }),
    ],
  },
});

const stageFence = (stage, index) => ({
  files: [`src/${stage}/**/*.ts`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            group: [
              ...ORDER.slice(index + 1).map((later) => `**/${later}/**`),
              '**/cli/**',
              '**/agent/**',
              '**/main.ts',
            ].filter((pattern) => pattern !== `**/${stage}/**`),
            message: `src/${stage} may import only ${ORDER.slice(0, index).join(', ') || 'nothing'}`,
          },
        ],
      },
    ],
  },
});

export default tseslint.config(
  {
    ignores: [
      '**/node_modules/**',
      '**/dist/**',
      'native/build/**',
      '**/*.gen.ts',
      '**/*.gen.cjs',
      'test/vm/cache/**',
    ],
  },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: {
          allowDefaultProject: [
            '*.js',
            'native/*.cjs',
            'native/schema/*.mjs',
            'test/support/*.mjs',
            'buildpack/*.mjs',
          ],
        },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'exit', message: 'only main.ts ends the process' },
        { object: 'process', property: 'argv', message: 'only main.ts reads argv' },
      ],
    },
  },
  { files: ['**/*.js', '**/*.mjs', '**/*.cjs'], ...tseslint.configs.disableTypeChecked },
  { files: ['**/*.cjs'], rules: { '@typescript-eslint/no-require-imports': 'off' } },
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
      '@typescript-eslint/no-floating-promises': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  // A file has one duty, and is read in one sitting. The schema is a table.
  {
    files: ['src/**/*.ts', 'test/**/*.ts', 'native/**/*.ts'],
    ignores: ['src/config/schema.ts'],
    rules: { 'max-lines': ['error', 400] },
  },
  // One property a line is what the formatter makes of a long object: a spread of a literal only hides that.
  {
    files: ['src/**/*.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: 'ObjectExpression > SpreadElement > ObjectExpression.argument',
          message: 'Write the properties themselves.',
        },
        {
          selector: 'ArrayExpression > SpreadElement > ArrayExpression.argument',
          message: 'Write the elements themselves.',
        },
      ],
    },
  },
  ...ORDER.map(stageFence),
  roomFence('src/**/*.ts', []),
  ...Object.entries(ROOMS).map(([room, packages]) => roomFence(room, packages)),
);
