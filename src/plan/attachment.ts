import type { LiveProbe } from '../probe/live.ts';
import type { Logger } from '../shared/logger.ts';
import { UserError } from '../shared/user-error.ts';

/** How long the syscall hooks outlive the last container in scope: a restart must not detach and reattach them. */
const LINGER_MS = 60_000;

/**
 * Attaches the syscall hooks only while some container is in scope or pending: a tracepoint costs every system call of the host
 * (55–74 ns). A new container's cgroup is created tens of milliseconds before its app's exec, which is enough time to attach.
 */
export class Attachment {
  readonly #probe: Pick<LiveProbe, 'attachOnly'>;
  readonly #logger: Logger;
  readonly #inScope: () => boolean;
  #hooks: readonly string[] = [];
  #attached = false;
  #attachedMs = -Infinity;
  #linger: NodeJS.Timeout | undefined;

  /** `inScope`: whether any cgroup is in scope or pending now. */
  constructor(probe: Pick<LiveProbe, 'attachOnly'>, logger: Logger, inScope: () => boolean) {
    this.#probe = probe;
    this.#logger = logger;
    this.#inScope = inScope;
  }

  /**
   * Sets the hooks that the rules need; takes effect at once if they are attached. Throws UserError if the kernel refuses one;
   * everything then stays as before.
   */
  setHooks(hooks: readonly string[]): void {
    const before = this.#hooks;
    const changes = hooks.length !== before.length || hooks.some((hook, at) => hook !== before[at]);
    if (this.#attached && changes) {
      try {
        this.#attach(hooks);
      } catch (error) {
        this.#probe.attachOnly(before);
        throw error;
      }
    }
    this.#hooks = hooks;
  }

  /** Since when they are attached, or were: monotonic ms; -Infinity: never yet. */
  get attachedMs(): number {
    return this.#attachedMs;
  }

  /** A container appeared: attaches the hooks. */
  onScoped(): void {
    clearTimeout(this.#linger);
    this.#linger = undefined;
    if (!this.#attached) this.#apply();
  }

  /** Attaches the hooks as if a container had just gone: for as long as hooks outlive the last one. */
  attachForNow(): void {
    this.onScoped();
    this.onUnscoped();
  }

  /** A container went or was excluded: detaches the hooks after a delay if it was the last. */
  onUnscoped(): void {
    if (!this.#attached || this.#linger !== undefined || this.#inScope()) return;
    this.#linger = setTimeout(() => {
      this.#linger = undefined;
      if (this.#inScope()) return;
      this.#attached = false;
      this.#probe.attachOnly([]);
      this.#logger.info({}, 'no container in scope: the system call hooks are detached');
    }, LINGER_MS).unref();
  }

  stop(): void {
    clearTimeout(this.#linger);
  }

  /** Logs a refusal, and the next container retries: the caller that needs a hook must not fail too. */
  #apply(): void {
    try {
      this.#attach(this.#hooks);
      this.#attached = true;
      this.#attachedMs = performance.now();
    } catch (error) {
      const reason = error instanceof UserError ? error.toDisplay() : String(error);
      this.#logger.error(
        { reason },
        'the system call hooks could not be attached: the agent tries again',
      );
    }
  }

  #attach(hooks: readonly string[]): void {
    const missing = this.#probe.attachOnly(hooks);
    this.#logger.info({ hooks }, 'system call hooks attached');
    const calls = missing.filter((hook) => hook.startsWith('sys_'));
    if (calls.length > 0) {
      this.#logger.warn(
        { missing: calls },
        'this kernel lacks some system calls that rules name; their events cannot happen here',
      );
    }
    const ways = missing.filter((hook) => !hook.startsWith('sys_'));
    if (ways.length > 0) {
      this.#logger.warn(
        { missing: ways },
        'calls made in these ways are not seen on this kernel: varvel doctor says more',
      );
    }
  }
}
