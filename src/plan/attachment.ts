import type { LiveProbe } from '../probe/live.ts';
import type { Logger } from '../shared/logger.ts';
import { UserError } from '../shared/user-error.ts';

/** How long the syscall hooks outlive the last container in scope: a restart must not detach and attach them. */
const LINGER_MS = 60_000;

/**
 * Attaches the syscall hooks while some container is in scope or pending, and only then: a tracepoint costs every
 * system call of the host (55–74 ns). A new container's cgroup is made tens of milliseconds before its app's exec,
 * time enough to attach.
 */
export class Attachment {
  readonly #probe: Pick<LiveProbe, 'attachOnly'>;
  readonly #logger: Logger;
  readonly #inScope: () => boolean;
  #hooks: readonly string[] = [];
  #attached = false;
  #linger: NodeJS.Timeout | undefined;

  /** `inScope`: is any cgroup in scope or pending now? */
  constructor(probe: Pick<LiveProbe, 'attachOnly'>, logger: Logger, inScope: () => boolean) {
    this.#probe = probe;
    this.#logger = logger;
    this.#inScope = inScope;
  }

  /**
   * The hooks that the rules need; takes effect at once if they are attached. Throws UserError, and all is as before,
   * when the kernel refuses one.
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

  /** A container appeared: attach now. */
  onScoped(): void {
    clearTimeout(this.#linger);
    this.#linger = undefined;
    if (!this.#attached) this.#apply();
  }

  /** As if a container had just gone: attached, for as long as hooks outlive the last one. */
  attachForNow(): void {
    this.onScoped();
    this.onUnscoped();
  }

  /** A container went or was excluded: detach in a while if it was the last. */
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

  /** A refusal is said, and the next container tries again: what wants a hook must not fail with it. */
  #apply(): void {
    try {
      this.#attach(this.#hooks);
      this.#attached = true;
    } catch (error) {
      const reason = error instanceof UserError ? error.toDisplay() : String(error);
      this.#logger.error({ reason }, 'the system call hooks could not be attached: tried again');
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
