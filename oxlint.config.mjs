// Lint rules, and the layers of src/ as a table: which folder may not import which, and why.
// A JavaScript file, because one JSON rule per folder would repeat every sentence below a dozen times.

const WHY = {
  main: 'src/main.ts is where a process begins; nothing is built on top of it.',
  index: 'src/index.ts is the door for other programs; inside the project import the file itself.',
  cli: 'A command is the outermost layer: it calls the service, nothing calls a command.',
  service: 'The service puts the parts together; a part that reaches for the whole can not be built or tested alone.',
  backend: 'What is behind the HTTP service is handed to it by src/service.ts.',
  app: 'The app is handed its parts; a part that imports the app closes a circle.',
  routesStandAlone:
    'No route imports another; what they share is in files that register no route: *schemas.ts, *parameters.ts, live.ts.',
  storeKnowsNoHttp: 'The store does not know HTTP: return data or throw an AppError, and let the route answer.',
  storeReports:
    'The store reports to its observers; what is counted is decided in src/metrics and wired in src/app.ts.',
  partsAreHandedOver: 'Routes and edges are handed bound functions; only types may come from src/db.',
  metricsAreHandedOver: 'Metrics subscribe in src/app.ts; routes and edges know at most their types.',
  edgeServesAll: 'An edge plugin serves every route, so it may know none of them.',
  metricsListen: 'A metric counts what it is told; only types may come from where it is told.',
  contractIsBelow:
    'src/contract checks and shapes values, so that routes and commands can share it; it serves nothing.',
  storeIsHandedChecked: 'The store is handed values that src/contract has checked; it does not know requests.',
  followKnowsEvents: 'Following knows events and how to wait for them; src/http and the routes make answers of that.',
  storeIsFollowed: 'The store is followed; it does not know by whom.',
  backupIsNoServer: 'A backup knows stores and files; what asks for it over HTTP or shows it is above it.',
  storeIsBackedUp: 'The store is backed up; it does not know by what.',
  connectionsCarry: 'A connection carries statements; which ones is the business of the rooms above it.',
  embeddedIsAServer: 'The PostgreSQL that comes along is a server: it knows folders and processes, and no store.',
  appendsAndReadsAreBelow: 'Consumers and snapshots stand on appends and reads, which know neither.',
  noHttpBehind: 'What is behind the HTTP service knows nothing of HTTP; src/service.ts joins the two.',
  libraryIsNoServer: 'A program that uses the library must not load an HTTP server.',
  rateLimitCounts: 'src/rate-limit counts tokens by a key; src/http says whose key it is, and answers.',
  consumersAreValues: 'src/consumers is what a consumer has done, as values; src/db keeps it, and src/routes shows it.',
  jsonKnowsText: 'src/json knows text and nothing else, so that its speed and its rules can be judged alone.',
  clientStandsAlone:
    'The client runs in browsers and without the service: it may import its own files and nothing else.',
  proofIsOutside:
    'The proof judges a store from outside: it may know what clients know, and nothing of how the service does it.',
  catalogueIsBelow: 'Everyone imports config and errors; an import back would tie everything to everything.',
  sql: 'SQL lives in src/db and migrations/, nowhere else: ask src/db for a function that answers the question.',
  promClient: 'Only src/metrics knows Prometheus; report to an observer instead.',
}

/** A pattern for imports of a folder or file of src/, from below src/ (`../db/x.ts`) and from src/ itself (`./db/x.ts`). */
const to = (target, message, options = {}) => ({
  regex: String.raw`^(\./|(\.\./)+(src/)?)${target}(/|\.ts$)`,
  message,
  ...options,
})
const types = { allowTypeImports: true }
const packages = (names, message) => ({ regex: `^(${names})(/|$)`, message })

const outermost = [to('main', WHY.main), to('index', WHY.index)]
const aboveApp = [...outermost, to('cli', WHY.cli), to('service', WHY.service), to('backend', WHY.backend)]
const aboveParts = [...aboveApp, to('app', WHY.app)]
/** Rooms of src/db, for imports from another room of it. */
const rooms = (names, message) => ({ regex: String.raw`^\.\./(${names})/`, message })
const noSql = packages('pg|pg-[a-z-]+|kysely', WHY.sql)
const noPrometheus = packages('prom-client', WHY.promClient)

