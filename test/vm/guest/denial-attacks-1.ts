import { testAttacks } from './attacks-part.ts';

testAttacks(0);
