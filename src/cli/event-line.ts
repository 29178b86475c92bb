// One event as one line for people.

import { styleText } from 'node:util'
import type { StoredEvent } from '../client/client.ts'

export interface LineOptions {
  isColoured: boolean
  /** Width of the terminal now; without one lines are not cut, and carry the whole time. */
  columns: () => number | undefined
}

type Style = Parameters<typeof styleText>[0]

const TYPE_STYLES: Style[] = ['cyan', 'green', 'yellow', 'magenta', 'blue']
/** Columns grow with what they hold, up to this; longer texts push the rest aside, but are never cut. */
const WIDEST_COLUMN = 36

/** Formats events one after another; lines up what it can. */
export class EventLines {
  readonly #options: LineOptions
  readonly #styles = new Map<string, Style>()
  #day = ''
  #positionWidth = 6
  #typeWidth = 12
  #streamWidth = 16

  constructor(options: LineOptions) {
    this.#options = options
  }

  /** The line without its end; before the first event of a day a line with the date comes first. */
  format(event: StoredEvent): string {
    const columns = this.#options.columns()
    const type = printable(event.type)
    const stream = `${printable(event.stream_id)}@${event.version}`
    const position = String(event.position)
    this.#positionWidth = Math.max(this.#positionWidth, position.length)
    this.#typeWidth = Math.max(this.#typeWidth, Math.min(widthOf(type), WIDEST_COLUMN))
    this.#streamWidth = Math.max(this.#streamWidth, Math.min(widthOf(stream), WIDEST_COLUMN))
    const time = columns === undefined ? event.created_at : event.created_at.slice(11, 23)
    const cells: [Style, string][] = [
      ['dim', `${position.padStart(this.#positionWidth)}  ${time}  `],
      [this.#styleOf(event.type), `${pad(type, this.#typeWidth)}  `],
      ['bold', `${pad(stream, this.#streamWidth)}  `],
      ['reset', contentOf(event)],
      ['dim', event.metadata === null ? '' : ` ${printable(JSON.stringify(event.metadata))}`],
    ]
    const line = this.#draw(cells, columns ?? Number.POSITIVE_INFINITY)
    return columns === undefined ? line : this.#dayBefore(event) + line
  }

  #dayBefore({ created_at: time }: StoredEvent): string {
    const day = time.slice(0, 10)
    if (day === this.#day) return ''
    this.#day = day
    return `${this.#style('dim', `── ${day} UTC ──`)}\n`
  }

  #draw(cells: [Style, string][], columns: number): string {
    let left = columns
    let line = ''
    for (const [style, text] of cells) {
      if (left <= 0 || text === '') continue
      const shown = cut(text, left)
      left = shown === text ? left - widthOf(text) : 0
      line += this.#style(style, shown)
    }
    return line.trimEnd()
  }

  /** The first types that come get colours of their own; the eye finds them again. */
  #styleOf(type: string): Style {
    const style = this.#styles.get(type) ?? TYPE_STYLES[this.#styles.size % TYPE_STYLES.length] ?? 'cyan'
    if (this.#styles.size < 1_000) this.#styles.set(type, style)
    return style
  }

  #style(style: Style, text: string): string {
    return this.#options.isColoured && style !== 'reset' ? styleText(style, text, { validateStream: false }) : text
  }
}

function contentOf({ data, data_base64: base64, content_type: contentType }: StoredEvent): string {
  if (base64 === undefined) return printable(JSON.stringify(data ?? null))
  const bytes = Math.floor((base64.length * 3) / 4) - (base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0)
  return `<${printable(contentType)}, ${bytes} bytes>`
}

/** Without what would move the cursor, colour the terminal or turn the text around. */
const printable = (text: string): string =>
  text.replace(/[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })

/** Columns that the text takes at most; a few characters beyond Latin, Greek and Cyrillic take less. */
const widthOf = (text: string): number => {
  let width = 0
  for (const character of text) width += (character.codePointAt(0) ?? 0) < 0x1100 ? 1 : 2
  return width
}

const pad = (text: string, width: number): string => text + ' '.repeat(Math.max(0, width - widthOf(text)))

function cut(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text
  let width = 1
  let shown = ''
  for (const character of text) {
    width += widthOf(character)
    if (width > columns) break
    shown += character
  }
  return `${shown}…`
}
