/** A time for people, in UTC: local time would need the agent's time zone. */
export function clock(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
