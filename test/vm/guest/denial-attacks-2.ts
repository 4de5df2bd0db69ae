import { testAttacks } from './attacks-part.ts';

testAttacks(1);
