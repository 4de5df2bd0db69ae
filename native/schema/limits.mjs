// Limits of the probe: part of the event table (table.mjs).

/** Limits of the probe, in bytes or items. */
export const LIMITS = {
  PATH_MAX: 4096,
  ARGV_MAX: 16384,
  ENV_MAX: 8192,
  ANCESTORS_MAX: 8,
  // Programs of ancestors outside the scope: how many, and bytes of each with its NUL.
  ANCESTOR_EXES: 3,
  ANCESTOR_EXE_MAX: 256,
  PATH_COMPONENTS_MAX: 64,
  SOCKADDR_MAX: 128,
  CGROUP_PATH_MAX: 512,
  SCOPE_MAX: 16384,
  PATTERNS_MAX: 16,
  COMM_LEN: 16,
  CALL_NR_MAX: 512,
  DATA_MAX: 80,
  RECORD_MAX: 32768,
  // The deepest level at which a cgroup can be a container: one bit for each in probe_state.levels.
  LEVEL_MAX: 31,
  // struct verdict_table: clauses of a rule set, automata, the totals of their states and of the cells of their rows, and sets
  // of clauses.
  VERDICT_CLAUSES: 384,
  // Rules of which the table says that they certainly match.
  VERDICT_CERTAIN: 32,
  // Kinds of calls (src/plan/verdicts/call-kinds.ts): 8 of each open, and 8 of each path of the calls in JUDGED.
  VERDICT_OPEN_KINDS: 32,
  // Then, of execve and of execveat, one each.
  VERDICT_EXEC_KINDS: 2,
  // Then those of connect.
  VERDICT_CONNECT_KINDS: 14,
  // Last, those of calls that are judged by who makes them (ways.mjs).
  VERDICT_KINDS: 512,
  // Automata: those that read a path, and all.
  VERDICT_PATH_MACHINES: 4,
  VERDICT_MACHINES: 9,
  VERDICT_STATES: 8192,
  VERDICT_NEXT: 1 << 18,
  VERDICT_MASKS: 4096,
  // Texts that may be anywhere in a path: number of comparisons, one bit each, and states of their automaton.
  VERDICT_SEEN: 8,
  VERDICT_SEEN_STATES: 2048,
  // Texts that may be anywhere in the words of a program: the same. And the most bytes of its words that are looked at.
  VERDICT_WITHIN: 16,
  VERDICT_WITHIN_STATES: 2048,
  VERDICT_ARGV_MAX: 1024,
  // Variables of its environment that are judged, and the most bytes of a name with its '='.
  VERDICT_VARIABLES: 4,
  VERDICT_VARIABLE_MAX: 28,
  // What the automaton of addresses reads first; then half bytes.
  VERDICT_IPV4: 16,
  VERDICT_IPV6: 17,
  // Comparisons of numbers; of ages nearer to a bound than that, in ns, nothing is known: the agent compares with the time in the
  // record, which is not quite that of the verdict.
  VERDICT_NUMBERS: 16,
  VERDICT_AGE_SLACK: 100_000_000,
  // Limit on judged paths, in bytes: all calls with longer ones are reported.
  VERDICT_PATH_MAX: 256,
  // Processes whose program the kernel knows; the least recently used are forgotten.
  IMAGES_MAX: 8192,
  // The same of processes that have ended.
  ENDED_IMAGES_MAX: 4096,
  // Ancestors that are judged: so many by their number, of which [1] is the parent, and so many if any of them counts.
  VERDICT_LEVELS: 3,
  VERDICT_ANCESTORS: 8,
  // Of a made-up call, for tests.
  GIVEN_ANCESTORS: 4,
  // Ends of connects whose number the kernel knows; the least recently used are forgotten.
  ENDS_MAX: 8192,
  // Table numbers; 0 means none.
  VERDICT_TABLES: 64,
};
