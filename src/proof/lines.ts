/**
 * Lines of an answer or a file as they come, without empty ones. A last line without its end was cut off and is left out.
 * Only a line feed ends one: from Node 24 on readline also ends them at U+2028, which stands in JSON as it is.
 */
export async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line !== '') yield line
  }
}
