import tseslint from 'typescript-eslint';

// Data flows one way (DESIGN): a stage may import the stages before it, never one after it.
const ORDER = [
  'shared',
  'config',
  'probe',
  'events',
  'context',
  'apps',
  'rules',
  'plan',
  'policy',
  'responses',
  'streams',
  'alerts',
  'reading',
  'metrics',
];

// Each third-party package has one room.
const ROOMS = {
  'ebpf-loader-napi': ['src/probe/live.ts'],
  dockerode: ['src/apps/**'],
  'p-queue': ['src/apps/**'],
  'syslog-client': ['src/streams/syslog/**'],
  re2js: ['src/rules/compile/**'],
  yaml: ['src/config/**', 'src/policy/**'],
  zod: ['src/config/**', 'src/policy/**', 'src/rules/loader/**'],
  '@grpc/grpc-js': ['src/apps/**', 'src/streams/**'],
  '@grpc/proto-loader': ['src/apps/**', 'src/streams/**'],
  pino: ['src/metrics/**'],
  'prom-client': ['src/metrics/**'],
};

const packagesFor = (roomGlob) =>
  Object.entries(ROOMS)
    .filter(
      ([, rooms]) =>
        !rooms.some((room) => room === roomGlob || room.startsWith(roomGlob.replace(/\*\*$/, ''))),
    )
    .map(([name]) => ({ name, message: `${name} has its own room: ${ROOMS[name].join(', ')}` }));

const stageFence = (stage, index) => ({
  files: [`src/${stage}/**/*.ts`],
  ignores: stage === 'probe' ? ['src/probe/live.ts'] : [],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        paths: packagesFor(`src/${stage}/**`).concat(
          stage === 'probe' ? [{ name: 'ebpf-loader-napi', message: 'only probe/live.ts' }] : [],
        ),
        patterns: [
          {
            group: [
              ...ORDER.slice(index + 1).map((later) => `**/${later}/**`),
              '**/commands/**',
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
  ...ORDER.map(stageFence),
);
