import type { KernelEvent, KernelFile } from '../../src/events/event.ts';

/** What a reader over record bytes says, as a plain object: to be compared as a whole. */
export function plain<T extends object>(reader: T): T {
  const accessors = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(reader) as T);
  const names = Object.entries(accessors).flatMap(([name, property]) => {
    return 'get' in property ? [name] : [];
  });
  return Object.assign(
    { ...reader },
    Object.fromEntries(names.map((name) => [name, reader[name as keyof T]])),
  );
}

const withFile = <T extends { readonly file: KernelFile | undefined }>(details: T): T => ({
  ...details,
  file: details.file && plain(details.file),
});

/** The event with its details as plain objects. */
export function withPlainDetails<T extends KernelEvent>(event: T): T {
  const { open, exec } = event;
  return Object.defineProperties(event, {
    open: { value: open && withFile(plain(open)) },
    exec: { value: exec && withFile(exec) },
  });
}
