// SPDX-License-Identifier: Apache-2.0
// Lets the addon run with an older C library than the one that it is built with. Since glibc 2.38 its headers
// redirect number-parsing functions to new names, for C23's binary literals (0b1). Neither we nor libbpf or libelf
// parse those. These definitions redirect them back. They are visible: Debian's libbpf and libelf, which are shipped
// with the agent, find them here if the host's C library has none (manifests/older-libc.mjs).
#include <stdarg.h>
#include <stdio.h>

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 38)
#define VISIBLE __attribute__((visibility("default")))

long old_strtol(const char *text, char **end, int base) __asm__("strtol");
unsigned long old_strtoul(const char *text, char **end, int base) __asm__("strtoul");
unsigned long long old_strtoull(const char *text, char **end, int base) __asm__("strtoull");
int old_vsscanf(const char *text, const char *format, va_list args) __asm__("__isoc99_vsscanf");
int old_vfscanf(FILE *file, const char *format, va_list args) __asm__("__isoc99_vfscanf");

VISIBLE long __isoc23_strtol(const char *text, char **end, int base)
{
	return old_strtol(text, end, base);
}

VISIBLE unsigned long __isoc23_strtoul(const char *text, char **end, int base)
{
	return old_strtoul(text, end, base);
}

VISIBLE unsigned long long __isoc23_strtoull(const char *text, char **end, int base)
{
	return old_strtoull(text, end, base);
}

VISIBLE int __isoc23_sscanf(const char *text, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int read = old_vsscanf(text, format, args);
	va_end(args);
	return read;
}

VISIBLE int __isoc23_fscanf(FILE *file, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int read = old_vfscanf(file, format, args);
	va_end(args);
	return read;
}
#endif
