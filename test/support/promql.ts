import { parser } from '@prometheus-io/lezer-promql';

/** What an expression reads, and what it makes. */
export interface PromqlReads {
  /** Its selectors with the labels that they match. */
  readonly selectors: readonly { readonly metric: string; readonly labels: readonly string[] }[];
  /** The labels that it groups or joins by, or makes others from. */
  readonly groupings: readonly string[];
  /** The labels that label_replace makes. */
  readonly made: readonly string[];
  /** Whether it is an aggregation as a whole, so that its series have the labels it groups by and no other. */
  readonly aggregates: boolean;
}

/** Reads PromQL with Prometheus's own grammar. Throws an Error for what is none. */
export function readPromql(expression: string): PromqlReads {
  const selectors: { metric: string; labels: string[] }[] = [];
  const groupings: string[] = [];
  /** Of label_replace, the one function of these queries that takes texts: label, replacement, source label, pattern. */
  const texts: string[] = [];
  let grouping = false;
  const tree = parser.parse(expression);
  tree.iterate({
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
      } else if (node.name === 'StringLiteral' && node.node.parent?.name === 'FunctionCallBody')
        texts.push(text.slice(1, -1));
    },
    leave(node) {
      if (node.name === 'GroupingLabels') grouping = false;
    },
  });
  return {
    selectors,
    groupings: [...groupings, ...texts.filter((text, at) => at % 4 === 2 && text !== '')],
    made: texts.filter((_, at) => at % 4 === 0),
    aggregates: tree.topNode.firstChild?.name === 'AggregateExpr',
  };
}
