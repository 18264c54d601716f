// For tests of what happens where a system call is forbidden.

#ifndef CSECCOMP_H
#define CSECCOMP_H

/// From here on the system call with that number fails with that errno, for the whole process and for
/// ever (seccomp(2)). Returns -errno.
int fdt_forbid_system_call(int number, int answer);

#endif
