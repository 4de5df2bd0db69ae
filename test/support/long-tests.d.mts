export function isLong(file: string): boolean;
export const LONG_FILES: readonly string[];
