// A reporter for node:test that says how long each suite of a file took, in ms: run.mjs divides the next run's work by it.
export default async function* durations(source) {
  const took = {};
  for await (const { type, data } of source) {
    if (type === 'test:pass' && data.nesting === 0) took[data.name] = data.details.duration_ms;
  }
  yield JSON.stringify(took);
}
