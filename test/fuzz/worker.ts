// Feeds one input after the other until it is killed; says on descriptor 3 which one is next: `?` and its number
// before, `+` after one that was accepted. Written at once, so that nothing is lost in a crash.
import { writeSync } from 'node:fs';
import { inputOf } from './inputs.ts';
import { feed } from './targets.ts';

for (let number = Number(process.argv[2]); ; number++) {
  writeSync(3, `?${number}\n`);
  if (feed(inputOf(number))) writeSync(3, '+\n');
}
