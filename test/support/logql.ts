import { parser } from '@grafana/lezer-logql';

/** The selectors of streams in an expression, as they are written, and the labels that it groups by. */
export interface LogqlReads {
  readonly selectors: readonly string[];
  readonly groupings: readonly string[];
}

/** Reads LogQL with Grafana's own grammar. Throws an Error for what is none. */
export function readLogql(expression: string): LogqlReads {
  const selectors: string[] = [];
  const groupings: string[] = [];
  parser.parse(expression).iterate({
    enter(node) {
      const text = expression.slice(node.from, node.to);
      if (node.type.isError) throw new Error(`not LogQL at ${node.from}: ${expression}`);
      if (node.name === 'Selector') selectors.push(text);
      else if (node.name === 'Identifier' && node.node.parent?.name === 'Labels')
        groupings.push(text);
    },
  });
  return { selectors, groupings };
}
