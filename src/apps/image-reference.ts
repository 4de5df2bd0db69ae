/** The parts of an image reference; absent parts are undefined. */
export interface ImageReference {
  readonly repository: string | undefined;
  readonly tag: string | undefined;
  /** `sha256:…` when the reference is pinned to a digest or is an image id. */
  readonly digest: string | undefined;
}

/** Splits `[registry[:port]/]path[:tag][@digest]` (the OCI distribution reference grammar). Never throws. */
export function parseImageReference(reference: string): ImageReference {
  if (/^(?:sha256:)?[0-9a-f]{64}$/.test(reference)) {
    const digest = reference.startsWith('sha256:') ? reference : `sha256:${reference}`;
    return { repository: undefined, tag: undefined, digest };
  }
  const at = reference.indexOf('@');
  const digest = at < 0 ? undefined : reference.slice(at + 1);
  const named = at < 0 ? reference : reference.slice(0, at);
  const colon = named.lastIndexOf(':');
  const hasTag = colon > named.lastIndexOf('/');
  const repository = hasTag ? named.slice(0, colon) : named;
  return {
    repository: repository === '' ? undefined : repository,
    tag: hasTag ? named.slice(colon + 1) : undefined,
    digest,
  };
}
