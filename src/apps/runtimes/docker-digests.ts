import type { Container } from '../identity.ts';
import { askDocker } from './docker-answers.ts';
import { digestFromImage } from './docker-container.ts';
import type { DockerClient } from './docker-client.ts';

/** Limit on cached images; past it, the cache is cleared. */
const MAX_IMAGES = 256;

/** Cache of image digests: one request per image. */
export class ImageDigests {
  readonly #docker: DockerClient;
  readonly #answers = new Map<string, Promise<unknown>>();

  constructor(docker: DockerClient) {
    this.#docker = docker;
  }

  /** The digest of the container's image; undefined when the engine has none or does not answer. Never rejects. */
  async of({ image, imageId }: Container, signal: AbortSignal): Promise<string | undefined> {
    if (imageId === undefined) return undefined;
    let answer = this.#answers.get(imageId);
    if (answer === undefined) {
      const path = `/images/${encodeURIComponent(imageId)}/json`;
      answer = askDocker(this.#docker, path, signal).catch(() => undefined);
      if (this.#answers.size >= MAX_IMAGES) this.#answers.clear();
      this.#answers.set(imageId, answer);
    }
    return digestFromImage(await answer, image);
  }
}
