const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/g;

/**
 * Text from bytes that a container chose (names, paths, arguments): invalid UTF-8 and every control
 * character (C0, DEL, C1) become U+FFFD, so that what follows can neither end a line nor steer a terminal.
 * Each maximal invalid sequence is one U+FFFD (WHATWG Encoding, "replacement"). Never throws.
 */
export function decodeText(bytes: Buffer): string {
  return replaceControls(bytes.toString('utf8'));
}

/** What `decodeText` does, for text that is already decoded. */
export function replaceControls(text: string): string {
  return text.replace(CONTROLS, '\ufffd');
}
