export interface LayerRow {
  readonly layer: string;
  readonly part?: string | undefined;
  /** What this machine lacks for it, as a clause; undefined if it runs. */
  readonly lacks?: string | undefined;
}
export const LAYERS: readonly { readonly layer: string; readonly needs: readonly string[] }[];
export function lackOf(need: 'root' | 'mount'): string | undefined;
export function examine(): LayerRow[];
export function tableOf(rows: readonly LayerRow[]): string[];
