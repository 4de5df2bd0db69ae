export function summaryOf(table: string, counted: string): string;
