// docs/reference/routes.md: every route that the router has, and who may use it.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { assembleApp } from '../../src/openapi-document.ts'
import { row } from './markdown.ts'

async function allRoutes(): Promise<RouteOptions[]> {
  const routes: RouteOptions[] = []
  // Fastify announces a new instance before its first route.
  const announce = (message: unknown) =>
    (message as { fastify: FastifyInstance }).fastify.addHook('onRoute', (route) => void routes.push(route))
  subscribe('fastify.initialization', announce)
  const app = await assembleApp()
  unsubscribe('fastify.initialization', announce)
  await app.ready()
  await app.close()
  // HEAD goes with GET.
  return routes.filter(({ method }) => method !== 'HEAD')
}

const pathOf = (url: string) => url.replace(/(?<=.)\/$/, '').replaceAll(/:(\w+)/g, '{$1}')
const order = ({ url, method }: RouteOptions) => `${pathOf(url)} ${String(method)}`

export const routesReference = async () => `# Routes and scopes

Every route, and the scope that a token needs for it; \`admin\` includes all, and of several one is enough. *open* needs no
token. Without any token configured the service listens on loopback only, and everything is open to the machine it runs on.

\`HEAD\` is as \`GET\`. \`OPTIONS\` answers on every path, without a token. *Unlimited* routes are not counted by the rate limit.
What each route takes and answers is in [openapi.json](../../openapi/openapi.json).

${row('method', 'path', 'scope', 'unlimited')}
${row('---', '---', '---', '---')}
${(await allRoutes())
  .toSorted((a, b) => (order(a) < order(b) ? -1 : 1))
  .map(({ method, url, config }) =>
    row(
      String(method).replace('HEAD,', ''),
      `\`${pathOf(url)}\``,
      [config?.scope ?? []]
        .flat()
        .map((scope) => `\`${scope}\``)
        .join(' or ') || 'open',
      config?.isUnlimited === true ? 'yes' : '',
    ),
  )
  .join('\n')}
`
