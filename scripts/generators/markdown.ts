// Markdown tables.

/** Text for a table cell: on one line, without a bar that would end the cell. */
export const cell = (text: string) => text.replaceAll('|', String.raw`\|`).replaceAll('\n', ' ')

/** One table row of finished cells. */
export const row = (...cells: string[]) => `| ${cells.join(' | ')} |`

/** The first lines of a generated document. */
export const generatedFrom = (source: string) =>
  `<!-- Generated from ${source} by \`npm run generate\`: do not edit. -->\n`
