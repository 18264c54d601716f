// For tests of what happens where the kernel refuses a system call (seccomp(2)). All of it is for
// ever. Every function returns -errno.

#ifndef CSECCOMP_H
#define CSECCOMP_H

/// From here on the system call with that number fails with that errno, for the whole process.
int fdt_forbid_system_call(int number, int answer);

/// From here on it fails with that errno if its argument at that position, from 0, has that value;
/// for the calling thread alone.
int fdt_forbid_argument(int number, int position, unsigned value, int answer);

/// From here on it succeeds so many times, and then fails with that errno, for the whole process.
int fdt_ration_system_call(int number, int count, int answer);

#endif
