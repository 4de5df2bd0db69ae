// A lint rule of our own, for oxlint: no spread of a literal. One property a line is what the formatter makes of a long object,
// and such a spread only hides that.
const reportIn = (context, parent, literal, message) => ({
  [parent](node) {
    const parts = node.properties ?? node.elements;
    for (const part of parts)
      if (part?.type === 'SpreadElement' && part.argument.type === literal)
        context.report({ node: part, message });
  },
});

const rule = {
  create: (context) => ({
    ...reportIn(
      context,
      'ObjectExpression',
      'ObjectExpression',
      'Write the properties themselves.',
    ),
    ...reportIn(context, 'ArrayExpression', 'ArrayExpression', 'Write the elements themselves.'),
  }),
};

export default { meta: { name: 'plain-literals' }, rules: { 'no-literal-spread': rule } };