/** What no room of src/db may import. */
const inDb = [
  ...aboveParts,
  to('routes', WHY.storeKnowsNoHttp),
  to('http', WHY.storeKnowsNoHttp),
  to('contract', WHY.storeIsHandedChecked),
  to('follow', WHY.storeIsFollowed),
  to('backup', WHY.storeIsBackedUp),
  packages('fastify|@fastify', WHY.storeKnowsNoHttp),
  to('metrics', WHY.storeReports),
  noPrometheus,
]

/** Files and what they may not import; of two rows that match a file the last one holds. */
const LAYERS = {
  'src/**': [...outermost, noSql, noPrometheus],
  'src/main.ts': [noSql, noPrometheus],
  'src/{index.ts,library.ts,library/**}': [
    to('main', WHY.main),
    to('cli', WHY.cli),
    to('(app|service|backend|http|routes)', WHY.libraryIsNoServer),
    packages('fastify|@fastify', WHY.libraryIsNoServer),
    noSql,
    noPrometheus,
  ],
  'src/service.ts': [...outermost, to('cli', WHY.cli), noSql, noPrometheus],
  'src/{backend.ts,backend/**}': [
    ...outermost,
    to('cli', WHY.cli),
    to('service', WHY.service),
    to('(app|http|routes)', WHY.noHttpBehind),
    packages('fastify|@fastify', WHY.noHttpBehind),
    noSql,
    noPrometheus,
  ],
  'src/app.ts': [...aboveApp, to('(db|backup)', WHY.partsAreHandedOver, types), noSql, noPrometheus],
  'src/routes/**': [
    ...aboveParts,
    { group: ['./*', '!./*schemas.ts', '!./*parameters.ts', '!./live.ts'], message: WHY.routesStandAlone },
    to('(db|backup)', WHY.partsAreHandedOver, types),
    to('metrics', WHY.metricsAreHandedOver, types),
    noSql,
    noPrometheus,
  ],
  'src/http/**': [
    ...aboveParts,
    to('routes', WHY.edgeServesAll),
    to('(db|backup)', WHY.partsAreHandedOver, types),
    to('metrics', WHY.metricsAreHandedOver, types),
    noSql,
    noPrometheus,
  ],
  'src/metrics/**': [
    ...aboveParts,
    to('routes', WHY.metricsListen, types),
    to('http', WHY.metricsListen, types),
    to('db', WHY.metricsListen, types),
    noSql,
  ],
  'src/db/**': inDb,
  'src/db/{connections,protocol}/**': [
    ...inDb,
    rooms('append|backup|consumers|embedded|in-memory|integrity|read|snapshots', WHY.connectionsCarry),
  ],
  'src/db/embedded/**': [
    ...inDb,
    rooms('append|backup|connections|consumers|in-memory|integrity|migrations|read|snapshots', WHY.embeddedIsAServer),
  ],
  'src/db/{append,read}/**': [
    ...inDb,
    rooms('backup|consumers|in-memory|integrity|migrations|snapshots', WHY.appendsAndReadsAreBelow),
  ],
  'src/follow/**': [
    ...aboveParts,
    to('(routes|http|contract|backup|metrics)', WHY.followKnowsEvents),
    packages('fastify|@fastify', WHY.followKnowsEvents),
    to('db', WHY.partsAreHandedOver, types),
    noSql,
    noPrometheus,
  ],
  'src/backup/**': [
    ...aboveParts,
    to('(routes|http|follow|contract|metrics)', WHY.backupIsNoServer),
    packages('fastify|@fastify', WHY.backupIsNoServer),
    noPrometheus,
    // The type of a client that it hands on is all that it may know of the driver.
    { ...noSql, allowTypeImports: true },
  ],
  'src/contract/**': [
    ...aboveParts,
    to('(routes|http|follow|backup|metrics)', WHY.contractIsBelow),
    packages('fastify|@fastify', WHY.contractIsBelow),
    to('db', WHY.partsAreHandedOver, types),
    noSql,
    noPrometheus,
  ],
  'src/rate-limit/**': [
    ...aboveParts,
    to('(routes|http|contract|follow|db|metrics|config|settings|errors)', WHY.rateLimitCounts),
    packages('fastify|@fastify', WHY.rateLimitCounts),
    noSql,
    noPrometheus,
  ],
  'src/consumers/**': [
    ...aboveParts,
    to('(routes|http|contract|follow|backup|metrics|config|settings|errors)', WHY.consumersAreValues),
    packages('fastify|@fastify', WHY.consumersAreValues),
    to('db', WHY.consumersAreValues, types),
    noSql,
    noPrometheus,
  ],
  'src/json/**': [
    ...aboveParts,
    to('(routes|http|contract|follow|backup|db|metrics|config|settings)', WHY.jsonKnowsText),
    packages('fastify|@fastify', WHY.jsonKnowsText),
    noSql,
    noPrometheus,
  ],
  'src/client/**': [{ regex: String.raw`^(\.\./|\./.*\.\./|[^.])`, message: WHY.clientStandsAlone }],
  'src/proof/**': [{ regex: String.raw`^\.\./([^c]|c[^l]|cli/)`, message: WHY.proofIsOutside }, noSql, noPrometheus],
  'src/{config,settings,errors}.ts': [
    ...aboveParts,
    to('(routes|http|contract|follow|backup|db|metrics|json)', WHY.catalogueIsBelow),
    noSql,
    noPrometheus,
  ],
}

