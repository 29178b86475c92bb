// The pages of the documentation can be found, and what they link to is there.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import t from 'tap'

const ROOT = resolve(import.meta.dirname, '..')
const FOLDERS = ['docs', 'migrations', 'bench']

const pages = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.md') && !name.includes('node_modules'))
      .map((name) => join(folder, name)),
  ),
]

const textOf = (page: string): string => readFileSync(join(ROOT, page), 'utf8')

/** Links of a page to files of this repository, as they are written; what stands in a block of code is none. */
function linksOf(page: string): string[] {
  const prose = textOf(page)
    .replace(/^```[^]*?^```/gm, '')
    .replace(/`[^`\n]*`/g, '')
  const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link as string)
  return links.filter((link) => !/^[a-z]+:/.test(link))
}

/** The names that a heading can be linked by, as GitHub makes them. */
const anchorsOf = (page: string): string[] =>
  [...textOf(page).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    (heading as string)
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )

t.test('every link of a page leads to a file that is there, and to a heading of it', async (t) => {
  for (const page of pages) {
    for (const link of linksOf(page)) {
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? page : relative(ROOT, resolve(ROOT, dirname(page), path))
      t.ok(existsSync(join(ROOT, target)), `${page}: ${link}`)
      if (anchor !== undefined) t.ok(anchorsOf(target).includes(anchor), `${page}: the heading of ${link}`)
    }
  }
})

t.test('every page of docs/ is linked by the index of it, or by the one of its folder', async (t) => {
  const linkedFrom = (index: string) =>
    linksOf(index).map((link) => relative(ROOT, resolve(ROOT, dirname(index), link)))
  const linked = new Set([...linkedFrom('docs/README.md'), ...linkedFrom('docs/decisions/README.md')])
  const lost = pages.filter((page) => page.startsWith('docs/') && page !== 'docs/README.md' && !linked.has(page))
  t.strictSame(lost, [])
  t.ok(linkedFrom('README.md').includes('docs/README.md'), 'and the README links the index')
})
