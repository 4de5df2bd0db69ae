// Placeholder until native/schema/generate.mjs writes it.
export type EventName =
  | 'execve' | 'execveat' | 'clone' | 'clone3' | 'fork' | 'vfork' | 'procexit'
  | 'open' | 'openat' | 'openat2' | 'creat' | 'connect';