const EXIT = 'Only src/main.ts ends the process: return, or throw an error that it turns into an exit code.'
const ENV = 'The environment is read once, by src/config.ts; take the setting as an option.'
const exitOnlyInMain = ['exit', 'exitCode', 'abort'].map((property) => ({ object: 'process', property, message: EXIT }))
const envOnlyInConfig = { object: 'process', property: 'env', message: ENV }
const noNodeProcess = {
  regex: '^(node:)?process$',
  message: 'Use the global `process`, so that the rules about it hold.',
}

export default {
  plugins: ['eslint', 'typescript', 'unicorn', 'oxc', 'import', 'promise', 'node'],
  categories: { correctness: 'error' },
  options: { typeAware: true, denyWarnings: true, reportUnusedDisableDirectives: 'error' },
  env: { node: true, es2024: true },
  ignorePatterns: ['**/node_modules/**', 'dist/**', '.annals/**', '.tap/**', 'tmp/**'],
  rules: {
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/await-thenable': 'error',
    'typescript/return-await': ['error', 'error-handling-correctness-only'],
    'typescript/only-throw-error': 'error',
    'typescript/prefer-promise-reject-errors': 'error',
    'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    'typescript/no-explicit-any': 'error',
    'eslint/eqeqeq': 'error',
    'eslint/no-var': 'error',
    'eslint/prefer-const': 'error',
    'import/no-cycle': 'error',
    'import/no-default-export': 'error',
    'unicorn/prefer-node-protocol': 'error',
    // These find more good code than bad: control characters are a subject here, spreads group long argument lists,
    // template literals print numbers, and what is unknown is turned into text on purpose.
    'eslint/no-control-regex': 'off',
    'typescript/no-base-to-string': 'off',
    'typescript/restrict-template-expressions': 'off',
    'typescript/unbound-method': 'off',
    'unicorn/no-new-array': 'off',
    'unicorn/no-useless-spread': 'off',
  },
  overrides: [
    {
      files: ['src/**'],
      rules: {
        'eslint/no-console': 'error',
        'eslint/no-restricted-properties': ['error', ...exitOnlyInMain, envOnlyInConfig],
      },
    },
    {
      files: ['src/**'],
      excludeFiles: ['src/index.ts', 'src/client/client.ts'],
      rules: { 'oxc/no-barrel-file': ['error', { threshold: 0 }] },
    },
    {
      files: [
        'src/cli/**',
        'src/config.ts',
        'src/db/embedded/postmaster.ts',
        'src/backup/postgres-tools/environment.ts',
      ],
      rules: { 'eslint/no-restricted-properties': ['error', ...exitOnlyInMain] },
    },
    { files: ['src/main.ts'], rules: { 'eslint/no-restricted-properties': 'off' } },
    { files: ['src/main.ts', 'src/cli/**'], rules: { 'eslint/no-console': 'off' } },
    ...Object.entries(LAYERS).map(([files, patterns]) => ({
      files: [files],
      rules: { 'eslint/no-restricted-imports': ['error', { patterns: [...patterns, noNodeProcess] }] },
    })),
    {
      // tap itself waits for every test() that is not awaited.
      files: ['test/**'],
      rules: {
        'typescript/no-floating-promises': [
          'error',
          { allowForKnownSafePromises: [{ from: 'package', package: '@tapjs/core', name: 'PromiseWithSubtest' }] },
        ],
      },
    },
    { files: ['*.config.mjs'], rules: { 'import/no-default-export': 'off' } },
  ],
}
