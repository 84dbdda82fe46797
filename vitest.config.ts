import { fileURLToPath } from 'node:url';
import swc from 'unplugin-swc';
import { defineConfig } from 'vitest/config';

const root = fileURLToPath(new URL('.', import.meta.url));

const alias = [
  { find: /^@core\/(.+)$/, replacement: `${root}libs/$1/src/index.ts` },
  { find: /^@io\/(.+)$/, replacement: `${root}libs/$1/src/io/index.ts` },
];

/** Nest needs decorator metadata, which only a transformer that knows types' names can emit. */
const plugins = [
  swc.vite({
    jsc: {
      target: 'es2023',
      parser: { syntax: 'typescript', decorators: true },
      transform: { legacyDecorator: true, decoratorMetadata: true },
    },
    module: { type: 'es6' },
  }),
];

const project = (name: string, include: string[], test: Record<string, unknown> = {}) => ({
  plugins,
  resolve: { alias },
  test: {
    name,
    include,
    environment: 'node',
    setupFiles: ['test/support/after-file.setup.ts'],
    ...test,
  },
});

/**
 * The files of one process share what they import, since importing takes as long as testing. So a test leaves nothing in
 * a module: it restores what it spied on and what it set in the environment.
 */
const sharesModules = { isolate: false };

/** They run the api in their process, and with its specs, whose imports they share. */
const STORIES = 'test/scenarios/stories/**/*.spec.ts';

const withServices = {
  globalSetup: ['test/support/global-setup.ts'],
  testTimeout: 60_000,
  hookTimeout: 60_000,
};

export default defineConfig({
  test: {
    maxWorkers: 3,
    projects: [
      project('unit', ['libs/**/*.spec.ts', 'apps/**/*.spec.ts', 'scripts/**/*.spec.ts'], {
        // Property tests take seconds on a machine that has other work; a time limit is no test.
        testTimeout: 60_000,
        ...sharesModules,
        exclude: ['**/*.db.spec.ts', '**/*.race.spec.ts', '**/node_modules/**', '**/dist/**'],
      }),
      project('db', ['libs/**/*.db.spec.ts', 'libs/**/*.race.spec.ts'], {
        ...withServices,
        ...sharesModules,
      }),
      project('api', ['test/api/**/*.spec.ts', STORIES], { ...withServices, ...sharesModules }),
      project('scenario', ['test/scenarios/**/*.spec.ts', 'test/gateways/**/*.spec.ts'], {
        ...withServices,
        testTimeout: 180_000,
        // Several processes start in some of them, beside those of two other files.
        hookTimeout: 180_000,
        ...sharesModules,
        exclude: [STORIES],
      }),
    ],
  },
});
