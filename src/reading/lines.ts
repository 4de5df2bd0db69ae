/** Longer lines are cut: no line of the agent is longer, and what an app prints has no bound. */
export const MAX_LINE_BYTES = 64 * 1024;

/**
 * The lines of a byte stream without their ends (LF or CRLF), as text in which invalid UTF-8 is U+FFFD; the last one also
 * without an end. Of each the first MAX_LINE_BYTES.
 */
export async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let kept: Buffer[] = [];
  let length = 0;
  const keep = (part: Buffer): void => {
    const room = MAX_LINE_BYTES - length;
    if (room > 0 && part.length > 0) kept.push(part.subarray(0, room));
    length += Math.min(part.length, room);
  };
  const take = (): string => {
    const line = Buffer.concat(kept).toString('utf8').replace(/\r$/, '');
    kept = [];
    length = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      keep(chunk.subarray(from, end));
      yield take();
      from = end + 1;
    }
    // A copy: the stream may use its buffer again, and a short rest would hold all of it.
    keep(Buffer.from(chunk.subarray(from)));
  }
  if (length > 0) yield take();
}
