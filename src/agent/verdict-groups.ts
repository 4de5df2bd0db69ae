import type { JudgedApp } from './judged-app.ts';
import type { Group } from './verdict-group.ts';

/** All groups of containers, by their app object and key. */
export class VerdictGroups {
  readonly #groups = new Map<JudgedApp | 'none', Map<string, Group>>();

  /** In the order in which they came; it may be changed meanwhile. */
  all(): readonly Group[] {
    return [...this.#groups.values()].flatMap((ofApp) => [...ofApp.values()]);
  }

  ofApp(app: JudgedApp | 'none'): readonly Group[] {
    return [...(this.#groups.get(app)?.values() ?? [])];
  }

  find(app: JudgedApp | 'none', key: string): Group | undefined {
    return this.#groups.get(app)?.get(key);
  }

  has(group: Group): boolean {
    return this.find(group.app, group.key) === group;
  }

  add(group: Group): Group {
    const ofApp = this.#groups.get(group.app) ?? new Map<string, Group>();
    this.#groups.set(group.app, ofApp.set(group.key, group));
    return group;
  }

  delete({ app, key }: Group): void {
    const ofApp = this.#groups.get(app);
    ofApp?.delete(key);
    if (ofApp?.size === 0) this.#groups.delete(app);
  }
}
