/** The dependency rule (docs/adr/0001): src/ is pure, src/io/ touches the world, doors only, one order of libs. */
const CORE = '^libs/[^/]+/src/(?!io/)';
const SPEC = '\\.spec\\.ts$';

/** Which libs each lib may use. `platform` is open to every io; gateway-plugin sees pure doors only. */
const MAY_USE = {
  kernel: [],
  pricing: ['kernel'],
  limits: ['kernel', 'platform'],
  platform: ['kernel'],
  identity: ['kernel', 'platform'],
  notifications: ['kernel', 'platform', 'identity'],
  catalog: ['kernel', 'limits', 'pricing', 'platform', 'identity'],
  metering: ['kernel', 'limits', 'pricing', 'catalog', 'notifications', 'platform', 'identity'],
  billing: [
    'kernel',
    'limits',
    'pricing',
    'catalog',
    'metering',
    'notifications',
    'platform',
    'identity',
  ],
  marketplace: [
    'kernel',
    'limits',
    'pricing',
    'catalog',
    'metering',
    'billing',
    'notifications',
    'platform',
    'identity',
  ],
  'gateway-plugin': ['kernel', 'limits'],
};

const libOrder = Object.entries(MAY_USE).map(([lib, others]) => ({
  name: `lib-order-${lib}`,
  comment:
    'Order of libs: kernel <- pricing, limits <- catalog, metering <- billing <- marketplace.',
  severity: 'error',
  from: { path: `^libs/${lib}/`, pathNot: SPEC },
  to: { path: '^libs/', pathNot: [`^libs/${lib}/`, ...others.map((other) => `^libs/${other}/`)] },
}));

export default {
  forbidden: [
    {
      name: 'core-is-pure',
      comment: 'Rules take values and return values. Load them in io/ and pass them in.',
      severity: 'error',
      from: { path: CORE, pathNot: [SPEC, '^libs/gateway-plugin/'] },
      to: {
        pathNot: [CORE, '^node_modules/(decimal\\.js|temporal-polyfill|temporal-spec)/', '^assert'],
      },
    },
    {
      name: 'arithmetic-libraries-from-kernel-only',
      severity: 'error',
      from: { pathNot: ['^libs/kernel/', '^node_modules/'] },
      to: { path: '^node_modules/(decimal\\.js|temporal-polyfill)/' },
    },
    {
      name: 'plugin-stands-alone',
      comment: 'The npm package that a gateway installs carries no framework of ours.',
      severity: 'error',
      from: { path: '^libs/gateway-plugin/src/', pathNot: SPEC },
      to: {
        path: ['^node_modules/(@nestjs|@prisma|bullmq|ioredis|pg)/', '^libs/[^/]+/src/io/'],
        pathNot: '^libs/gateway-plugin/',
      },
    },
    {
      name: 'doors-only',
      comment: 'Use another lib through its index.ts: @core/<lib> or @io/<lib>.',
      severity: 'error',
      from: { path: '^(?:libs|apps)/([^/]+)/' },
      to: { path: '^libs/(?!$1/)', pathNot: '^libs/[^/]+/src/(?:io/)?index\\.ts$' },
    },
    {
      name: 'libs-know-no-app',
      severity: 'error',
      from: { path: '^libs/' },
      to: { path: '^apps/' },
    },
    {
      name: 'apps-share-libs-only',
      severity: 'error',
      from: { path: '^apps/([^/]+)/' },
      to: { path: '^apps/(?!$1/)' },
    },
    {
      name: 'security-uses-system-clock',
      comment: 'A test clock must not move sessions, tokens or signatures (docs/adr/0008).',
      severity: 'error',
      from: { path: '^libs/platform/src/io/security/' },
      to: { path: 'business-clock' },
    },
    {
      name: 'cli-stands-alone',
      comment: 'The npm package that people install beside a gateway carries no framework of ours.',
      severity: 'error',
      from: { path: '^apps/cli/src/', pathNot: SPEC },
      to: { path: ['^node_modules/(@nestjs|@prisma|bullmq|ioredis|pg)/', '^libs/[^/]+/src/io/'] },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    ...libOrder,
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules|/generated/' },
    exclude: { path: '/generated/|/dist/' },
  },
};
