/** Up to this length the engine's own search takes time linear in the text; past it, the two lengths multiplied. */
export const ENGINE_SEARCH = 250;

/** Does the text hold the other one? Takes time linear in both, whatever is in them. */
export function includesText(text: string, wanted: string): boolean {
  if (wanted.length <= ENGINE_SEARCH) return text.includes(wanted);
  if (wanted.length > text.length) return false;
  // Knuth, Morris and Pratt: where the search goes on after so many units were found.
  const back = new Int32Array(wanted.length);
  for (let at = 1, found = 0; at < wanted.length; at++) {
    const unit = wanted.charCodeAt(at);
    while (found > 0 && unit !== wanted.charCodeAt(found)) found = back[found - 1] ?? 0;
    if (unit === wanted.charCodeAt(found)) found += 1;
    back[at] = found;
  }
  for (let at = 0, found = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    while (found > 0 && unit !== wanted.charCodeAt(found)) found = back[found - 1] ?? 0;
    if (unit === wanted.charCodeAt(found)) found += 1;
    if (found === wanted.length) return true;
  }
  return false;
}
