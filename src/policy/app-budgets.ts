import type { Container } from '../apps/identity.ts';
import { RuleBudget } from './rule-budget.ts';

/**
 * One budget for all containers of an app on this host. Apps of the same name are distinct if the runtime, the organization or
 * the space (on Kubernetes: the namespace) differs. So no tenant can use the budget of another's app.
 */
export class AppBudgets {
  readonly #budgets = new Map<string, RuleBudget>();

  /** Returns the budget that the container shares from now on. */
  join(container: Container): RuleBudget {
    const key = keyOf(container);
    const budget = this.#budgets.get(key) ?? new RuleBudget(key);
    this.#budgets.set(key, budget);
    budget.containers++;
    return budget;
  }

  /** A container with this budget has no rules any more. After the app's last one, the time spent is forgotten. */
  leave(budget: RuleBudget): void {
    budget.containers--;
    if (budget.containers === 0) this.#budgets.delete(budget.key);
  }

  get size(): number {
    return this.#budgets.size;
  }
}

function keyOf({ runtime, fullId, app }: Container): string {
  if (app === undefined) return JSON.stringify([runtime, fullId]);
  const { org, space, guid, name } = app;
  return JSON.stringify([
    runtime,
    org ?? '',
    space ?? '',
    guid ?? '',
    guid === undefined ? name : '',
  ]);
}
