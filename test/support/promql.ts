import { parser } from '@prometheus-io/lezer-promql';

/** What an expression reads: its selectors with the labels that they match, and the labels that it groups or joins by. */
export interface PromqlReads {
  readonly selectors: readonly { readonly metric: string; readonly labels: readonly string[] }[];
  readonly groupings: readonly string[];
}

/** Reads PromQL with Prometheus's own grammar. Throws an Error for what is none. */
export function readPromql(expression: string): PromqlReads {
  const selectors: { metric: string; labels: string[] }[] = [];
  const groupings: string[] = [];
  let grouping = false;
  parser.parse(expression).iterate({
    enter(node) {
      const text = expression.slice(node.from, node.to);
      if (node.type.isError) throw new Error(`not PromQL at ${node.from}: ${expression}`);
      if (node.name === 'VectorSelector') selectors.push({ metric: '', labels: [] });
      else if (node.name === 'GroupingLabels') grouping = true;
      else if (node.name === 'Identifier') {
        const selector = selectors.at(-1);
        if (selector?.metric === '') selector.metric = text;
      } else if (node.name === 'LabelName') {
        if (grouping) groupings.push(text);
        else selectors.at(-1)?.labels.push(text);
      }
    },
    leave(node) {
      if (node.name === 'GroupingLabels') grouping = false;
    },
  });
  return { selectors, groupings };
}
