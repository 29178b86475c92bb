// The fault bench: many clients work on a service while faults happen to it, and what they saw is judged.

import { checkHistory, type Verdict } from '../../src/proof/check-history.ts'
import type { History } from '../../src/proof/history.ts'
import { Random } from '../../src/proof/random.ts'
import { runWorkload } from '../../src/proof/workload.ts'
import { startPgBouncer } from '../support/pgbouncer.ts'
import { startTestCluster, type Teardown } from '../support/postgres.ts'
import { ask, type Child, spawnService, startTestService, until } from '../support/service.ts'
import { FaultProxy } from './fault-proxy.ts'
import { runFaults, type Scenario, type Scene } from './schedule.ts'

export interface BenchOptions {
  seed: number
  seconds: number
  scenario: Scenario
  /** Runs the service as a process of its own, which can be killed and frozen. */
  isApart: boolean
  /** No fault lasts longer. */
  longestMs: number
  /** Settings of the service beside its own. */
  env?: Record<string, string>
  log(line: string): void
}

export interface BenchResult {
  history: History
  verdict: Verdict
  faults: number
}

/** One run on a new server; everything is gone when `t` is torn down. */
export async function runBench(t: Teardown, options: BenchOptions): Promise<BenchResult> {
  const { seed, seconds, scenario, isApart, log } = options
  const cluster = await startTestCluster(t)
  const proxy = await FaultProxy.start(t, cluster.url)
  const scene: Scene = { proxy, cluster }
  if (scenario === 'pooler') scene.pooler = await startPgBouncer(t, proxy.url, { mode: 'transaction', size: 3 })
  const env = {
    MIGRATE_ON_START: 'on',
    DATABASE_URL: scene.pooler?.url ?? proxy.url,
    // Migrations can not go through a pooler.
    ...(scene.pooler && { DATABASE_DIRECT_URL: proxy.url }),
    LOG_REQUESTS: 'off',
    ...options.env,
  }
  let url: string
  if (isApart) {
    const apart = await startApart(t, env)
    scene.service = apart
    url = apart.url
  } else {
    const service = await startTestService(t, { ...env, LOG_LEVEL: 'silent' })
    await service.ready
    url = service.url
  }
  const isReady = async () => (await ask(`${url}/health/ready`)).status === 200
  await until(isReady, 60_000)

  const stop = new AbortController()
  let begun = () => {}
  const hasBegun = new Promise<void>((resolve) => {
    begun = resolve
  })
  const working = runWorkload({
    ...{ url, seed, clients: 8, rate: 400, signal: stop.signal, settleMs: 60_000 },
    onProgress: ({ operations }) => operations > 0 && begun(),
  })
  await Promise.race([hasBegun, working])
  const startedAt = performance.now()
  const elapsed = () => `${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(6)} s  `
  const faults = await runFaults(scene, {
    scenario,
    random: new Random(seed),
    endAt: startedAt + seconds * 1_000,
    longestMs: options.longestMs,
    log: (line) => log(elapsed() + line),
  }).finally(() => {
    stop.abort()
    // It may have failed first; what is thrown is then the fault's error.
    working.catch(() => {})
  })
  const history = await working
  return { history, verdict: checkHistory(history), faults }
}

/** A service as a process, on a port that it keeps from one life to the next. */
async function startApart(
  t: Teardown,
  env: Record<string, string>,
): Promise<NonNullable<Scene['service']> & { url: string }> {
  let child: Child = await spawnService(t, env)
  const { url } = child
  const PORT = new URL(url).port
  return {
    url,
    signal: (signal) => child.process.kill(signal),
    async kill() {
      child.process.kill('SIGKILL')
      await child.exit
    },
    async start() {
      child = await spawnService(t, { ...env, PORT })
    },
  }
}
