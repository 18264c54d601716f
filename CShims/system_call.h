// The system calls that a loop makes for every event, past glibc's functions of the same names.
// Those are points of cancellation (pthreads(7)): in a process of several threads each takes two
// locked instructions, one before and one after. Nobody cancels a thread of this package.
//
// A sanitizer watches glibc's functions, and gets them.

#ifndef SYSTEM_CALL_H
#define SYSTEM_CALL_H

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)

#define call_accept(fd, address, length, flags) accept4(fd, address, length, flags)
#define call_close(fd) close(fd)
#define call_epoll_wait(epoll, events, capacity, timeout) \
  epoll_wait(epoll, events, capacity, timeout)
#define call_read(fd, bytes, count) read(fd, bytes, count)
#define call_receive(fd, bytes, count, flags) recv(fd, bytes, count, flags)
#define call_send(fd, bytes, count, flags) send(fd, bytes, count, flags)
#define call_write(fd, bytes, count) write(fd, bytes, count)

#else

#define call_accept(fd, address, length, flags) syscall(SYS_accept4, fd, address, length, flags)
#define call_close(fd) syscall(SYS_close, fd)
// Newer architectures have no epoll_wait. The kernel's set of signals is of eight bytes.
#define call_epoll_wait(epoll, events, capacity, timeout) \
  syscall(SYS_epoll_pwait, epoll, events, capacity, timeout, NULL, (size_t)8)
#define call_read(fd, bytes, count) syscall(SYS_read, fd, bytes, count)
#define call_receive(fd, bytes, count, flags) \
  syscall(SYS_recvfrom, fd, bytes, count, flags, NULL, NULL)
#define call_send(fd, bytes, count, flags) \
  syscall(SYS_sendto, fd, bytes, count, flags, NULL, (size_t)0)
#define call_write(fd, bytes, count) syscall(SYS_write, fd, bytes, count)

#endif

#endif
