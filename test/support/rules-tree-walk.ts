// The meaning of a condition, written to be read and not to be fast: what the generated code must agree with.
import { encodeText } from '../../src/shared/text.ts';
import { isIPv4, isIPv6, BlockList } from 'node:net';
import type { Checked, Test } from '../../src/rules/compile/checked.ts';
import type { Value, View } from '../../src/rules/fields/field.ts';

/** Does the condition hold for what the view shows? */
export function walk(condition: Checked, view: View): boolean {
  switch (condition.kind) {
    case 'and':
      return condition.operands.every((operand) => walk(operand, view));
    case 'or':
      return condition.operands.some((operand) => walk(operand, view));
    case 'not':
      return !walk(condition.operand, view);
    case 'macro':
      return walk(condition.macro.body, view);
    case 'test':
      return walkTest(condition.test, view);
  }
}

function walkTest(test: Test, view: View): boolean {
  const { reader } = test.left;
  const read = reader.read(view);
  if (reader.shape === 'list') return walkList(test, read as readonly Value[] | undefined, view);
  const values = Array.isArray(read)
    ? [...(read as Value[])]
    : read === undefined
      ? []
      : [read as Value];
  if (test.operator === 'exists') return reader.exists?.(view) ?? values.length > 0;
  if (values.length === 0) return false;
  const all = reader.shape === 'any' && reader.notEqual === 'all' && test.operator === '!=';
  const holds = (right: readonly Value[]): boolean => {
    const one = (value: Value): boolean => right.some((other) => compareValues(test, value, other));
    return all ? values.every(one) : values.some(one);
  };
  if (test.right !== undefined) {
    const value = test.right.reader.read(view);
    return value !== undefined && holds([value as Value]);
  }
  const each = test.values.map((value) => holds([value]));
  switch (test.modifier) {
    case 'anyof':
      return each.includes(true);
    case 'allof':
      return each.length > 0 && !each.includes(false);
    case 'oneof':
      return each.filter(Boolean).length === 1;
    case undefined:
      return holds(test.values);
  }
}

function walkList(test: Test, items: readonly Value[] | undefined, view: View): boolean {
  if (items === undefined) return false;
  if (test.operator === 'exists') return true;
  const right =
    test.right === undefined
      ? test.values
      : (test.right.reader.read(view) as readonly Value[] | undefined);
  if (right === undefined) return false;
  const isIn = (item: Value): boolean => right.includes(item);
  return test.operator === 'in' ? items.every(isIn) : items.some(isIn);
}

function compareValues(test: Test, left: Value, right: Value): boolean {
  const text = String(left);
  const other = String(right);
  switch (test.operator) {
    case '=':
    case '==':
    case 'in':
    case 'intersects':
      return test.left.kind === 'net' ? inNet(text, other) : left === right;
    case '!=':
      return test.left.kind === 'net' ? !inNet(text, other) : left !== right;
    case '<':
      return order(left, right) < 0;
    case '<=':
      return order(left, right) <= 0;
    case '>':
      return order(left, right) > 0;
    case '>=':
      return order(left, right) >= 0;
    case 'contains':
    case 'bcontains':
      return text.includes(other);
    case 'icontains':
      return fold(text).includes(fold(other));
    case 'startswith':
    case 'bstartswith':
      return text.startsWith(other);
    case 'endswith':
      return text.endsWith(other);
    case 'glob':
      return globToRegExp(other).test(bytes(text));
    case 'iglob':
      return globToRegExp(fold(other)).test(bytes(fold(text)));
    case 'regex':
      // of the expressions that mean the same in both
      return new RegExp(`^(?:${other})$`, 'u').test(text);
    case 'pmatch': {
      const prefix = other.split('/').filter(Boolean);
      const parts = text.split('/').filter(Boolean);
      return (
        prefix.length <= parts.length &&
        prefix.every((part, index) => globToRegExp(part).test(bytes(parts[index]!)))
      );
    }
    default:
      throw new Error(`no meaning for ${test.operator}`);
  }
}

function order(left: Value, right: Value): number {
  if (typeof left === 'string') return Buffer.compare(encodeText(left), encodeText(String(right)));
  return left < right ? -1 : left > right ? 1 : 0;
}

function fold(text: string): string {
  return Array.from(text)
    .map((char) => (/[A-Z]/.test(char) ? char.toLowerCase() : char))
    .join('');
}

const bytes = (text: string): string => encodeText(text).toString('latin1');

/** Globs without sets: the properties use none. By byte. */
function globToRegExp(glob: string): RegExp {
  const source = Array.from(bytes(glob)).map((char) => {
    if (char === '*') return '[^]*';
    return char === '?' ? '[^]' : char.replace(/[\\^$.*+?()[\]{}|/]/u, '\\$&');
  });
  return new RegExp(`^${source.join('')}$`, 'u');
}

function inNet(ip: string, net: string): boolean {
  const [address = '', length = ''] = net.split('/');
  const version = isIPv4(address) ? 'ipv4' : 'ipv6';
  if (version === 'ipv4' ? !isIPv4(ip) : !isIPv6(ip)) return false;
  const list = new BlockList();
  list.addSubnet(address, Number(length), version);
  return list.check(ip, version);
}
