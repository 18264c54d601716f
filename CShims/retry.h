// One place that retries EINTR; the value of RETRYING is that of the last call.

#ifndef RETRY_H
#define RETRY_H

#include <errno.h>
#include <unistd.h>

#define RETRYING(call)                                  \
  ({                                                    \
    ssize_t result_;                                    \
    do result_ = (call);                                \
    while (result_ < 0 && errno == EINTR);              \
    result_;                                            \
  })

#endif
